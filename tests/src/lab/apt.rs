//! Where this host gets its packages from, so that the machines use the same.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use super::{LabError, Release, process};

/// What the machines need to know of apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Apt {
    /// The mirror of Debian's main archive.
    pub(crate) archive: String,
    /// The mirror of Debian's security archive.
    pub(crate) security: String,
    /// Settings in apt.conf's form: proxies and what concerns validity dates.
    pub(crate) config: String,
}

impl Apt {
    /// Reads this host's apt configuration; a host that has no mirror of Debian there cannot make machines.
    pub(crate) fn of_host() -> Result<Self, LabError> {
        let mut uris = Vec::new();
        for path in source_files() {
            // A list that cannot be read is as good as none.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            if path.extension().is_some_and(|e| e == "sources") {
                uris.extend(deb822_uris(&text));
            } else {
                uris.extend(one_line_uris(&text));
            }
        }
        let dump = process::capture(
            process::command("apt-config").arg("dump"),
            None,
            Duration::from_secs(20),
        )
        .map(|captured| captured.stdout)
        .unwrap_or_default();
        let Some((archive, security)) = choose(&uris) else {
            let what = "a mirror of Debian (a URL that ends in /debian) in this host's apt sources";
            return Err(LabError::Needs(vec![what.to_owned()]));
        };
        Ok(Self {
            archive,
            security,
            config: transferable(&dump),
        })
    }

    /// `sources.list` of a machine.
    pub(crate) fn sources_list(&self, release: Release) -> String {
        let Self {
            archive, security, ..
        } = self;
        format!(
            "deb {archive} {release} main\n\
             deb {archive} {release}-updates main\n\
             deb {security} {release}-security main\n"
        )
    }
}

fn source_files() -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    let mut files: Vec<PathBuf> = files
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "list" || e == "sources")
        })
        .collect();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    files
}

/// The URIs of a one-line-style list, sources.list(5): `deb [options] URI suite component…`.
fn one_line_uris(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next()?.trim().strip_prefix("deb ")?.trim();
            let line = match line.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1.trim(),
                None => line,
            };
            line.split_whitespace().next().map(str::to_owned)
        })
        .collect()
}

/// The URIs of a deb822-style list, sources.list(5): fields `URIs:` of stanzas that are enabled.
fn deb822_uris(text: &str) -> Vec<String> {
    text.split("\n\n")
        .filter(|stanza| !field(stanza, "Enabled").is_some_and(|v| v.eq_ignore_ascii_case("no")))
        .filter(|stanza| field(stanza, "Types").is_some_and(|t| t.contains("deb")))
        .filter_map(|stanza| field(stanza, "URIs"))
        .flat_map(|uris| {
            uris.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Debian's two archives among `uris`, which may be of other distributions and vendors too. Where
/// the security archive is not named, it is beside the main one, as on every full mirror.
fn choose(uris: &[String]) -> Option<(String, String)> {
    let ending = |ending: &str| {
        uris.iter()
            .map(|uri| uri.trim_end_matches('/'))
            .find(|uri| uri.starts_with("http") && uri.ends_with(ending))
            .map(str::to_owned)
    };
    let archive = ending("/debian")?;
    let security = ending("/debian-security").unwrap_or_else(|| format!("{archive}-security"));
    Some((archive, security))
}

/// The settings of `apt-config dump` that a machine behind this host needs as well.
fn transferable(dump: &str) -> String {
    const WANTED: [&str; 5] = [
        "Acquire::http::Proxy",
        "Acquire::https::Proxy",
        "Acquire::Check-Valid-Until",
        "Acquire::Check-Date",
        "Acquire::Retries",
    ];
    dump.lines()
        .filter(|line| {
            line.split(' ').next().is_some_and(|key| {
                WANTED.iter().any(|wanted| {
                    key.eq_ignore_ascii_case(wanted)
                        || key
                            .to_ascii_lowercase()
                            .starts_with(&format!("{}::", wanted.to_ascii_lowercase()))
                })
            })
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_of_list_are_read() {
        let one_line = "# deb http://no/debian x main\n\
            deb [arch=amd64 signed-by=/k] http://mirror.example/debian/ bookworm main # why\n\
            deb-src http://src.example/debian bookworm main\n";
        assert_eq!(one_line_uris(one_line), ["http://mirror.example/debian/"]);
        let deb822 = "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\n\n\
            Types: deb\n# why\nURIs: http://a.example/debian-security\nSuites: x\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off.example/debian\n";
        assert_eq!(
            deb822_uris(deb822),
            [
                "http://a.example/debian",
                "http://a.example/debian-security"
            ]
        );
    }

    #[test]
    fn other_vendors_are_passed_over() {
        let uris = ["http://apt.example/tools", "https://m.example/debian/"].map(str::to_owned);
        let (archive, security) = choose(&uris).unwrap();
        assert_eq!(archive, "https://m.example/debian");
        assert_eq!(security, "https://m.example/debian-security");
        assert_eq!(choose(&uris[..1]), None);
    }

    #[test]
    fn only_what_concerns_fetching_is_handed_on() {
        let dump = "APT::Architecture \"amd64\";\n\
            Acquire::http::Proxy \"http://proxy.example:3142\";\n\
            Acquire::http::Proxy::direct.example \"DIRECT\";\n\
            Acquire::GzipIndexes \"true\";\n\
            Acquire::Check-Valid-Until \"false\";\n\
            DPkg::Post-Invoke:: \"rm -f /var/cache/apt/archives/*.deb\";\n";
        assert_eq!(
            transferable(dump),
            "Acquire::http::Proxy \"http://proxy.example:3142\";\n\
             Acquire::http::Proxy::direct.example \"DIRECT\";\n\
             Acquire::Check-Valid-Until \"false\";\n"
        );
    }

    #[test]
    fn a_machine_gets_updates_and_security_too() {
        let apt = Apt {
            archive: "http://a/debian".into(),
            security: "http://a/debian-security".into(),
            config: String::new(),
        };
        assert_eq!(
            apt.sources_list(Release::Trixie),
            "deb http://a/debian trixie main\ndeb http://a/debian trixie-updates main\n\
             deb http://a/debian-security trixie-security main\n"
        );
    }
}
