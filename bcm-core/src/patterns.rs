//! Globs over names.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

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
pub struct Patterns {
    taken: Option<GlobSet>,
    left: GlobSet,
}

impl Patterns {
    /// Reads globs. None that takes in means everything.
    ///
    /// # Errors
    /// The first pattern that is not a glob.
    pub fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, InvalidPattern> {
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

    /// Whether `name` is taken in and not taken out.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.taken.as_ref().is_none_or(|taken| taken.is_match(name)) && !self.left.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_wins() {
        let patterns = Patterns::new(["zos-*", "!*-debug"].into_iter()).unwrap();
        assert!(patterns.matches("zos-1") && !patterns.matches("zos-debug"));
        assert!(!patterns.matches("other"));
        assert!(Patterns::default().matches("anything"));
        let only_out = Patterns::new(["!a*"].into_iter()).unwrap();
        assert!(only_out.matches("b") && !only_out.matches("a"));
        let error = Patterns::new(["[a"].into_iter()).unwrap_err();
        assert_eq!(error.pattern, "[a");
    }
}
