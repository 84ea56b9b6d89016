//! A project for Docker Compose.

use super::environment;
use super::{RenderOptions, RenderedFile, filled};
use crate::caddy::{self, Backends, Tls};

/// The image that the project's own are built from, where nothing else is said. It has to have
/// `apt-get`, and a C library no older than the one that `bcm` was built with.
pub const DEFAULT_BASE: &str = "debian:trixie-slim";

/// The ports inside the mirror's container.
const HUB: u16 = 8080;
const BOOTSTRAP: u16 = 8081;
const ZDB: u16 = 9900;

/// The user inside the containers, whom nobody on the host is likely to be.
const USER: &str = "10900:10900";

/// A text is no name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of an image, such as {DEFAULT_BASE}")]
pub struct InvalidImage(String);

/// The name of the image that a project's own are built from. Default [`DEFAULT_BASE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage(String);

impl Default for BaseImage {
    fn default() -> Self {
        Self(DEFAULT_BASE.to_owned())
    }
}

impl BaseImage {
    /// Checks that `name` can be one.
    ///
    /// # Errors
    /// It is no name of an image.
    pub fn new(name: &str) -> Result<Self, InvalidImage> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
        let begins = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        match begins && name.bytes().all(fits) {
            true => Ok(Self(name.to_owned())),
            false => Err(InvalidImage(name.to_owned())),
        }
    }
}

/// The project's files. The program `bcm` itself has to be put beside them, for the images are made
/// of it. Given certificates are expected at `/certs/fullchain.pem` and `/certs/key.pem` in Caddy's
/// container, which is where the project puts its folder `certs`.
#[must_use]
pub fn compose(options: &RenderOptions, base: &BaseImage) -> Vec<RenderedFile> {
    let domain = &options.domain;
    let backends = Backends {
        hub: vec![format!("mirror:{HUB}")],
        bootstrap: vec![format!("mirror:{BOOTSTRAP}")],
    };
    let needed = [
        ("BCM_DATA", "/data".to_owned()),
        ("BCM_HUB_HTTP", format!(":{HUB}")),
        ("BCM_HUB_ZDB", format!(":{ZDB}")),
        ("BCM_BOOTSTRAP_HTTP", format!(":{BOOTSTRAP}")),
        environment::bootstrap_upstream(&options.set),
    ];
    let (certs, note) = match options.tls {
        Tls::Files(_) => (
            "\n      - ./certs:/certs:ro",
            include_str!("templates/certificates_files.md"),
        ),
        Tls::Internal => ("", include_str!("templates/certificates_internal.md")),
        Tls::Automatic(_) => ("", include_str!("templates/certificates_automatic.md")),
    };
    let note = note.trim_end();
    let health = caddy::HEALTH_PORT.to_string();
    let (hub, bootstrap, zdb) = (HUB.to_string(), BOOTSTRAP.to_string(), ZDB.to_string());
    let words = [
        ("CERTIFICATES", note),
        ("DOMAIN", domain.as_str()),
        ("BASE", &base.0),
        ("FOLDER", options.folder.as_str()),
        ("USER", USER),
        ("CERTS", certs),
        ("HUB", &hub),
        ("BOOTSTRAP", &bootstrap),
        ("ZDB", &zdb),
        ("HEALTH", &health),
    ];
    let file = |name, about, template| RenderedFile::new(name, about, filled(template, &words));
    vec![
        file(
            "compose.yaml",
            "the containers",
            include_str!("templates/compose.yaml"),
        ),
        file(
            "Dockerfile",
            "their images",
            include_str!("templates/Dockerfile"),
        ),
        file(
            ".dockerignore",
            "what images are not made of",
            include_str!("templates/dockerignore"),
        ),
        file(
            ".env",
            "domain, data folder, image to build from",
            include_str!("templates/env"),
        ),
        RenderedFile::new(
            "mirror.env",
            "the mirror's settings",
            environment::file(&needed, &options.set),
        )
        .private(),
        RenderedFile::new(
            "Caddyfile",
            "TLS and names",
            caddy::caddyfile_by_variable(&options.tls, &backends),
        ),
        file(
            "README.md",
            "how to start and care for it",
            include_str!("templates/compose.md"),
        ),
    ]
}
