//! Caddy on every member of a cluster, in front of all replicas of the mirror.

use crate::address::is_address;
use crate::domain::Domain;

use super::{Backends, CertificateFiles, Mail, Tls, sites};

/// One of several fronts, each of which leads to the same replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Where certificates come from.
    pub tls: Tls,
    /// The replicas, as they are reached from every front.
    pub backends: Backends,
    /// For [`Tls::Internal`]: the root below which the fronts sign, the same for all of them, so
    /// that clients have one to trust. Without it, each makes one of its own. Caddy keeps what it
    /// signed before, so another root needs an empty folder of its data.
    pub root: Option<CertificateFiles>,
    /// For [`Tls::Automatic`]: the other fronts, each `HOST:PORT` of its plain HTTP. An authority
    /// asks any of them for what one has promised.
    pub others: Vec<String>,
    /// The unix socket that `caddy reload` uses: an absolute path, in a folder that Caddy's user may
    /// write to. Debian's service makes none; `RuntimeDirectory=caddy` makes `/run/caddy`.
    pub administration: String,
    /// Whether the first replica has all requests as long as it answers, rather than each its share.
    pub first: bool,
}

/// A front cannot be written into Caddy's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFront {
    /// There is nothing that it could lead to.
    #[error("a front was given no replica to lead to")]
    NoBackend,
    /// What should be an address and a port is not.
    #[error("{0:?} is not HOST:PORT; an IPv6 address belongs in brackets, as in [2001:db8::1]:80")]
    Address(String),
    /// The path of the socket is not one.
    #[error("{0:?} is not an absolute path that can be written into Caddy's file")]
    Socket(String),
}

/// Marks a challenge that another front has asked for, so that it goes no further.
const FORWARDED: &str = "X-BCM-Challenge";

/// The file of a front, for Caddy 2.6 and later. As [`caddyfile`](super::caddyfile), and:
///
/// - each request goes to the replica that has the fewest under way. One that does not answer `/healthz`
///   with success is left out within 4 seconds, and one that cannot be connected to, or hangs up, at
///   once; a request that met it goes to another, where it was not sent yet or is a `GET` or `HEAD`;
/// - `caddy reload` works, through a socket that only Caddy's own user and root may use;
/// - `X-Forwarded-For`, `-Proto` and `-Host` say who asked this front, whatever the client claims.
///
/// Replicas that are replaced one after the other have to be at least 10 seconds apart, so that every front has
/// seen the one before come back.
///
/// # Errors
/// See [`InvalidFront`].
pub fn front_caddyfile(domain: &Domain, front: &Front) -> Result<String, InvalidFront> {
    let Front {
        tls,
        backends,
        root,
        others,
        administration,
        first,
    } = front;
    check(front)?;
    let mut global = format!("\tadmin unix/{administration}\n");
    let (certificates, plain) = match tls {
        Tls::Automatic(mail) => {
            if let Some(mail) = mail {
                global.push_str(&format!("\temail {mail}\n"));
            }
            match others.is_empty() {
                true => (String::new(), String::new()),
                false => (issuers(mail.as_ref()), challenges(others)),
            }
        }
        Tls::Internal => {
            // The host's own store is not this program's business.
            global.push_str("\tskip_install_trust\n");
            if let Some(CertificateFiles { certificate, key }) = root {
                global.push_str(&format!(
                    "\tpki {{\n\t\tca local {{\n\t\t\troot {{\n\
                     \t\t\t\tcert \"{certificate}\"\n\t\t\t\tkey \"{key}\"\n\
                     \t\t\t}}\n\t\t}}\n\t}}\n"
                ));
            }
            ("\ttls internal\n".to_owned(), String::new())
        }
        Tls::Files(files) => (files.directive(), String::new()),
    };
    // A Hub without a Bootstrap, or the other way round, is a stack too.
    let proxies = [&backends.hub, &backends.bootstrap]
        .map(|all| (!all.is_empty()).then(|| proxy(all, *first)));
    let sites = sites(&domain.names(), &certificates, &plain, proxies);
    Ok(format!("{{\n{global}}}\n\n{sites}"))
}

fn check(front: &Front) -> Result<(), InvalidFront> {
    let Backends { hub, bootstrap } = &front.backends;
    if hub.is_empty() && bootstrap.is_empty() {
        return Err(InvalidFront::NoBackend);
    }
    let addresses = hub.iter().chain(bootstrap).chain(&front.others);
    if let Some(bad) = addresses.into_iter().find(|text| !is_address(text)) {
        return Err(InvalidFront::Address(bad.clone()));
    }
    let socket = &front.administration;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    match socket.starts_with('/') && socket.bytes().all(plain) {
        true => Ok(()),
        false => Err(InvalidFront::Socket(socket.clone())),
    }
}

/// Where certificates come from, when an authority may reach another front than the one that asked it. These are
/// Caddy's own authorities, in its own order. A challenge by TLS ends at the front that it reaches, so only
/// that by HTTP is taken, which can be handed on.
fn issuers(mail: Option<&Mail>) -> String {
    let mail = mail.map_or(String::new(), |mail| format!("\t\t\temail {mail}\n"));
    let issuer = |name: &str| {
        format!("\t\tissuer {name} {{\n{mail}\t\t\tdisable_tlsalpn_challenge\n\t\t}}\n")
    };
    format!("\ttls {{\n{}{}\t}}\n", issuer("acme"), issuer("zerossl"))
}

/// What a front does with a challenge that is not its own: it asks the others, one after the other.
fn challenges(others: &[String]) -> String {
    let mut text = String::new();
    for at in (0..others.len()).rev() {
        let next = match text.is_empty() {
            true => String::new(),
            false => format!("@unknown status 404\nhandle_response @unknown {{\n{text}}}\n"),
        };
        // The first of those that are left, and that can be reached.
        let upstreams = others[at..].join(" ");
        text = format!(
            "reverse_proxy {upstreams} {{\n\
             lb_policy first\nlb_try_duration 5s\nlb_try_interval 100ms\n\
             fail_duration 5s\n\
             header_up {FORWARDED} forwarded\n\
             transport http {{\ndial_timeout 1s\nresponse_header_timeout 3s\n}}\n\
             {next}}}\n"
        );
    }
    let file = format!(
        "# An authority may ask any front for what one has promised.\n\
         @challenge path /.well-known/acme-challenge/*\n\
         handle @challenge {{\n\
         @forwarded header {FORWARDED} *\n\
         respond @forwarded 404\n\
         {text}}}\n"
    );
    indented(&file, 1)
}

/// What every site does.
///
/// Not `flush_interval -1`: Caddy 2.6 binds such requests to the file that they began with, and a reload cuts
/// them off. Answers are handed on as they come anyway.
fn proxy(backends: &[String], first: bool) -> String {
    let policy = if first { "first" } else { "least_conn" };
    // With one alone, leaving it out would only make its absence longer.
    let health = match backends {
        [] | [_] => String::new(),
        _ => format!(
            "lb_policy {policy}\n\
             health_uri /healthz\nhealth_interval 2s\nhealth_timeout 2s\n\
             # Until the next question to it has been answered.\n\
             fail_duration 4s\n"
        ),
    };
    indented(
        &format!(
            "reverse_proxy {} {{\n\
             # A mirror that restarts is waited for.\n\
             lb_try_duration 10s\nlb_try_interval 100ms\n\
             # Beside those that were never sent, only what may be asked twice is asked again.\n\
             lb_retry_match {{\nmethod GET HEAD\n}}\n\
             {health}\
             # A machine that hangs takes connections, and says nothing.\n\
             transport http {{\ndial_timeout 1s\nresponse_header_timeout 8s\n}}\n\
             }}\n",
            backends.join(" ")
        ),
        1,
    )
}

/// `text` with each line indented by the blocks that it is in, beginning at `depth`.
fn indented(text: &str, mut depth: usize) -> String {
    let mut file = String::new();
    for line in text.lines() {
        if line == "}" {
            depth = depth.saturating_sub(1);
        }
        file.push_str(&"\t".repeat(depth));
        file.push_str(line);
        file.push('\n');
        if line.ends_with('{') {
            depth += 1;
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front() -> Front {
        let backends = |port: u16| {
            ["10.0.0.1", "[2001:db8::2]", "10.0.0.3"]
                .map(|host| format!("{host}:{port}"))
                .to_vec()
        };
        Front {
            tls: Tls::Internal,
            backends: Backends {
                hub: backends(8080),
                bootstrap: backends(8081),
            },
            root: None,
            others: Vec::new(),
            administration: "/run/caddy/admin.socket".into(),
            first: false,
        }
    }

    fn file(front: &Front) -> String {
        front_caddyfile(&Domain::new("example.test").unwrap(), front).unwrap()
    }

    #[test]
    fn requests_are_spread_over_all_replicas_and_only_safe_ones_sent_twice() {
        let text = file(&front());
        assert_eq!(text.matches("lb_policy least_conn").count(), 5);
        assert_eq!(text.matches("health_uri /healthz").count(), 5);
        assert_eq!(text.matches("method GET HEAD").count(), 5);
        assert_eq!(text.matches("respond @private 404").count(), 5);
        assert_eq!(
            text.matches("proxy 10.0.0.1:8080 [2001:db8::2]:8080 10.0.0.3:8080 {")
                .count(),
            2
        );
        assert!(text.starts_with("{\n\tadmin unix//run/caddy/admin.socket\n"));
        // Caddy 2.6 cuts such answers off at a reload.
        assert!(!text.contains("flush_interval"), "{text}");
    }

    #[test]
    fn a_replica_alone_is_never_left_out() {
        let mut front = front();
        front.backends.hub.truncate(1);
        front.backends.bootstrap.truncate(1);
        let text = file(&front);
        assert!(!text.contains("health_uri") && !text.contains("fail_duration"));
    }

    #[test]
    fn all_fronts_sign_below_the_root_that_they_are_given() {
        let root = CertificateFiles::new("/etc/caddy/root.crt", "/etc/caddy/root.key").unwrap();
        let text = file(&Front {
            root: Some(root),
            ..front()
        });
        let words =
            "root {\n\t\t\t\tcert \"/etc/caddy/root.crt\"\n\t\t\t\tkey \"/etc/caddy/root.key\"";
        assert!(text.contains(words), "{text}");
        assert!(!file(&front()).contains("pki"));
    }

    #[test]
    fn a_challenge_goes_from_front_to_front_and_never_back() {
        let automatic = Front {
            tls: Tls::Automatic(Some(Mail::new("ops@example.test").unwrap())),
            others: vec!["10.0.0.2:80".into(), "[2001:db8::3]:80".into()],
            ..front()
        };
        let text = file(&automatic);
        // Both names that have certificates.
        assert_eq!(text.matches("handle @challenge").count(), 2);
        assert_eq!(text.matches("respond @forwarded 404").count(), 2);
        assert_eq!(
            text.matches("header_up X-BCM-Challenge forwarded").count(),
            4
        );
        assert!(text.contains("reverse_proxy 10.0.0.2:80 [2001:db8::3]:80 {"));
        assert!(
            text.contains("handle_response @unknown {\n\t\t\t\treverse_proxy [2001:db8::3]:80 {")
        );
        // What cannot be handed on is not offered to the authority.
        assert_eq!(text.matches("disable_tlsalpn_challenge").count(), 4);
        let alone = Front {
            others: Vec::new(),
            ..automatic
        };
        assert!(!file(&alone).contains("challenge"));
    }

    #[test]
    fn a_hub_alone_has_the_hubs_names_alone() {
        let mut front = front();
        front.backends.bootstrap.clear();
        let text = file(&front);
        assert!(text.contains("http://hub.example.test {"));
        assert!(!text.contains("bootstrap.example.test"), "{text}");
    }

    #[test]
    fn what_means_something_to_caddy_gets_into_no_file() {
        let refused = |change: fn(&mut Front)| {
            let mut front = front();
            change(&mut front);
            front_caddyfile(&Domain::new("example.test").unwrap(), &front).unwrap_err()
        };
        let nothing = refused(|front| {
            front.backends.hub.clear();
            front.backends.bootstrap.clear();
        });
        assert_eq!(nothing, InvalidFront::NoBackend);
        for change in [
            (|front| front.backends.hub.push("a:80 }".into())) as fn(&mut Front),
            |front| front.others.push("2001:db8::2:80".into()),
        ] {
            assert!(matches!(refused(change), InvalidFront::Address(_)));
        }
        for change in [
            (|front| front.administration = "admin.socket".into()) as fn(&mut Front),
            |front| front.administration = "/run/{env.X}".into(),
            |front| front.administration = "/run/a b".into(),
        ] {
            assert!(matches!(refused(change), InvalidFront::Socket(_)));
        }
    }
}
