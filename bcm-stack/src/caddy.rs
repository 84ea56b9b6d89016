//! Caddy in front of a mirror: TLS for who wants it, plain HTTP for nodes.

mod front;

use std::fmt;

use crate::domain::Domain;

pub use front::{Front, InvalidFront, front_caddyfile};

/// An address that certificate authorities write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail(String);

/// A text is no mail address that can be written into Caddy's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mail address")]
pub struct InvalidMail(String);

impl Mail {
    /// Checks that `text` is of the form `NAME@DOMAIN`.
    ///
    /// # Errors
    /// It is not, or has a character that means something to Caddy.
    pub fn new(text: &str) -> Result<Self, InvalidMail> {
        let invalid = || InvalidMail(text.to_owned());
        let (name, domain) = text.split_once('@').ok_or_else(invalid)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".!%&'*+-/=?^_~".contains(&b);
        let fits = !name.is_empty() && name.bytes().all(plain) && Domain::new(domain).is_ok();
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(invalid()),
        }
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where certificates come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tls {
    /// A public authority, by ACME: the names have to lead here from the whole internet. With the
    /// address that it may write to.
    Automatic(Option<Mail>),
    /// An authority of Caddy's own, which clients are to be told of.
    #[default]
    Internal,
    /// Files that are given.
    Files(CertificateFiles),
}

/// A certificate and its key, as Caddy finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    certificate: String,
    key: String,
}

/// A path has a character that means something to Caddy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path {0:?} cannot be written into Caddy's file; give one without quotes, braces and backslashes"
)]
pub struct InvalidPath(String);

impl CertificateFiles {
    /// `certificate`: the chain, PEM, which has to cover all names; `key`: its key, PEM.
    ///
    /// # Errors
    /// A path has quotes, braces, backslashes or control characters.
    pub fn new(certificate: &str, key: &str) -> Result<Self, InvalidPath> {
        for path in [certificate, key] {
            let special = |c: char| "\"`{}\\".contains(c) || c.is_control();
            if path.is_empty() || path.contains(special) {
                return Err(InvalidPath(path.to_owned()));
            }
        }
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    fn directive(&self) -> String {
        let Self { certificate, key } = self;
        format!("\ttls \"{certificate}\" \"{key}\"\n")
    }
}

/// Where the mirror's own servers listen, as Caddy reaches them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backends {
    /// The Hub's, each `HOST:PORT`.
    pub hub: Vec<String>,
    /// The Bootstrap's, each `HOST:PORT`.
    pub bootstrap: Vec<String>,
}

/// The port, of loopback alone, at which Caddy says whether it runs.
pub const HEALTH_PORT: u16 = 8099;

/// The file that Caddy 2.6 and later reads. Every name answers on port 80 as well, without a redirect: nodes
/// probe and boot by plain HTTP. What only the operator is to see, is answered with 404. Nothing is
/// buffered, and Caddy's administration is off.
#[must_use]
pub fn caddyfile(domain: &Domain, tls: &Tls, backends: &Backends) -> String {
    file(&domain.names(), tls, backends)
}

/// The same for the domain that Caddy finds in its environment variable `DOMAIN`.
#[must_use]
pub fn caddyfile_by_variable(tls: &Tls, backends: &Backends) -> String {
    file(&crate::domain::names("{$DOMAIN}"), tls, backends)
}

fn file(names: &[String; 3], tls: &Tls, backends: &Backends) -> String {
    let mail = match tls {
        Tls::Automatic(Some(mail)) => format!("\temail {mail}\n"),
        _ => String::new(),
    };
    let certificates = match tls {
        Tls::Automatic(_) => String::new(),
        Tls::Internal => "\ttls internal\n".to_owned(),
        Tls::Files(files) => files.directive(),
    };
    let [hub, bootstrap] = [&backends.hub, &backends.bootstrap].map(|all| proxy(all));
    let sites = sites(names, &certificates, "", [Some(hub), Some(bootstrap)]);
    format!("{{\n\tadmin off\n{mail}}}\n\n{sites}")
}

/// The sites. `certificates` is what those with TLS say of it, `plain` what those say first that have TLS and
/// answer without it; `proxies` are what all of them do, for the Hub and for the Bootstrap. What there is
/// none of has no sites.
fn sites(
    [hub, bootstrap, unsecure]: &[String; 3],
    certificates: &str,
    plain: &str,
    proxies: [Option<String>; 2],
) -> String {
    let mut file = format!(
        "# Whether this proxy runs.\n\
         http://127.0.0.1:{HEALTH_PORT} {{\n\tbind 127.0.0.1\n\trespond 200\n}}\n"
    );
    for (name, proxy) in [hub, bootstrap].into_iter().zip(&proxies) {
        let Some(proxy) = proxy else { continue };
        file.push_str(&format!(
            "\nhttp://{name} {{\n{plain}{PRIVATE}{proxy}}}\n\
             \nhttps://{name} {{\n{certificates}{PRIVATE}{proxy}}}\n"
        ));
    }
    if let [_, Some(proxy)] = &proxies {
        file.push_str(&format!("\nhttp://{unsecure} {{\n{PRIVATE}{proxy}}}\n"));
    }
    file
}

/// What no site shows.
const PRIVATE: &str = "\t# Only the operator's business.\n\
                       \t@private path /metrics /metrics/\n\
                       \trespond @private 404\n";

/// What every site does.
fn proxy(backends: &[String]) -> String {
    // With one alone, asking how it is would only turn its own errors into others.
    let health = match backends {
        [] | [_] => "",
        _ => "\t\thealth_uri /healthz\n\t\thealth_interval 5s\n\t\thealth_timeout 5s\n",
    };
    format!(
        "\treverse_proxy {} {{\n\
         \t\tflush_interval -1\n\
         \t\t# A mirror that restarts is waited for.\n\
         \t\tlb_try_duration 5s\n{health}\
         \t}}\n",
        backends.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_cannot_end_the_line_or_open_a_block() {
        assert!(Mail::new("ops+acme@example.org").is_ok());
        for bad in [
            "",
            "@",
            "ops",
            "ops@",
            "@example.org",
            "o ps@example.org",
            "ops@example.org\nadmin on",
            "ops@{env.X}",
            "{env.X}@example.org",
            "a@b@example.org",
            "\"x\"@example.org",
        ] {
            assert!(Mail::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_name_answers_plain_http_and_only_two_have_tls() {
        let domain = Domain::new("example.test").unwrap();
        let backends = Backends {
            hub: vec!["mirror:8080".into()],
            bootstrap: vec!["a:8081".into(), "b:8081".into()],
        };
        let files = CertificateFiles::new("/certs/a b.pem", "/certs/key.pem").unwrap();
        let mail = Mail::new("ops@example.org").unwrap();
        for (tls, words) in [
            (Tls::Automatic(Some(mail)), "\temail ops@example.org\n"),
            (Tls::Internal, "\ttls internal\n"),
            (
                Tls::Files(files),
                "\ttls \"/certs/a b.pem\" \"/certs/key.pem\"\n",
            ),
        ] {
            let file = caddyfile(&domain, &tls, &backends);
            assert!(file.contains(words), "{file}");
            for name in domain.names() {
                assert!(file.contains(&format!("\nhttp://{name} {{")), "{file}");
            }
            assert_eq!(file.matches("\nhttps://").count(), 2);
            assert_eq!(file.matches("respond @private 404").count(), 5);
            // Several backends, in the Bootstrap's three sites.
            assert_eq!(file.matches("health_uri").count(), 3);
        }
    }

    #[test]
    fn paths_cannot_end_a_word() {
        for bad in ["", "a\"b", "a\nb", "{$HOME}", "a\\"] {
            assert!(CertificateFiles::new(bad, "key").is_err(), "{bad:?}");
            assert!(CertificateFiles::new("chain", bad).is_err(), "{bad:?}");
        }
    }
}
