//! Boot media: iPXE and a script in the forms that machines boot from.
//!
//! A medium is made of a prebuilt iPXE ([`Prebuilt`], Debian's package `ipxe` has one) and a [`Script`];
//! nothing is compiled or run. The same iPXE and script make the same bytes. [`Media::make`] does no
//! I/O and copies nothing of iPXE, so it takes microseconds; the bytes are put together while they are sent
//! ([`Content::chunks`]).
//!
//! | medium | BIOS | UEFI |
//! |---|---|---|
//! | [`Iso`](Medium::Iso) | from CD and from USB | from CD and from USB |
//! | [`Usb`](Medium::Usb) | from USB | from USB |
//! | [`UefiDisk`](Medium::UefiDisk) | | from USB |
//! | [`Uefi`](Medium::Uefi) | | a file, started by firmware, a boot loader or over the network |
//! | [`SnpOnly`](Medium::SnpOnly) | | the same, with the firmware's driver of the network card it came over |
//! | [`Krn`](Medium::Krn) | a file, started by a boot loader as a Linux kernel (in GRUB by `linux16`) | |
//!
//! None of it is signed: UEFI starts it only where Secure Boot is off.
//!
//! This module writes the formats and knows nothing of run modes or farms; scripts come from elsewhere.

mod content;
mod disk;
mod efi;
mod error;
mod fat;
mod iso;
mod krn;
mod mbr;
mod prebuilt;
mod script;
#[cfg(test)]
mod tests;

pub use content::Content;
pub use error::MediaError;
pub use prebuilt::Prebuilt;
pub use script::Script;

use bcm_core::digest::Md5;
use disk::{DISK_SECTOR, Kernel};
use efi::{Device, Efi};

/// Where a disk's partition begins: at 1 MiB, as every partitioning tool has it; the boot code's
/// kernel image is before it.
const PARTITION: u64 = 1 << 20;

/// The name of a medium's volume.
const LABEL: &str = "ZOS-BOOT";

/// The forms of boot media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Medium {
    /// An ISO image for BIOS and UEFI, for a CD or a USB stick.
    Iso,
    /// A disk image for BIOS and UEFI, for a USB stick.
    Usb,
    /// A disk image for UEFI alone.
    UefiDisk,
    /// An EFI application.
    Uefi,
    /// An EFI application that brings no drivers of its own.
    SnpOnly,
    /// A Linux kernel image for boot loaders of BIOS machines.
    Krn,
}

impl Medium {
    /// All forms.
    pub const ALL: [Self; 6] = [
        Self::Iso,
        Self::Usb,
        Self::UefiDisk,
        Self::Uefi,
        Self::SnpOnly,
        Self::Krn,
    ];

    /// Its name in a bootstrap server's paths: `iso`, `usb`, `uefimg`, `uefi`, `snponly`, `krn`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Usb => "usb",
            Self::UefiDisk => "uefimg",
            Self::Uefi => "uefi",
            Self::SnpOnly => "snponly",
            Self::Krn => "krn",
        }
    }

    /// The form with that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.name() == name)
    }

    /// The name under which a bootstrap server hands it out; `what` is a run mode or the like.
    #[must_use]
    pub fn file_name(self, what: &str) -> String {
        match self {
            Self::Iso => format!("ipxe-{what}.iso"),
            Self::Usb => format!("ipxe-{what}.img"),
            Self::UefiDisk => format!("uefiusb-{what}.img"),
            Self::Uefi | Self::SnpOnly => format!("ipxe-{what}.efi"),
            Self::Krn => format!("ipxe-{what}.lkrn"),
        }
    }
}

/// Makes media of one prebuilt iPXE.
///
/// ```no_run
/// use bcm_bootstrap_sync::image::{Media, Medium, Prebuilt, Script};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let media = Media::new(Prebuilt::read(&Prebuilt::FOLDERS.map(Into::into)));
/// let script = Script::new("#!ipxe\ndhcp\nchain http://bootstrap.example/ipxe/prod/1\n")?;
/// let stick = media.make(Medium::Usb, &script)?;
/// stick.write_to(&mut std::fs::File::create("stick.img")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Media {
    prebuilt: Prebuilt,
}

impl Media {
    /// Media of `prebuilt`.
    #[must_use]
    pub fn new(prebuilt: Prebuilt) -> Self {
        Self { prebuilt }
    }

    /// What tells media of this iPXE from those of another with the same script.
    pub(crate) fn version(&self) -> Md5 {
        self.prebuilt.digest()
    }

    /// The bytes of a medium that carries `script`.
    ///
    /// # Errors
    /// A file of iPXE that this medium needs is missing or not usable.
    pub fn make(&self, medium: Medium, script: &Script) -> Result<Content, MediaError> {
        let serial = crc32fast::hash(script.bytes());
        match medium {
            Medium::Krn => Ok(self.prebuilt.lkrn()?.carry(script).into_file()),
            Medium::Uefi => Ok(self.prebuilt.efi()?.carry(script, Device::Volume)),
            Medium::SnpOnly => Ok(self.prebuilt.snponly()?.carry(script, Device::Kept)),
            Medium::UefiDisk => {
                let volume = esp(self.prebuilt.efi()?, script, PARTITION, serial);
                let mut disk = Content::new();
                disk.push(mbr::sector(&[], serial, PARTITION, volume.len()).to_vec());
                disk.pad_to(PARTITION);
                disk.append(volume);
                Ok(disk)
            }
            Medium::Usb => {
                let kernel = Kernel::new(self.prebuilt.lkrn()?.carry(script));
                // Behind the master boot record; in practice within the first MiB.
                let kernel_at = 2 * DISK_SECTOR;
                let start = (kernel_at + kernel.content.len()).next_multiple_of(PARTITION);
                let volume = esp(self.prebuilt.efi()?, script, start, serial);
                let code = kernel.loader(kernel_at, DISK_SECTOR);
                let mut disk = Content::new();
                disk.push(mbr::sector(&code, serial, start, volume.len()).to_vec());
                disk.pad_to(kernel_at);
                disk.append(kernel.content);
                disk.pad_to(start);
                disk.append(volume);
                Ok(disk)
            }
            Medium::Iso => {
                let kernel = Kernel::new(self.prebuilt.lkrn()?.carry(script));
                let start = iso::volume_offset(&kernel);
                let volume = esp(self.prebuilt.efi()?, script, start, serial);
                Ok(iso::image(&kernel, volume, serial, LABEL))
            }
        }
    }
}

/// An EFI System Partition that starts iPXE with the script. The script is there to be read as a file
/// too, whether iPXE takes it from there or brings its own.
fn esp(efi: &Efi, script: &Script, offset: u64, serial: u32) -> Content {
    let mut text = Content::new();
    text.push(script.bytes().clone());
    let program = if efi.looks_for_script() {
        efi.file()
    } else {
        efi.carry(script, Device::Volume)
    };
    let files = vec![
        fat::File {
            folders: &["EFI", "BOOT"],
            name: "BOOTX64.EFI",
            content: program,
        },
        fat::File {
            folders: &[],
            name: "autoexec.ipxe",
            content: text,
        },
    ];
    fat::volume(files, offset, serial, LABEL)
}
