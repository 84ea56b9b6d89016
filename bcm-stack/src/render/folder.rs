//! Where on the host data is kept.

/// A path that files of several programs can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder(String);

/// A path cannot be named in the files that are made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected an absolute path of letters, digits, `.`, `_`, `-` and `/`, without `..`")]
pub struct InvalidFolder(String);

impl Default for Folder {
    fn default() -> Self {
        Self("/srv/bcm".to_owned())
    }
}

impl Folder {
    pub(super) fn new(path: &str) -> Result<Self, InvalidFolder> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        let path = path.trim_end_matches('/');
        let climbs = path.split('/').any(|part| part == "..");
        match path.starts_with('/') && path.bytes().all(fits) && !climbs {
            true => Ok(Self(path.to_owned())),
            false => Err(InvalidFolder(path.to_owned())),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_absolute_and_plain() {
        assert_eq!(Folder::new("/srv/bcm/").unwrap().as_str(), "/srv/bcm");
        for bad in [
            "",
            "/",
            "srv",
            "/srv/../etc",
            "/srv/a b",
            "/srv/$x",
            "/srv/a:b",
            "/srv/%i",
        ] {
            assert!(Folder::new(bad).is_err(), "{bad}");
        }
    }
}
