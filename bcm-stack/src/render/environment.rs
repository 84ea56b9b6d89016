//! Settings as lines of a file of environment variables.

use crate::domain::Domain;

/// A setting of `bcm` as a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: String,
}

/// A value cannot be written so that Docker, Compose and systemd all read the same out of it. The
/// value is not shown: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} has white space, a quote, a backslash, `$` or `#` in it, which files of variables are read differently for"
)]
pub struct InvalidVariable(String);

impl Variable {
    /// `name` is the variable's, which begins with `BCM_`.
    ///
    /// # Errors
    /// The value has a character that programs read differently.
    pub fn new(name: &str, value: &str) -> Result<Self, InvalidVariable> {
        let special = |c: char| c.is_whitespace() || c.is_control() || "\"'`\\$#".contains(c);
        if value.contains(special) || !name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            return Err(InvalidVariable(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Where boot media and scripts send machines to.
pub(super) fn boot_url(domain: &Domain) -> (&'static str, String) {
    let server = format!("http://{}", domain.unsecure_bootstrap());
    ("BCM_BOOTSTRAP_BOOT_URL", server)
}

/// The Bootstrap that is mirrored. It is named in any case: without a word about it, one is mirrored
/// beside the usual hub only.
pub(super) fn bootstrap_upstream(set: &[Variable]) -> (&'static str, String) {
    const NAME: &str = "BCM_BOOTSTRAP_UPSTREAM";
    let chosen = set.iter().find(|variable| variable.name == NAME);
    let chosen = chosen.map_or("https://bootstrap.grid.tf", |variable| &variable.value);
    (NAME, chosen.to_owned())
}

/// The file: what the program needs, and what the operator has set.
pub(super) fn file(needed: &[(&str, String)], set: &[Variable]) -> String {
    let mut text = String::from(
        "# The mirror's settings: `bcm config list` knows all of them. Others on this machine cannot\n\
         # read this file, for there may be passwords in it.\n",
    );
    for (name, value) in needed {
        text.push_str(&format!("{name}={value}\n"));
    }
    for variable in set {
        // What the surroundings need wins.
        if needed.iter().all(|(name, _)| *name != variable.name) {
            text.push_str(&format!("{}={}\n", variable.name, variable.value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_read_differently_are_refused_and_not_shown() {
        assert!(Variable::new("BCM_HUB_REPO", "tf-*,alice").is_ok());
        assert!(Variable::new("BCM_HUB_UPSTREAM_ZDB", "zdb://:pass@host:9900/ns").is_ok());
        for bad in [
            "se cret", "se\ncret", "se'cret", "se\"cret", "$ecret", "se#cret", "secret\\",
        ] {
            let error = Variable::new("BCM_X", bad).unwrap_err().to_string();
            assert!(!error.contains("cret"), "{error}");
        }
        assert!(Variable::new("BCM_X=1\nY", "v").is_err());
    }

    #[test]
    fn what_is_needed_wins() {
        let set = [("BCM_DATA", "/home/me"), ("BCM_HUB_REPO", "tf-zos")];
        let set = set.map(|(name, value)| Variable::new(name, value).unwrap());
        let text = file(&[("BCM_DATA", "/data".to_owned())], &set);
        assert!(
            text.ends_with("BCM_DATA=/data\nBCM_HUB_REPO=tf-zos\n"),
            "{text}"
        );
    }
}
