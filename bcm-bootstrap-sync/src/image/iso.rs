//! An ISO image that starts with BIOS and with UEFI, from a CD and from a USB stick.
//!
//! ISO 9660 (ECMA-119) with El Torito boot entries ("El Torito Bootable CD-ROM Format Specification"
//! 1.0; UEFI specification 2.10, 13.3.2). The first 16 sectors, which ISO 9660 leaves to others, hold
//! a master boot record. All times are "not specified".

use super::{
    Content,
    disk::{CD_SECTOR, DISK_SECTOR, Kernel},
    mbr,
};

/// What comes first; ECMA-119 says where the descriptors begin, El Torito that its is the second.
const DESCRIPTORS: u64 = 16;
const CATALOG: u64 = 19;
const PATH_TABLE: u64 = 20;
const PATH_TABLE_BIG_ENDIAN: u64 = 21;
const ROOT: u64 = 22;
const LOADER: u64 = 23;
const KERNEL: u64 = 24;

/// The image's beginning, up to the volume that an EFI System Partition is; where that begins is known
/// before the volume is made, from [`volume_offset`].
pub(crate) fn image(kernel: &Kernel, volume: Content, serial: u32, label: &str) -> Content {
    let volume_at = volume_offset(kernel);
    let total = (volume_at + volume.len()).next_multiple_of(CD_SECTOR);
    let files = [
        ("BOOT.BIN;1", LOADER, CD_SECTOR),
        ("EFI.IMG;1", volume_at / CD_SECTOR, volume.len()),
        ("IPXE.KRN;1", KERNEL, kernel.content.len()),
    ];
    let mut image = Content::new();
    let kernel_at = KERNEL * CD_SECTOR;
    image.push(
        mbr::sector(
            &kernel.loader(kernel_at, DISK_SECTOR),
            serial,
            volume_at,
            volume.len(),
        )
        .to_vec(),
    );
    image.pad_to(DESCRIPTORS * CD_SECTOR);
    image.push(primary(total / CD_SECTOR, label));
    image.push(boot_record());
    image.push(terminator());
    image.push(catalog(volume_at / CD_SECTOR, volume.len() / DISK_SECTOR));
    image.align(CD_SECTOR);
    for big_endian in [false, true] {
        image.push(path_table(big_endian));
        image.align(CD_SECTOR);
    }
    image.push(root(&files));
    image.align(CD_SECTOR);
    image.push(kernel.loader(kernel_at, CD_SECTOR));
    image.pad_to(kernel_at);
    image.append(kernel.content.clone());
    image.pad_to(volume_at);
    image.append(volume);
    image.align(CD_SECTOR);
    image
}

/// Where the volume begins, in bytes.
pub(crate) fn volume_offset(kernel: &Kernel) -> u64 {
    (KERNEL * CD_SECTOR + kernel.content.len()).next_multiple_of(CD_SECTOR)
}

/// A number in both byte orders, ECMA-119 7.3.3.
fn both(value: u64) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes()[..4]);
    bytes[4..].copy_from_slice(&value.to_be_bytes()[4..]);
    bytes
}

/// The same for 16 bits, 7.2.3.
fn both_short(value: u16) -> [u8; 4] {
    let [a, b] = value.to_le_bytes();
    [a, b, b, a]
}

fn descriptor(kind: u8) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(b"CD001\x01");
    out
}

/// The primary volume descriptor, ECMA-119 8.4.
fn primary(sectors: u64, label: &str) -> Vec<u8> {
    let mut out = descriptor(1);
    out.push(0);
    out.extend([b' '; 32]); // system
    out.extend(format!("{label:32.32}").bytes());
    out.extend([0; 8]);
    out.extend(both(sectors));
    out.extend([0; 32]);
    out.extend(both_short(1)); // volumes of the set, and which it is
    out.extend(both_short(1));
    out.extend(both_short(2048));
    out.extend(both(path_table(false).len() as u64));
    out.extend(&PATH_TABLE.to_le_bytes()[..4]);
    out.extend([0; 4]);
    out.extend(&PATH_TABLE_BIG_ENDIAN.to_be_bytes()[4..]);
    out.extend([0; 4]);
    out.extend(record(&[0], ROOT, CD_SECTOR, true));
    out.extend([b' '; 128]); // volume set
    out.extend([b' '; 128]); // publisher
    out.extend([b' '; 128]); // preparer
    out.extend(format!("{:128}", "BCM").bytes()); // application
    out.extend([b' '; 3 * 37]); // files about it
    for _ in 0..4 {
        out.extend([b'0'; 16]); // no time
        out.push(0);
    }
    out.push(1);
    out.resize(2048, 0);
    out
}

/// El Torito's descriptor, which says where the catalogue is.
fn boot_record() -> Vec<u8> {
    let mut out = descriptor(0);
    out.extend(b"EL TORITO SPECIFICATION");
    out.resize(0x47, 0);
    out.extend(&CATALOG.to_le_bytes()[..4]);
    out.resize(2048, 0);
    out
}

fn terminator() -> Vec<u8> {
    let mut out = descriptor(255);
    out.resize(2048, 0);
    out
}

/// El Torito's catalogue: the boot code for BIOS, the volume for UEFI.
fn catalog(volume: u64, sectors: u64) -> Vec<u8> {
    const WITHOUT_EMULATION: [u8; 2] = [0x88, 0];
    let mut out = vec![1, 0, 0, 0];
    out.resize(30, 0);
    out.extend([0x55, 0xaa]);
    let sum = out.chunks(2).fold(0_u16, |sum, word| {
        sum.wrapping_add(u16::from_le_bytes([word[0], word[1]]))
    });
    out[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    // All of the boot code's sector, which counts as four.
    out.extend(WITHOUT_EMULATION);
    out.extend([0, 0, 0, 0, 4, 0]);
    out.extend(&LOADER.to_le_bytes()[..4]);
    out.resize(64, 0);
    // The last section, for UEFI, with one entry.
    out.extend([0x91, 0xef, 1, 0]);
    out.resize(96, 0);
    out.extend(WITHOUT_EMULATION);
    out.extend([0, 0, 0, 0]);
    // Firmware takes the volume's length from the volume where this field is too narrow for it.
    out.extend(u16::try_from(sectors).unwrap_or(0).to_le_bytes());
    out.extend(&volume.to_le_bytes()[..4]);
    out.resize(128, 0);
    out
}

/// The table of folders: the root alone, ECMA-119 9.4.
fn path_table(big_endian: bool) -> Vec<u8> {
    let mut out = vec![1, 0];
    if big_endian {
        out.extend(&ROOT.to_be_bytes()[4..]);
        out.extend([0, 1]);
    } else {
        out.extend(&ROOT.to_le_bytes()[..4]);
        out.extend([1, 0]);
    }
    out.extend([0, 0]);
    out
}

/// The root folder: itself, its parent (itself), and files by name.
fn root(files: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut out = record(&[0], ROOT, CD_SECTOR, true);
    out.extend(record(&[1], ROOT, CD_SECTOR, true));
    for (name, sector, len) in files {
        out.extend(record(name.as_bytes(), *sector, *len, false));
    }
    out
}

/// An entry of a folder, ECMA-119 9.1.
fn record(name: &[u8], sector: u64, len: u64, folder: bool) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.extend(both(sector));
    out.extend(both(len));
    out.extend([0; 7]); // no time
    out.extend([if folder { 2 } else { 0 }, 0, 0]);
    out.extend(both_short(1));
    out.push(u8::try_from(name.len()).unwrap_or(0));
    out.extend(name);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out[0] = u8::try_from(out.len()).unwrap_or(0);
    out
}
