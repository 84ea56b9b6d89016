//! What BCM itself makes for the instances of its own stacks: settings, units, the front's files.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::caddy::{Backends, CertificateFiles, Front, InvalidFront, Tls, front_caddyfile};
use crate::domain::Domain;
use crate::haproxy::{InvalidZdbFront, ZDB_PORT, ZdbFront, haproxy_cfg};
use crate::place::{Placement, Replica};
use crate::render::unit;

/// What `made` in a manifest can name.
pub(crate) const MADE: &[&str] = &[
    "bcm",
    "bcm.toml",
    "mirror.service",
    "hub.service",
    "bootstrap.service",
    "bootstrap-sync.service",
    "gc.service",
    "gc.timer",
    "sysusers",
    "caddyfile",
    "caddy-drop-in",
    "tls.pem",
    "tls.key",
    "haproxy.cfg",
];

/// The kinds whose replicas hold a mirror, and the stacks that are named for them.
pub const HOLDS: [&str; 3] = ["mirror", "hub", "bootstrap"];

/// The folder that everything is kept in, in an instance.
const FOLDER: &str = "/srv/bcm";

/// Where the front has the certificate or root that it was given.
const GIVEN: (&str, &str) = ("/etc/caddy/tls.pem", "/etc/caddy/tls.key");

/// The socket that Caddy is reloaded by; its folder is made by the unit's drop-in.
const ADMINISTRATION: &str = "/run/caddy/administration.sock";

/// The ports in an instance, and the member's that lead there from other members.
const HUB: (u16, u16) = (8080, 18080);
const BOOTSTRAP: (u16, u16) = (8081, 18081);
const ZDB: (u16, u16) = (ZDB_PORT, 19900);

/// How often replicas look at those before them. It costs two requests.
const INTERVAL: &str = "15s";

/// How long replicas keep what those before them have not any more.
const KEPT: &str = "10m";

/// Where metrics are, for who is in the instance.
const METRICS: &str = "127.0.0.1:9100";

/// The port of plain HTTP, at which fronts ask each other for an authority's challenges.
const PLAIN: u16 = 80;

/// A setting of `bcm`, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its name with its section, such as `hub.repo`.
    pub name: String,
    /// Its value.
    pub value: toml::Value,
}

/// Where mirrors that stand on their own get what they have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstreams {
    /// Hubs, as URLs.
    pub hub: Vec<String>,
    /// 0-dbs, as `zdb://…`.
    pub zdb: Vec<String>,
    /// Bootstraps, as URLs.
    pub bootstrap: Vec<String>,
}

/// What the Hub is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HubMode {
    /// It follows an upstream.
    #[default]
    Mirror,
    /// It was a mirror, and stands alone since. Its first replica is published into, the others mirror that.
    Detached,
    /// It never had an upstream. Its first replica is published into, the others mirror that.
    Standalone,
}

impl HubMode {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Detached => "detached",
            Self::Standalone => "standalone",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Mirror, Self::Detached, Self::Standalone]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }

    /// Whether it stands alone.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self != Self::Mirror
    }
}

/// What the files are made from.
#[derive(Clone)]
pub struct MirrorFiles {
    /// The program `bcm`.
    pub program: Bytes,
    /// The domain of the names.
    pub domain: Domain,
    /// Where certificates come from. The paths of [`Tls::Files`] are not used: the files are
    /// `given`.
    pub tls: Tls,
    /// A certificate and its key, or the root below which the fronts sign and its key: PEM.
    pub given: Option<(String, String)>,
    /// What the operator set; what a replica needs for itself goes before it.
    pub settings: Vec<Setting>,
    /// Where the mirror gets what it has.
    pub upstreams: Upstreams,
    /// What the Hub is.
    pub mode: HubMode,
}

impl std::fmt::Debug for MirrorFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither keys nor settings with passwords.
        f.debug_struct("MirrorFiles")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// A file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The front of HTTP.
    #[error(transparent)]
    Front(#[from] InvalidFront),
    /// The front of the 0-db.
    #[error(transparent)]
    Zdb(#[from] InvalidZdbFront),
    /// The settings.
    #[error("the settings cannot be written as TOML")]
    Settings(#[from] toml::ser::Error),
    /// Nobody makes it: the stack has a part of a mirror, and nothing was said about a mirror.
    #[error("{0:?} is made of a mirror's settings, which were not given")]
    NotGiven(String),
}

impl MirrorFiles {
    /// The domain and where certificates come from, as instances say it of themselves: a root that was made for
    /// one domain is of no use to another.
    #[must_use]
    pub fn names(&self) -> String {
        names(&self.domain, &self.tls)
    }

    /// What is called `made`, for the replica `at` of `placement`.
    ///
    /// # Errors
    /// See [`MakeError`].
    pub fn make(
        &self,
        made: &str,
        at: &Replica,
        placement: &Placement,
    ) -> Result<Bytes, MakeError> {
        let main =
            |command: &str| format!("/usr/local/bin/bcm --config /etc/bcm/bcm.toml {command}");
        let service = |exec: &str| unit::service(exec, "", FOLDER);
        // Asked for again at every start, it changes nothing any more.
        let first = match self.mode {
            HubMode::Detached if at.number == 1 => format!("ExecStartPre={}\n", main("hub detach")),
            HubMode::Standalone if at.number == 1 => {
                format!("ExecStartPre={}\n", main("hub standalone"))
            }
            _ => String::new(),
        };
        let hub = |exec: &str| unit::service(exec, &first, FOLDER);
        let given = |part: fn(&(String, String)) -> &String| {
            self.given
                .as_ref()
                .map(|pair| part(pair).clone())
                .unwrap_or_default()
        };
        let text = match made {
            "bcm" => return Ok(self.program.clone()),
            "bcm.toml" => self.settings(at, placement)?,
            "mirror.service" => hub(&main("stack start --here")),
            "hub.service" => hub(&main("stack start --here --without-bootstrap")),
            "bootstrap.service" => service(&main("bootstrap serve")),
            "bootstrap-sync.service" => service(&main("bootstrap sync --follow")),
            "gc.service" => unit::gc_service(&main("hub gc"), "", FOLDER),
            "gc.timer" => unit::GC_TIMER.to_owned(),
            "sysusers" => unit::sysusers(FOLDER),
            "caddyfile" => self.caddyfile(at, placement)?,
            "caddy-drop-in" => {
                "[Service]\nRuntimeDirectory=caddy\nRuntimeDirectoryMode=0700\nRestart=on-failure\nRestartSec=2s\n"
                    .to_owned()
            }
            "tls.pem" => given(|pair| &pair.0),
            "tls.key" => given(|pair| &pair.1),
            "haproxy.cfg" => haproxy_cfg(&ZdbFront {
                port: ZDB_PORT,
                backends: main_replicas(placement).map(|r| reached(r, ZDB)).collect(),
                first: self.mode.is_writable(),
                health: Some(HUB.1),
            })?,
            other => return Err(MakeError::NotGiven(other.to_owned())),
        };
        Ok(text.into())
    }

    /// `bcm.toml`. The first replica mirrors the upstreams; each other one the replicas before it, and
    /// the upstreams when none of those answers. So upstream is asked once. Of a Hub that stands alone, they
    /// mirror nothing but the replicas before them.
    fn settings(&self, at: &Replica, placement: &Placement) -> Result<String, toml::ser::Error> {
        let before = || {
            placement
                .of(&at.kind)
                .filter(|replica| replica.number < at.number)
        };
        let url = |scheme: &str, replica: &Replica, ports| {
            format!("{scheme}://{}", reached(replica, ports))
        };
        let list = |peers: Vec<String>, upstreams: &[String]| {
            let all = peers.into_iter().chain(upstreams.iter().cloned());
            toml::Value::Array(all.map(toml::Value::String).collect())
        };
        let peers = |scheme, ports| {
            before()
                .map(|replica| url(scheme, replica, ports))
                .collect()
        };
        let alone = self.mode.is_writable() && at.number > 1;
        let (hubs, zdbs): (&[String], &[String]) = match alone {
            true => (&[], &[]),
            false => (&self.upstreams.hub, &self.upstreams.zdb),
        };
        let text = |text: String| toml::Value::String(text);
        let local = |(port, _): (u16, u16)| text(format!("127.0.0.1:{port}"));
        let needed = [
            ("data", text(FOLDER.to_owned())),
            // The members' ports lead to the servers' own addresses; these are the operator's business.
            ("metrics", text(METRICS.to_owned())),
            ("hub.http", local(HUB)),
            ("hub.zdb", local(ZDB)),
            ("hub.upstream", list(peers("http", HUB), hubs)),
            ("hub.upstream-zdb", list(peers("zdb", ZDB), zdbs)),
            ("bootstrap.http", local(BOOTSTRAP)),
            (
                "bootstrap.upstream",
                list(peers("http", BOOTSTRAP), &self.upstreams.bootstrap),
            ),
            (
                "bootstrap.boot-url",
                text(format!("http://{}", self.domain.unsecure_bootstrap())),
            ),
        ];
        let mut file = toml::Table::new();
        let mut set = |name: &str, value: toml::Value| match name.split_once('.') {
            Some((section, key)) => {
                let section = file
                    .entry(section)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let Some(section) = section.as_table_mut() {
                    section.insert(key.to_owned(), value);
                }
            }
            None => {
                file.insert(name.to_owned(), value);
            }
        };
        for setting in &self.settings {
            set(&setting.name, setting.value.clone());
        }
        for (name, value) in needed {
            set(name, value);
        }
        // What one has, the others have soon: a client may get an flist from one, its blocks from another.
        if at.number > 1 {
            set("hub.interval", text(INTERVAL.to_owned()));
            set("bootstrap.interval", text(INTERVAL.to_owned()));
            // What is deleted was kept for its time by the first.
            set("hub.delete-after", text(KEPT.to_owned()));
            set("bootstrap.delete-after", text(KEPT.to_owned()));
        }
        Ok(format!(
            "# Written by `bcm stack start`, which replaces it.\n{}",
            toml::to_string(&file)?
        ))
    }

    fn caddyfile(&self, at: &Replica, placement: &Placement) -> Result<String, InvalidFront> {
        let given = || CertificateFiles::new(GIVEN.0, GIVEN.1).ok();
        let (tls, root) = match &self.tls {
            Tls::Internal => (Tls::Internal, self.given.as_ref().and_then(|_| given())),
            Tls::Files(files) => (Tls::Files(given().unwrap_or_else(|| files.clone())), None),
            other => (other.clone(), None),
        };
        let reached_by = |of: &str, ports| {
            let serves = |r: &&Replica| r.kind == of || r.kind == "mirror";
            main_replicas(placement)
                .filter(serves)
                .map(|r| reached(r, ports))
                .collect()
        };
        let others = placement
            .of(&at.kind)
            .filter(|front| front.number != at.number);
        front_caddyfile(
            &self.domain,
            &Front {
                tls,
                backends: Backends {
                    hub: reached_by("hub", HUB),
                    bootstrap: reached_by("bootstrap", BOOTSTRAP),
                },
                root,
                others: others.map(|front| socket(front, PLAIN)).collect(),
                administration: ADMINISTRATION.to_owned(),
                // What was published is seen at once, and what is published gets where it belongs.
                first: self.mode.is_writable(),
            },
        )
    }
}

/// See [`MirrorFiles::names`].
#[must_use]
pub fn names(domain: &Domain, tls: &Tls) -> String {
    let whence = match tls {
        Tls::Automatic(_) => "automatic",
        Tls::Internal => "internal",
        Tls::Files(_) => "files",
    };
    format!("{domain} {whence}")
}

/// The replicas of the mirror itself.
fn main_replicas(placement: &Placement) -> impl Iterator<Item = &Replica> {
    placement
        .replicas
        .iter()
        .filter(|replica| HOLDS.contains(&replica.kind.as_str()))
}

/// How other members reach a server of `replica`.
fn reached(replica: &Replica, (_, member): (u16, u16)) -> String {
    socket(replica, member)
}

fn socket(replica: &Replica, port: u16) -> String {
    SocketAddr::new(replica.address, port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::built_in;
    use crate::place::{Member, Scale, place};

    fn placement(stack: &str) -> Placement {
        let manifest = built_in(stack).unwrap().unwrap();
        let member = |n: u8| Member {
            name: format!("node{n}"),
            address: [10, 0, 0, n].into(),
            failure_domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            online: true,
        };
        let members: Vec<Member> = (1..=3).map(member).collect();
        place(&manifest, &members, &[], Scale::Cluster).unwrap()
    }

    fn files(tls: Tls) -> MirrorFiles {
        MirrorFiles {
            program: Bytes::from_static(b"\x7fELF"),
            domain: Domain::new("example.test").unwrap(),
            tls,
            given: Some(("CERT".to_owned(), "KEY".to_owned())),
            settings: vec![
                Setting {
                    name: "hub.repo".to_owned(),
                    value: vec!["tf-*"].into(),
                },
                Setting {
                    name: "hub.http".to_owned(),
                    value: ":80".into(),
                },
            ],
            upstreams: Upstreams {
                hub: vec!["https://hub.example".to_owned()],
                zdb: vec!["zdb://hub.example:9900".to_owned()],
                bootstrap: vec!["https://boot.example".to_owned()],
            },
            mode: HubMode::Mirror,
        }
    }

    #[test]
    fn only_the_first_replica_asks_upstream_first() {
        let placement = placement("mirror");
        let files = files(Tls::Internal);
        let upstreams = |index: usize| {
            let at = placement.of("mirror").nth(index).unwrap();
            let text = files.make("bcm.toml", at, &placement).unwrap();
            let table: toml::Table = std::str::from_utf8(&text).unwrap().parse().unwrap();
            assert_eq!(table["hub"]["http"].as_str(), Some("127.0.0.1:8080"));
            assert_eq!(table["hub"]["repo"][0].as_str(), Some("tf-*"));
            format!(
                "{} {}",
                table["hub"]["upstream"], table["hub"]["upstream-zdb"]
            )
        };
        assert_eq!(
            upstreams(0),
            r#"["https://hub.example"] ["zdb://hub.example:9900"]"#
        );
        assert_eq!(
            upstreams(2),
            concat!(
                r#"["http://10.0.0.1:18080", "http://10.0.0.2:18080", "https://hub.example"] "#,
                r#"["zdb://10.0.0.1:19900", "zdb://10.0.0.2:19900", "zdb://hub.example:9900"]"#
            )
        );
    }

    #[test]
    fn a_hub_that_stands_alone_is_mirrored_by_the_others_and_by_nothing_else() {
        let placement = placement("mirror");
        let files = MirrorFiles {
            mode: HubMode::Detached,
            ..files(Tls::Internal)
        };
        let text = |made: &str, index: usize| {
            let at = placement.of("mirror").nth(index).unwrap();
            let text = files.make(made, at, &placement).unwrap();
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert!(text("mirror.service", 0).contains("ExecStartPre="));
        assert!(!text("mirror.service", 1).contains("ExecStartPre="));
        let second = text("bcm.toml", 1);
        assert!(!second.contains("hub.example"), "{second}");
        assert!(
            second.contains("http://10.0.0.1:18080") && second.contains("15s"),
            "{second}"
        );
        assert!(second.contains("boot.example"), "{second}");
        assert!(text("caddyfile", 0).contains("lb_policy first"));
        assert!(text("haproxy.cfg", 0).contains("10.0.0.2:19900 backup"));
    }

    #[test]
    fn everything_that_a_manifest_can_name_is_made() {
        for stack in HOLDS {
            let placement = placement(stack);
            let files = files(Tls::Internal);
            let manifest = built_in(stack).unwrap().unwrap();
            for kind in &manifest.instances {
                let at = placement.of(&kind.name).next().unwrap();
                let made = kind.files.iter().filter_map(|file| file.made.as_deref());
                for made in made.chain(kind.units.iter().filter_map(|unit| unit.made.as_deref())) {
                    let text = files.make(made, at, &placement).unwrap();
                    assert!(!text.is_empty(), "{made}");
                    assert!(!text.windows(8).any(|w| w == b"@FOLDER@"), "{made}");
                }
            }
        }
    }
}
