//! Files that run a mirror by other means than BCM's own clusters: a project for Docker Compose, or
//! units for systemd. They are for people to read, change and keep.

mod compose;
mod environment;
mod folder;
mod options;
mod systemd;
pub(crate) mod unit;
mod write;

pub use self::compose::{BaseImage, DEFAULT_BASE, InvalidImage, compose};
pub use self::environment::{InvalidVariable, Variable};
pub use self::folder::InvalidFolder;
pub use self::options::RenderOptions;
pub use self::systemd::systemd;
pub use self::write::{Change, WriteError, plan, write};

/// One file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// What is in it.
    pub content: String,
    /// Permission bits: `0o600` where there may be a password in it.
    pub mode: u32,
    /// What it is, in a few words.
    pub about: &'static str,
}

impl RenderedFile {
    fn new(name: &'static str, about: &'static str, content: String) -> Self {
        Self {
            name,
            content,
            mode: 0o644,
            about,
        }
    }

    fn private(self) -> Self {
        Self {
            mode: 0o600,
            ..self
        }
    }
}

/// Puts words in the places of a template: `@NAME@`.
fn filled(template: &str, words: &[(&str, &str)]) -> String {
    words
        .iter()
        .fold(template.to_owned(), |text, (name, word)| {
            text.replace(&format!("@{name}@"), word)
        })
}
