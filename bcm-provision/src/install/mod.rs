//! Unattended installations: answers to the questions of an installer as it is published, and the small
//! image that brings them to it.
//!
//! [`Installation::media`] is the entry point. It makes values; writing them somewhere is somebody else's.

mod debian;
mod disk;
mod finish;
mod network;
mod ubuntu;
mod words;

use std::io;

use bcm_core::login::{PublicKey, UserName};
use serde::Serialize;

pub use self::disk::{Disk, DiskPath, InvalidDisk, Serial};
pub use self::network::{Cidr, Fixed, Interface, InterfaceName, InvalidNetwork, Mac, Network};
pub use self::words::{
    Hostname, InvalidAddress, InvalidWord, Keyboard, Locale, Timezone, WebAddress,
};
use crate::password::PasswordHash;
use crate::seed::SeedError;

/// Whose installer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Ubuntu Server's, subiquity, which takes "autoinstall".
    Ubuntu,
    /// Debian's, which takes "preseeding".
    Debian,
}

/// The file system of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Root {
    /// ext4.
    #[default]
    Ext4,
    /// btrfs, in which an engine's storage can be subvolumes.
    Btrfs,
}

/// How a machine starts; only Ubuntu's installer with [`Root::Btrfs`] has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Firmware {
    /// UEFI.
    #[default]
    Uefi,
    /// A BIOS, or UEFI that plays one.
    Bios,
}

/// What the machine does when it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Afterwards {
    /// It starts what was installed.
    #[default]
    Reboot,
    /// It turns itself off.
    PowerOff,
}

/// What a machine is to be like. The keys log in as the user, who may use sudo without a password; nobody
/// logs in over SSH by a password, and at the console only where there is one.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Whose installer it is for.
    pub system: System,
    /// The machine's name.
    pub hostname: Hostname,
    /// The user; `bcm` by default.
    pub user: UserName,
    /// Who may log in as that user.
    pub keys: Vec<PublicKey>,
    /// The user's password, for the console; none by default.
    pub password: Option<PasswordHash>,
    /// The disk that is erased.
    pub disk: Disk,
    /// Its root file system.
    pub root: Root,
    /// How the machine starts.
    pub firmware: Firmware,
    /// How it is in the network.
    pub network: Network,
    /// Where packages are from, where not from the installer's own default.
    pub mirror: Option<WebAddress>,
    /// The proxy for these.
    pub proxy: Option<WebAddress>,
    /// The system's language.
    pub locale: Locale,
    /// The console's keyboard.
    pub keyboard: Keyboard,
    /// The system's time zone.
    pub timezone: Timezone,
    /// What comes after.
    pub afterwards: Afterwards,
}

/// The installation cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Nobody could log in.
    #[error("there is no key that may log in")]
    NoKey,
    /// Which interface has the address?
    #[error("a machine with the address {0} of its own needs to be told which interface has it")]
    NoInterface(Cidr),
    /// Ubuntu's installer counts the seed volume, too.
    #[error(
        "Ubuntu's installer would take the seed volume itself for the smallest disk; name the disk by its path or its serial number"
    )]
    Smallest,
    /// Ubuntu's installer looks at names of the kernel's.
    #[error(
        "Ubuntu's installer knows disks by the kernel's names (/dev/sda) and by /dev/disk/by-path; {0} is neither, its serial number would do"
    )]
    DiskPath(String),
    /// The image cannot be made.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The archive cannot be made.
    #[error("cannot make the initial RAM file system with the answers")]
    Overlay(#[source] io::Error),
}

/// All that an unattended installation takes beside the installer.
#[derive(Debug, Clone)]
pub struct Media {
    /// The files.
    pub files: Vec<MediaFile>,
    /// What the installer's kernel is to be told, with spaces between.
    pub kernel_parameters: String,
    /// How the answers come to the installer: one of these.
    pub ways: Vec<Way>,
}

/// A way by which answers come to an installer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Where it is for.
    pub from: &'static str,
    /// What is done, in order.
    pub steps: Vec<String>,
}

impl Way {
    fn new(from: &'static str, steps: impl IntoIterator<Item = String>) -> Self {
        let steps = steps.into_iter().collect();
        Self { from, steps }
    }
}

/// One file of these. It may hold the hash of a password.
#[derive(Debug, Clone)]
pub struct MediaFile {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
}

impl MediaFile {
    fn new(name: &'static str, about: &'static str, content: Vec<u8>) -> Self {
        Self {
            name,
            about,
            content,
        }
    }
}

impl Installation {
    /// With the defaults.
    #[must_use]
    pub fn new(system: System, hostname: Hostname, keys: Vec<PublicKey>) -> Self {
        Self {
            system,
            hostname,
            user: UserName::default(),
            keys,
            password: None,
            disk: Disk::default(),
            root: Root::default(),
            firmware: Firmware::default(),
            network: Network::default(),
            mirror: None,
            proxy: None,
            locale: Locale::default(),
            keyboard: Keyboard::default(),
            timezone: Timezone::default(),
            afterwards: Afterwards::default(),
        }
    }

    /// The answers, and what brings them to the installer. The first file is the answers themselves.
    ///
    /// # Errors
    ///
    /// When the installer cannot do what is wanted: see [`InstallError`].
    pub fn media(&self) -> Result<Media, InstallError> {
        if self.keys.is_empty() {
            return Err(InstallError::NoKey);
        }
        if let (Some(fixed), None) = (&self.network.fixed, &self.network.interface) {
            return Err(InstallError::NoInterface(fixed.address()));
        }
        match self.system {
            System::Ubuntu => ubuntu::media(self),
            System::Debian => debian::media(self),
        }
    }

    /// The password's field in `/etc/shadow`; `!` is no hash of anything.
    fn shadow(&self) -> &str {
        self.password.as_ref().map_or("!", PasswordHash::reveal)
    }
}

#[cfg(test)]
mod tests;
