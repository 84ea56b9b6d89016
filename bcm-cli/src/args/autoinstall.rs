//! `bcm host autoinstall`.

use std::net::IpAddr;
use std::path::PathBuf;

use bcm_core::login::UserName;
use bcm_provision::install::{
    self, Cidr, Disk, Hostname, Interface, Keyboard, Locale, Timezone, WebAddress,
};
use clap::{Args, ValueEnum};

/// `bcm host autoinstall`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AutoinstallCommand {
    /// Whose installer it is for
    #[arg(long, value_enum, value_name = "SYSTEM")]
    pub(crate) system: System,

    /// The machine's name, without a domain
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Hostname,

    /// A file with a public key that may log in; may be given several times [default: the first of
    /// ~/.ssh/id_ed25519.pub, id_ecdsa.pub, id_rsa.pub that there is]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,

    /// The user to make, who may use sudo
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) user: UserName,

    /// A file with the hash of the user's password, for the console; `-` for stdin [default: no password, so
    /// the console takes no login]
    ///
    /// `mkpasswd` or `openssl passwd -6` makes one. Over SSH, keys only are taken in any case.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_hash_file: Option<PathBuf>,

    /// The disk that is erased: `largest`, `smallest`, `serial=` and the end of a serial number, or a path
    #[arg(long, value_name = "DISK", default_value = "largest")]
    pub(crate) disk: Disk,

    /// The file system of the root
    #[arg(long, value_enum, value_name = "FILESYSTEM", default_value_t)]
    pub(crate) root: Root,

    /// How the machine starts; of interest for Ubuntu on btrfs alone
    #[arg(long, value_enum, value_name = "FIRMWARE", default_value_t)]
    pub(crate) firmware: Firmware,

    /// The interface, by its name or its hardware address [default: one that has a link]
    #[arg(long, value_name = "NAME|MAC")]
    pub(crate) interface: Option<Interface>,

    /// The machine's address and the length of its prefix, such as 192.0.2.5/24 [default: by DHCP]
    #[arg(long, value_name = "CIDR", requires_all = ["gateway", "dns", "interface"])]
    pub(crate) address: Option<Cidr>,

    /// The gateway
    #[arg(long, value_name = "IP", requires = "address")]
    pub(crate) gateway: Option<IpAddr>,

    /// A DNS server; may be given several times
    #[arg(long, value_name = "IP", requires = "address")]
    pub(crate) dns: Vec<IpAddr>,

    /// The mirror of packages [default: the installer's own]
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<WebAddress>,

    /// The proxy for packages
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<WebAddress>,

    /// The system's language
    #[arg(long, value_name = "LOCALE", default_value_t)]
    pub(crate) locale: Locale,

    /// The console's keyboard layout
    #[arg(long, value_name = "LAYOUT", default_value_t)]
    pub(crate) keyboard: Keyboard,

    /// The system's time zone
    #[arg(long, value_name = "ZONE", default_value_t)]
    pub(crate) timezone: Timezone,

    /// What the machine does when it is installed
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) afterwards: Afterwards,

    /// Where the files go; made where it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "print")]
    pub(crate) out: Option<PathBuf>,

    /// Replace files that are there and different
    #[arg(long)]
    pub(crate) replace: bool,

    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Write the answers to stdout, and nothing else
    #[arg(long, conflicts_with_all = ["out", "replace", "dry_run"])]
    pub(crate) print: bool,
}

/// Whose installer it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum System {
    /// Ubuntu Server (autoinstall)
    Ubuntu,
    /// Debian (preseed)
    Debian,
}

/// The file system of the root.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Root {
    #[default]
    Ext4,
    Btrfs,
}

/// How the machine starts.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Firmware {
    #[default]
    Uefi,
    Bios,
}

/// What the machine does when it is installed.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Afterwards {
    #[default]
    Reboot,
    Poweroff,
}

impl From<System> for install::System {
    fn from(system: System) -> Self {
        match system {
            System::Ubuntu => Self::Ubuntu,
            System::Debian => Self::Debian,
        }
    }
}

impl From<Root> for install::Root {
    fn from(root: Root) -> Self {
        match root {
            Root::Ext4 => Self::Ext4,
            Root::Btrfs => Self::Btrfs,
        }
    }
}

impl From<Firmware> for install::Firmware {
    fn from(firmware: Firmware) -> Self {
        match firmware {
            Firmware::Uefi => Self::Uefi,
            Firmware::Bios => Self::Bios,
        }
    }
}

impl From<Afterwards> for install::Afterwards {
    fn from(afterwards: Afterwards) -> Self {
        match afterwards {
            Afterwards::Reboot => Self::Reboot,
            Afterwards::Poweroff => Self::PowerOff,
        }
    }
}
