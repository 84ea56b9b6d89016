//! Which part of an upstream's catalogue is mirrored.
//!
//! A selection says where to begin; [`choose`] follows every link from there, so that what is
//! mirrored is complete in itself: a link's flist, a tag link's tag and the flists of its links
//! come along, in whatever repository they live.

mod follow;

use bcm_core::names::RepoName;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

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

/// A pattern that is not a glob.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is not a glob")]
pub struct InvalidPattern {
    /// The pattern as it came.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    pub source: globset::Error,
}

/// Globs; those that start with `!` take out what the others take in.
#[derive(Debug, Clone, Default)]
struct Patterns {
    taken: Option<GlobSet>,
    left: GlobSet,
}

impl Patterns {
    fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, InvalidPattern> {
        let (mut taken, mut left) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let (mut any_taken, mut last) = (false, String::new());
        for pattern in patterns {
            let failed = |source| InvalidPattern {
                pattern: pattern.to_owned(),
                source,
            };
            let (set, text) = match pattern.strip_prefix('!') {
                Some(text) => (&mut left, text),
                None => {
                    any_taken = true;
                    (&mut taken, pattern)
                }
            };
            set.add(GlobBuilder::new(text).build().map_err(failed)?);
            pattern.clone_into(&mut last);
        }
        let failed = |source| InvalidPattern {
            pattern: last.clone(),
            source,
        };
        let taken = any_taken.then(|| taken.build()).transpose();
        Ok(Self {
            taken: taken.map_err(failed)?,
            left: left.build().map_err(failed)?,
        })
    }

    fn matches(&self, name: &str) -> bool {
        self.taken.as_ref().is_none_or(|taken| taken.is_match(name)) && !self.left.is_match(name)
    }
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
