//! Which disk a system is installed on.

use std::fmt;
use std::str::FromStr;

/// A disk, by what can be said of it before the machine is seen. All that is on it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Disk {
    /// The largest one. For Debian, what is removable, on USB or below 2 GB is left out; Ubuntu's installer
    /// leaves out what is in use.
    #[default]
    Largest,
    /// The smallest one, without what is left out of the largest.
    Smallest,
    /// The one with this path.
    Path(DiskPath),
    /// The one whose serial number ends so.
    Serial(Serial),
}

/// A path below `/dev`, with nothing in it that a shell or a pattern would read as anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPath(String);

/// A disk's serial number, or its end, as `lsblk -o NAME,SERIAL` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial(String);

/// A text says of no disk which it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no disk: it is `largest`, `smallest`, `serial=` and the end of a serial number, or a path below /dev of letters, digits and `._:+-`"
)]
pub struct InvalidDisk(String);

impl FromStr for Disk {
    type Err = InvalidDisk;

    fn from_str(text: &str) -> Result<Self, InvalidDisk> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._:+-".contains(c))
        };
        let invalid = || InvalidDisk(text.to_owned());
        match text {
            "largest" => return Ok(Self::Largest),
            "smallest" => return Ok(Self::Smallest),
            _ => {}
        }
        if let Some(serial) = text.strip_prefix("serial=") {
            return match is_name(serial) && serial.len() <= 128 {
                true => Ok(Self::Serial(Serial(serial.to_owned()))),
                false => Err(invalid()),
            };
        }
        match text.strip_prefix("/dev/") {
            Some(rest) if rest.split('/').all(is_name) && rest.len() <= 255 => {
                Ok(Self::Path(DiskPath(text.to_owned())))
            }
            _ => Err(invalid()),
        }
    }
}

impl DiskPath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serial {
    /// The end of a serial number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Disk {
    /// In words, after "all that is on".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Largest => f.write_str("the largest disk"),
            Self::Smallest => f.write_str("the smallest disk"),
            Self::Path(path) => f.write_str(&path.0),
            Self::Serial(serial) => write!(f, "the disk whose serial number ends in {}", serial.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_named_without_quotes_and_patterns() {
        for good in [
            "largest",
            "smallest",
            "serial=S3Z8.1-x",
            "/dev/sda",
            "/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
        ] {
            assert!(good.parse::<Disk>().is_ok(), "{good}");
        }
        for wrong in [
            "",
            "sda",
            "dev/sda",
            "/dev/",
            "/dev/../etc/passwd",
            "/dev//sda",
            "/etc",
            "/dev/sd*",
            "/dev/sda'",
            "/dev/sda\"",
            "/dev/sda b",
            "/dev/sda\n",
            "serial=",
            "serial=a*",
            "serial=a'b",
            "Largest",
        ] {
            let error = wrong.parse::<Disk>().unwrap_err();
            assert!(error.to_string().contains("is no disk"), "{error}");
        }
    }
}
