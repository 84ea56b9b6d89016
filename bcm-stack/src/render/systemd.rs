//! Units for a plain host with systemd.

use super::environment;
use super::unit;
use super::{RenderOptions, RenderedFile, filled};
use crate::caddy::{self, Backends};

/// The ports on the host. Hub and Bootstrap are reached through Caddy.
const HUB: &str = "127.0.0.1:8080";
const BOOTSTRAP: &str = "127.0.0.1:8081";

/// Where the units find the mirror's settings.
const VARIABLES: &str = "EnvironmentFile=/etc/bcm/bcm.env\n";

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
    let folder = options.folder.as_str();
    let words = [("DOMAIN", domain.as_str()), ("FOLDER", folder)];
    let file = |name, about, template| RenderedFile::new(name, about, filled(template, &words));
    vec![
        RenderedFile::new(
            "bcm.service",
            "syncs and serves",
            unit::service("/usr/local/bin/bcm stack start --here", VARIABLES, folder),
        ),
        RenderedFile::new(
            "bcm-gc.service",
            "gives back what nothing needs",
            unit::gc_service("/usr/local/bin/bcm hub gc", VARIABLES, folder),
        ),
        RenderedFile::new(
            "bcm-gc.timer",
            "does so every week",
            unit::GC_TIMER.to_owned(),
        ),
        RenderedFile::new("bcm.sysusers", "the mirror's user", unit::sysusers(folder)),
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
