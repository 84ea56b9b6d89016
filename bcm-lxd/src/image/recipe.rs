//! What an image is to be made of.

use bcm_core::digest::Sha256Hasher;

/// What an image is to be made of, and what it is to be called.
///
/// ```
/// use bcm_lxd::image::ImageRecipe;
///
/// let recipe = ImageRecipe::new("bcm", "front", ["haproxy", "caddy"])?;
/// assert_eq!(recipe.packages(), ["caddy", "haproxy"]);
/// # Ok::<(), bcm_lxd::image::InvalidRecipe>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecipe {
    project: String,
    alias: String,
    packages: Vec<String>,
}

/// A recipe has something that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecipe {
    /// A project or an alias is no name.
    #[error("{0:?} is no name for a project or an image: letters, digits, dots and dashes")]
    Name(String),
    /// A package's name is not one.
    #[error("{0:?} is no name of a Debian package")]
    Package(String),
}

impl ImageRecipe {
    /// An image `alias` in `project`, with `packages` (and what they need) beside a small system.
    ///
    /// # Errors
    /// See [`InvalidRecipe`].
    pub fn new<S: Into<String>>(
        project: impl Into<String>,
        alias: impl Into<String>,
        packages: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidRecipe> {
        let mut packages: Vec<String> = packages.into_iter().map(Into::into).collect();
        packages.sort();
        packages.dedup();
        let recipe = Self {
            project: project.into(),
            alias: alias.into(),
            packages,
        };
        let named = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        };
        if let Some(bad) = [&recipe.project, &recipe.alias]
            .into_iter()
            .find(|name| !named(name))
        {
            return Err(InvalidRecipe::Name(bad.clone()));
        }
        // Debian's Policy Manual, 5.6.1.
        let package = |text: &str| {
            text.len() >= 2
                && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
                // apt-get takes these for wishes.
                && !text.ends_with(['+', '-'])
        };
        match recipe.packages.iter().find(|text| !package(text)) {
            Some(bad) => Err(InvalidRecipe::Package(bad.clone())),
            None => Ok(recipe),
        }
    }

    /// The project that the image is for.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The image's name.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The packages, in their order.
    #[must_use]
    pub fn packages(&self) -> &[String] {
        &self.packages
    }

    /// What says whether two images were made in the same way: of the packages, and of the `scripts` that
    /// make it. Not of the packages' versions.
    pub(super) fn hash(&self, scripts: &[&str]) -> String {
        let mut hasher = Sha256Hasher::default();
        let packages = self.packages.iter().map(String::as_str);
        for text in scripts.iter().copied().chain(packages) {
            hasher.update(text.as_bytes());
            hasher.update(&[0]);
        }
        hasher.finish().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(packages: &[&str]) -> ImageRecipe {
        ImageRecipe::new("bcm", "front", packages.iter().copied()).unwrap()
    }

    #[test]
    fn a_recipe_is_told_by_what_is_in_it() {
        let scripts = ["build"];
        let hash = of(&["caddy", "haproxy"]).hash(&scripts);
        assert_eq!(of(&["haproxy", "caddy", "caddy"]).hash(&scripts), hash);
        assert_ne!(of(&["caddy"]).hash(&scripts), hash);
        assert_ne!(of(&["caddy", "haproxy"]).hash(&["built"]), hash);
        let other_name = ImageRecipe::new("bcm", "other", ["caddy", "haproxy"]).unwrap();
        assert_eq!(other_name.hash(&scripts), hash);
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn names_are_words_that_no_program_takes_for_an_option() {
        for bad in ["", "-x", "a b", "a/b", "a\nb", "ä"] {
            assert!(ImageRecipe::new(bad, "a", [""; 0]).is_err(), "{bad:?}");
            assert!(ImageRecipe::new("a", bad, [""; 0]).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "x",
            "-x",
            "Caddy",
            "caddy=2",
            "caddy/sid",
            "caddy-",
            "g++ x",
        ] {
            assert!(ImageRecipe::new("a", "a", [bad]).is_err(), "{bad:?}");
        }
        assert!(ImageRecipe::new("bcm", "bcm-front.2", ["libc6.1-dev"]).is_ok());
    }
}
