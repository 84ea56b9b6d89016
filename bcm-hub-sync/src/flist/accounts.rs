//! Names and numbers of users and groups.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names that a machine's users and groups have.
///
/// The default knows nobody: numbers then stand for names.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Names,
    groups: Names,
}

#[derive(Debug, Clone, Default)]
struct Names {
    names: HashMap<u32, String>,
    numbers: HashMap<String, u32>,
}

/// A file of accounts could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {}", path.display())]
pub struct AccountsError {
    path: PathBuf,
    source: io::Error,
}

impl Accounts {
    /// Those of this machine's `/etc/passwd` and `/etc/group`; a missing file knows nobody.
    /// Accounts from directory services (LDAP and the like) are not seen.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn system() -> Result<Self, AccountsError> {
        Ok(Self::parse(
            &read(Path::new("/etc/passwd"))?,
            &read(Path::new("/etc/group"))?,
        ))
    }

    /// Those of the texts of an `/etc/passwd` and an `/etc/group`.
    #[must_use]
    pub fn parse(passwd: &str, group: &str) -> Self {
        Self {
            users: Names::parse(passwd),
            groups: Names::parse(group),
        }
    }

    /// The name of the user `uid`: its number where nobody knows a name, as upstream writes it.
    #[must_use]
    pub fn user(&self, uid: u32) -> String {
        self.users.name(uid)
    }

    /// The name of the group `gid`, or its number.
    #[must_use]
    pub fn group(&self, gid: u32) -> String {
        self.groups.name(gid)
    }

    /// The number of the user `name`, which may be a number already.
    #[must_use]
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.users.number(name)
    }

    /// The number of the group `name`, which may be a number already.
    #[must_use]
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.number(name)
    }
}

impl Names {
    /// Both files have the name first and the number third. Of two lines for one number the
    /// first counts, as for the C library.
    fn parse(text: &str) -> Self {
        let mut names = Self::default();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            names.names.entry(number).or_insert_with(|| name.to_owned());
            names.numbers.entry(name.to_owned()).or_insert(number);
        }
        names
    }

    fn name(&self, number: u32) -> String {
        match self.names.get(&number) {
            Some(name) => name.clone(),
            None => number.to_string(),
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        let known = self.numbers.get(name).copied();
        known.or_else(|| name.parse().ok())
    }
}

fn read(path: &Path) -> Result<String, AccountsError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(AccountsError {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nwww:x:33:33::/:/bin/false\n",
            "root:x:0:\nwww:x:44:a,b\n",
        );
        assert_eq!(accounts.user(0), "root");
        assert_eq!(accounts.uid("toor"), Some(0));
        assert_eq!(
            (accounts.uid("www"), accounts.gid("www")),
            (Some(33), Some(44))
        );
        assert_eq!(accounts.user(1000), "1000");
        assert_eq!(
            (accounts.uid("1000"), accounts.uid("alice")),
            (Some(1000), None)
        );
    }
}
