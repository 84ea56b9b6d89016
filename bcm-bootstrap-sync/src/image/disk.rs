//! The boot code of disks and CDs (`code/disk.S`), and the kernel image as that code reads it.

use super::{Content, krn::Carrier};

/// The assembled `code/disk.S`: what a master boot record has before its disk signature.
const CODE: &[u8] = include_bytes!("code/disk.bin");

/// What the code reads at a time.
const PIECE: u64 = 32 << 10;

/// A sector of a disk, in bytes.
pub(crate) const DISK_SECTOR: u64 = 512;
/// A sector of a CD, in bytes.
pub(crate) const CD_SECTOR: u64 = 2048;

/// A kernel image with its two parts at beginnings of sectors, whichever size those have.
pub(crate) struct Kernel {
    real_mode: u64,
    pieces: u64,
    /// The image.
    pub(crate) content: Content,
}

impl Kernel {
    pub(crate) fn new(carrier: Carrier) -> Self {
        let mut content = Content::new();
        content.push(carrier.real_mode);
        content.align(CD_SECTOR);
        let real_mode = content.len();
        content.append(carrier.protected);
        let pieces = (content.len() - real_mode).div_ceil(PIECE);
        content.pad_to(real_mode + pieces * PIECE);
        Self {
            real_mode,
            pieces,
            content,
        }
    }

    /// The code that loads this from a medium whose sectors have `sector` bytes; the image is `at`
    /// bytes from the medium's beginning, at a sector's.
    pub(crate) fn loader(&self, at: u64, sector: u64) -> Vec<u8> {
        let mut code = CODE.to_vec();
        let mut set = |at: usize, value: u64, len: usize| {
            code[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        };
        set(0x1a2, self.real_mode / sector, 2);
        set(0x1a8, at / sector, 4);
        set(0x1b0, PIECE / sector, 2);
        set(0x1b2, self.pieces, 2);
        code
    }
}
