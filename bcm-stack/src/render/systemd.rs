//! Units for a plain host with systemd.

use super::environment;
use super::{RenderOptions, RenderedFile, filled};
use crate::caddy::{self, Backends};

/// The ports on the host. Hub and Bootstrap are reached through Caddy.
const HUB: &str = "127.0.0.1:8080";
const BOOTSTRAP: &str = "127.0.0.1:8081";

/// The units and what goes with them.
#[must_use]
pub fn systemd(options: &RenderOptions) -> Vec<RenderedFile> {
    let domain = &options.domain;
    let backends = Backends {
        hub: vec![HUB.to_owned()],
        bootstrap: vec![BOOTSTRAP.to_owned()],
    };
    let needed = [
        ("BCM_DATA", options.folder.as_str().to_owned()),
        ("BCM_HUB_HTTP", HUB.to_owned()),
        ("BCM_BOOTSTRAP_HTTP", BOOTSTRAP.to_owned()),
        environment::boot_url(domain),
        environment::bootstrap_upstream(&options.set),
    ];
    let words = [
        ("DOMAIN", domain.as_str()),
        ("FOLDER", options.folder.as_str()),
    ];
    let file = |name, about, template| RenderedFile::new(name, about, filled(template, &words));
    vec![
        file(
            "bcm.service",
            "syncs and serves",
            include_str!("templates/bcm.service"),
        ),
        file(
            "bcm-gc.service",
            "gives back what nothing needs",
            include_str!("templates/bcm-gc.service"),
        ),
        file(
            "bcm-gc.timer",
            "does so every week",
            include_str!("templates/bcm-gc.timer"),
        ),
        file(
            "bcm.sysusers",
            "the mirror's user",
            include_str!("templates/bcm.sysusers"),
        ),
        RenderedFile::new(
            "bcm.env",
            "the mirror's settings",
            environment::file(&needed, &options.set),
        )
        .private(),
        RenderedFile::new(
            "Caddyfile",
            "TLS and names",
            caddy::caddyfile(domain, &options.tls, &backends),
        ),
        file(
            "README.md",
            "how to install and care for it",
            include_str!("templates/systemd.md"),
        ),
    ]
}
