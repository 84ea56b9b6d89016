//! Which part of an upstream's catalogue is mirrored.
//!
//! A selection says where to begin; [`choose`] follows every link from there, so that what is
//! mirrored is complete in itself: a link's flist, a tag link's tag and the flists of its links
//! come along, in whatever repository they live.

mod follow;

use bcm_core::names::RepoName;
use bcm_core::patterns::Patterns;

pub use bcm_core::patterns::InvalidPattern;
pub use follow::{MAX_CHAIN, Wanted, choose};

/// A set of repositories that is useful as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// The smallest set that Zero-OS nodes boot, upgrade and run from: `tf-zos`,
    /// `tf-autobuilder`, `tf-official-apps` and `tf-official-vms`.
    Zos,
}

impl Profile {
    /// The repositories of the profile.
    #[must_use]
    pub fn repositories(self) -> &'static [&'static str] {
        match self {
            Self::Zos => &[
                "tf-zos",
                "tf-autobuilder",
                "tf-official-apps",
                "tf-official-vms",
            ],
        }
    }
}

/// Where mirroring begins. The default is everything.
///
/// ```
/// use bcm_hub_sync::catalog::selection::Selection;
///
/// let selection = Selection::new(&["tf-*", "!tf-test*"], &["*.flist"], None)?;
/// assert!(selection.repository(&"tf-zos".parse()?));
/// assert!(!selection.repository(&"tf-testing".parse()?));
/// assert!(!selection.name("production"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Selection {
    repositories: Patterns,
    names: Patterns,
}

impl Selection {
    /// Takes the repositories that match one of the globs `repositories` or belong to `profile`,
    /// and of those what matches one of the globs `names`. No glob and no profile means all. A
    /// glob that starts with `!` excludes.
    ///
    /// # Errors
    /// The first pattern that is not a glob.
    pub fn new(
        repositories: &[impl AsRef<str>],
        names: &[impl AsRef<str>],
        profile: Option<Profile>,
    ) -> Result<Self, InvalidPattern> {
        let profile = profile.map_or(&[][..], Profile::repositories);
        let repositories = repositories.iter().map(AsRef::as_ref);
        Ok(Self {
            repositories: Patterns::new(repositories.chain(profile.iter().copied()))?,
            names: Patterns::new(names.iter().map(AsRef::as_ref))?,
        })
    }

    /// Whether mirroring begins in the repository `name`.
    #[must_use]
    pub fn repository(&self, name: &RepoName) -> bool {
        self.repositories.matches(name.as_str())
    }

    /// As [`Selection::repository`], of a name that may be no repository's.
    pub(crate) fn matches_repository(&self, name: &str) -> bool {
        self.repositories.matches(name)
    }

    /// Whether mirroring begins at an entry or a tag called `name` of a selected repository.
    #[must_use]
    pub fn name(&self, name: &str) -> bool {
        self.names.matches(name)
    }
}

#[cfg(test)]
mod tests;
