//! The one place that reads the process's surroundings. Everything else works on this snapshot,
//! so a test can make one up.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Start of the names of the variables that mean something to `bcm`.
pub(crate) const PREFIX: &str = "BCM_";

/// What surrounds the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// The variables whose names and values are text.
    pub(crate) variables: BTreeMap<String, String>,
    /// The folder that relative paths start from.
    pub(crate) folder: PathBuf,
    /// This program, for other programs to run.
    pub(crate) program: PathBuf,
    /// Whether messages go to a terminal that can move its cursor.
    pub(crate) terminal: bool,
    /// Whether the process may do everything on this machine.
    pub(crate) root: bool,
}

/// The user's own public keys that are in `folder`, a `.ssh`, the best kind first.
pub(crate) fn public_keys(folder: &Path) -> impl Iterator<Item = PathBuf> {
    ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"]
        .map(|name| folder.join(name))
        .into_iter()
        .filter(|path| path.is_file())
}

impl Environment {
    /// Looks around.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub(crate) fn snapshot() -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let dumb = variables.get("TERM").is_none_or(|term| term == "dumb");
        Self {
            terminal: std::io::stderr().is_terminal() && !dumb,
            // Without a current folder (it was removed), relative paths fail where they are used.
            folder: std::env::current_dir().unwrap_or_default(),
            // Where it cannot be told, by its name.
            program: std::env::current_exe().unwrap_or_else(|_| "bcm".into()),
            root: rustix::process::geteuid().is_root(),
            variables,
        }
    }

    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether messages may have colours: on a terminal, unless `NO_COLOR` is set.
    pub(crate) fn colour(&self) -> bool {
        self.terminal && self.variable("NO_COLOR").is_none()
    }

    fn base_folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        // A relative path in an XDG variable is to be ignored, says its specification.
        match self.variable(variable).map(Path::new) {
            Some(path) if path.is_absolute() => Some(path.to_owned()),
            _ => Some(Path::new(self.variable("HOME")?).join(below_home)),
        }
    }

    /// The user's own `bcm.toml`: `$XDG_CONFIG_HOME/bcm/bcm.toml`.
    pub(crate) fn user_config(&self) -> Option<PathBuf> {
        Some(
            self.base_folder("XDG_CONFIG_HOME", ".config")?
                .join("bcm/bcm.toml"),
        )
    }

    /// Where what BCM knows of clusters is kept: `$XDG_STATE_HOME/bcm`.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.base_folder("XDG_STATE_HOME", ".local/state")
            .map_or_else(|| self.folder.join(".bcm"), |base| base.join("bcm"))
    }

    /// Where what can be made again is kept: `$XDG_CACHE_HOME/bcm`.
    pub(crate) fn cache_folder(&self) -> PathBuf {
        self.base_folder("XDG_CACHE_HOME", ".cache")
            .map_or_else(|| self.folder.join(".bcm-cache"), |base| base.join("bcm"))
    }

    /// The folders that programs are looked for in.
    pub(crate) fn program_folders(&self) -> Vec<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        std::env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .collect()
    }

    /// Where sockets of connections are: `$XDG_RUNTIME_DIR`, which only the user may enter, or
    /// `/tmp`.
    pub(crate) fn runtime_folder(&self) -> PathBuf {
        match self.variable("XDG_RUNTIME_DIR").map(Path::new) {
            Some(path) if path.is_absolute() && path.is_dir() => path.to_owned(),
            _ => PathBuf::from("/tmp"),
        }
    }

    /// The data folder where nobody says otherwise: `/var/lib/bcm` as root, `$XDG_DATA_HOME/bcm`
    /// for anybody else, `bcm-data` here for somebody without a home.
    pub(crate) fn default_data(&self) -> PathBuf {
        if self.root {
            return PathBuf::from("/var/lib/bcm");
        }
        self.base_folder("XDG_DATA_HOME", ".local/share")
            .map_or_else(|| self.folder.join("bcm-data"), |base| base.join("bcm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)], root: bool) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            folder: "/here".into(),
            program: "bcm".into(),
            terminal: true,
            root,
        }
    }

    #[test]
    fn the_data_folder_is_where_operators_look() {
        let data = |variables: &[_], root| environment(variables, root).default_data();
        assert_eq!(data(&[], true), Path::new("/var/lib/bcm"));
        assert_eq!(data(&[], false), Path::new("/here/bcm-data"));
        let home = ("HOME", "/home/me");
        assert_eq!(data(&[home], false), Path::new("/home/me/.local/share/bcm"));
        let xdg = ("XDG_DATA_HOME", "/data");
        assert_eq!(data(&[home, xdg], false), Path::new("/data/bcm"));
        let relative = ("XDG_DATA_HOME", "data");
        assert_eq!(
            data(&[home, relative], false),
            Path::new("/home/me/.local/share/bcm")
        );
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = environment(&[("BCM_DATA", ""), ("NO_COLOR", "")], false);
        assert_eq!(environment.variable("BCM_DATA"), None);
        assert!(environment.colour());
    }
}
