//! Where a Debian host gets its packages from, so that its machines do the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a machine needs to know of this host's apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSources {
    /// The mirror of Debian's main archive.
    pub archive: String,
    /// The mirror of Debian's security archive.
    pub security: String,
}

/// Which system this host runs, from `os-release`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostRelease {
    /// `debian`, `ubuntu`, …
    pub id: String,
    /// `bookworm`, …
    pub codename: String,
}

impl HostRelease {
    /// Reads the text of an `os-release` file (os-release(5)).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let value = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
                .unwrap_or_default()
        };
        Self {
            id: value("ID"),
            codename: value("VERSION_CODENAME"),
        }
    }

    /// That of this machine.
    #[must_use]
    pub fn of_host() -> Self {
        Self::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }
}

impl AptSources {
    /// Reads the lists in the folder `apt`, `/etc/apt`. `None` where no mirror of Debian is in them.
    #[must_use]
    pub fn of_host(apt: &Path) -> Option<Self> {
        let mut files: BTreeSet<PathBuf> = BTreeSet::new();
        if let Ok(folder) = fs::read_dir(apt.join("sources.list.d")) {
            files.extend(folder.flatten().map(|entry| entry.path()));
        }
        let mut uris = Vec::new();
        for path in std::iter::once(apt.join("sources.list")).chain(files) {
            // A list that cannot be read is as good as none.
            let text = fs::read_to_string(&path).unwrap_or_default();
            match path.extension().and_then(|e| e.to_str()) {
                Some("sources") => uris.extend(deb822(&text)),
                Some("list") => uris.extend(one_line(&text)),
                _ => {}
            }
        }
        Self::choose(&uris)
    }

    /// Debian's two archives among `uris`, which may be of other vendors, too. Where the one for
    /// security is not named, it is beside the main one, as on every full mirror.
    fn choose(uris: &[String]) -> Option<Self> {
        let ending = |ending: &str| {
            uris.iter()
                .map(|uri| uri.trim_end_matches('/'))
                .find(|uri| uri.starts_with("http") && uri.ends_with(ending))
                .map(str::to_owned)
        };
        let archive = ending("/debian")?;
        let security = ending("/debian-security").unwrap_or_else(|| format!("{archive}-security"));
        Some(Self { archive, security })
    }

    /// The lines of a machine's `sources.list`.
    #[must_use]
    pub fn lines(&self, codename: &str) -> Vec<String> {
        let Self { archive, security } = self;
        vec![
            format!("deb {archive} {codename} main"),
            format!("deb {archive} {codename}-updates main"),
            format!("deb {security} {codename}-security main"),
        ]
    }
}

/// sources.list(5): `deb [options] URI suite component…`.
fn one_line(text: &str) -> Vec<String> {
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

/// sources.list(5): fields `URIs:` of stanzas that are enabled.
fn deb822(text: &str) -> Vec<String> {
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    text.split("\n\n")
        .filter(|stanza| field(stanza, "Enabled").is_none_or(|v| !v.eq_ignore_ascii_case("no")))
        .filter(|stanza| field(stanza, "Types").is_some_and(|t| t.contains("deb")))
        .filter_map(|stanza| field(stanza, "URIs"))
        .flat_map(|uris| {
            let uris: Vec<String> = uris.split_whitespace().map(str::to_owned).collect();
            uris
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_of_list_are_read_and_other_vendors_passed_over() {
        let apt = tempfile::tempdir().unwrap();
        let lists = apt.path().join("sources.list.d");
        fs::create_dir(&lists).unwrap();
        assert_eq!(AptSources::of_host(apt.path()), None);
        fs::write(
            lists.join("a.list"),
            "# deb http://no.example/debian x main\ndeb [arch=amd64] https://apt.example/tools x main\n",
        )
        .unwrap();
        assert_eq!(AptSources::of_host(apt.path()), None);
        fs::write(
            lists.join("b.sources"),
            "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\n\n\
             Types: deb\nURIs: http://m.example/debian/\nSuites: bookworm\n",
        )
        .unwrap();
        let sources = AptSources::of_host(apt.path()).unwrap();
        assert_eq!(
            sources.lines("bookworm"),
            [
                "deb http://m.example/debian bookworm main",
                "deb http://m.example/debian bookworm-updates main",
                "deb http://m.example/debian-security bookworm-security main",
            ]
        );
    }

    #[test]
    fn both_styles_of_list_are_read() {
        let one_line = "# deb http://no/debian x main\n\
            deb [arch=amd64 signed-by=/k] http://mirror.example/debian/ bookworm main # why\n\
            deb-src http://src.example/debian bookworm main\n";
        assert_eq!(super::one_line(one_line), ["http://mirror.example/debian/"]);
        let deb822 = "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\n\n\
            Types: deb\n# why\nURIs: http://a.example/debian-security\nSuites: x\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off.example/debian\n";
        assert_eq!(
            super::deb822(deb822),
            [
                "http://a.example/debian",
                "http://a.example/debian-security"
            ]
        );
    }

    #[test]
    fn other_vendors_are_passed_over() {
        let uris = ["http://apt.example/tools", "https://m.example/debian/"].map(str::to_owned);
        let AptSources { archive, security } = AptSources::choose(&uris).unwrap();
        assert_eq!(archive, "https://m.example/debian");
        assert_eq!(security, "https://m.example/debian-security");
        assert_eq!(AptSources::choose(&uris[..1]), None);
    }

    #[test]
    fn the_release_is_read() {
        let release = HostRelease::parse("ID=debian\nVERSION_CODENAME=\"bookworm\"\n");
        assert_eq!(
            (release.id.as_str(), release.codename.as_str()),
            ("debian", "bookworm")
        );
        assert_eq!(HostRelease::parse(""), HostRelease::default());
    }
}
