//! What is rendered.

use super::InvalidFolder;
use super::environment::Variable;
use super::folder::Folder;
use crate::caddy::Tls;
use crate::domain::Domain;

/// What the files are made from.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    pub(super) domain: Domain,
    pub(super) tls: Tls,
    pub(super) folder: Folder,
    pub(super) set: Vec<Variable>,
}

impl RenderOptions {
    /// For `domain`, with an authority of Caddy's own and its data in `/srv/bcm`.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            tls: Tls::Internal,
            folder: Folder::default(),
            set: Vec::new(),
        }
    }

    /// The same with certificates from elsewhere.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// The same with its data in another folder.
    ///
    /// # Errors
    /// The path is not absolute, or has a character that means something to Compose or systemd.
    pub fn with_folder(self, folder: &str) -> Result<Self, InvalidFolder> {
        Ok(Self {
            folder: Folder::new(folder)?,
            ..self
        })
    }

    /// The same with the operator's own settings of the mirror.
    #[must_use]
    pub fn with_settings(self, set: Vec<Variable>) -> Self {
        Self { set, ..self }
    }
}
