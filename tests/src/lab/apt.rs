//! Where this host gets its packages from, so that the machines use the same.

use std::{path::Path, time::Duration};

use bcm_provision::vm::image::AptSources;

use super::{LabError, Release, process};

/// What the machines need to know of apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Apt {
    /// The mirrors of Debian's archives.
    pub(crate) sources: AptSources,
    /// Settings in apt.conf's form: proxies and what concerns validity dates.
    pub(crate) config: String,
}

impl Apt {
    /// Reads this host's apt configuration; a host that has no mirror of Debian there cannot make machines.
    pub(crate) fn of_host() -> Result<Self, LabError> {
        let dump = process::capture(
            process::command("apt-config").arg("dump"),
            None,
            Duration::from_secs(20),
        )
        .map(|captured| captured.stdout)
        .unwrap_or_default();
        let Some(sources) = AptSources::of_host(Path::new("/etc/apt")) else {
            let what = "a mirror of Debian (a URL that ends in /debian) in this host's apt sources";
            return Err(LabError::Needs(vec![what.to_owned()]));
        };
        Ok(Self {
            sources,
            // Descriptions in a person's language are half of what is read, and nobody reads them.
            config: transferable(&dump) + "Acquire::Languages \"none\";\n",
        })
    }

    /// `sources.list` of a machine.
    pub(crate) fn sources_list(&self, release: Release) -> String {
        let lines = self.sources.lines(release.name());
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
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
            sources: AptSources {
                archive: "http://a/debian".into(),
                security: "http://a/debian-security".into(),
            },
            config: String::new(),
        };
        assert_eq!(
            apt.sources_list(Release::Trixie),
            "deb http://a/debian trixie main\ndeb http://a/debian trixie-updates main\n\
             deb http://a/debian-security trixie-security main\n"
        );
    }
}
