//! Media of a made-up iPXE, taken apart again. Whether machines start from them is shown by booting
//! them, which the package of tests does.

use std::{
    fs,
    io::{Cursor, Read},
    path::{Path, PathBuf},
    process::Command,
};

use super::*;

const SCRIPT: &str = "#!ipxe\necho hello\n";

/// A kernel image whose first instructions are like iPXE's, with a payload of `payload` bytes.
fn lkrn(payload: usize) -> Vec<u8> {
    let mut file = vec![0; 6 * 512];
    file[0x1f1] = 5;
    file[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x46]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x248..0x24d].copy_from_slice(&[0x1e, 0x68, 0x4d, 0x02, 0xcb]);
    file.extend((0..payload).map(|i| (i % 251) as u8));
    file
}

/// The beginning of an EFI program for x86-64, and `text`.
fn efi(text: &str) -> Vec<u8> {
    let mut file = vec![0; 0x200];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x80;
    file[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
    file.extend(text.bytes());
    file.resize(70_000, 0x5a);
    file
}

struct Ipxe(tempfile::TempDir);

impl Ipxe {
    fn new(efi_text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ipxe.lkrn"), lkrn(100_001)).unwrap();
        for name in ["ipxe.efi", "snponly.efi"] {
            fs::write(folder.path().join(name), efi(efi_text)).unwrap();
        }
        Self(folder)
    }

    fn put(self, name: &str, content: &[u8]) -> Self {
        fs::write(self.0.path().join(name), content).unwrap();
        self
    }

    fn media(&self) -> Media {
        Media::new(Prebuilt::read(&[self.0.path().to_owned()]))
    }
}

fn make(medium: Medium, ipxe: &Ipxe) -> Vec<u8> {
    let script = Script::new(SCRIPT).unwrap();
    ipxe.media().make(medium, &script).unwrap().to_vec()
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[test]
fn the_same_input_makes_the_same_bytes_and_another_script_makes_others() {
    for text in ["autoexec.ipxe", "old"] {
        let ipxe = Ipxe::new(text);
        for medium in Medium::ALL {
            let first = make(medium, &ipxe);
            assert_eq!(first, make(medium, &Ipxe::new(text)), "{medium:?}");
            let other = Script::new("#!ipxe\necho other\n").unwrap();
            let other = ipxe.media().make(medium, &other).unwrap().to_vec();
            assert_ne!(first, other, "{medium:?}");
        }
    }
}

#[test]
fn a_kernel_image_carries_the_script_where_its_code_takes_it_from() {
    let original = lkrn(100_001);
    let file = make(Medium::Krn, &Ipxe::new(""));
    // The far return at the beginning goes to the code, which ends where it would have gone.
    assert_eq!(number(&file[0x24a..0x24c]), 0x13c);
    assert_eq!(file[0x13c..0x140], [0x31, 0xc0, 0x8e, 0xd0]);
    assert_eq!(file[0x10a..0x10c], original[0x24a..0x24c]);
    // What it copies is the script: addresses begin at 1 MiB with the payload.
    let source = number(&[file[0x11e], file[0x11f], file[0x120], file[0x123]]);
    let at = source - 0x10_0000 + 6 * 512;
    let len = number(&file[0x104..0x108]);
    assert_eq!(&file[at..at + len], SCRIPT.as_bytes());
    assert_eq!(number(&file[0x108..0x10a]), len.div_ceil(2));
    let target = number(&[file[0x126], file[0x127], file[0x128], file[0x12b]]);
    assert_eq!(target, number(&file[0x100..0x104]));
    // Nothing else of iPXE has changed but the length of the payload.
    assert_eq!(number(&file[0x1f4..0x1f8]) * 16, file.len() - 6 * 512);
    assert_eq!(file[0x1f8..0x24a], original[0x1f8..0x24a]);
    assert_eq!(file[0x24c..original.len()], original[0x24c..]);
}

#[test]
fn a_volume_is_one_that_another_reader_can_read() {
    for (text, own_program) in [("autoexec.ipxe", true), ("", false)] {
        let disk = make(Medium::UefiDisk, &Ipxe::new(text));
        let entry = &disk[446..462];
        assert_eq!((entry[0], entry[4]), (0x80, 0xef));
        let start = number(&entry[8..12]) * 512;
        assert_eq!(start + number(&entry[12..16]) * 512, disk.len());
        let volume = Cursor::new(disk[start..].to_vec());
        let volume = fatfs::FileSystem::new(volume, fatfs::FsOptions::new()).unwrap();
        assert_eq!(volume.fat_type(), fatfs::FatType::Fat16);
        assert_eq!(volume.volume_label(), "ZOS-BOOT");
        let root = volume.root_dir();
        let read = |path: &str| {
            let mut bytes = Vec::new();
            root.open_file(path)
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        };
        assert_eq!(read("autoexec.ipxe"), SCRIPT.as_bytes());
        let program = read("EFI/BOOT/BOOTX64.EFI");
        assert_eq!(program == efi(text), own_program);
        let names: Vec<String> = root.iter().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["EFI", "autoexec.ipxe"]);
        // Both tables are the same.
        let sectors = number(&disk[start + 22..start + 24]) * 512;
        let tables = &disk[start + 512..start + 512 + 2 * sectors];
        assert_eq!(tables[..sectors], tables[sectors..]);
    }
}

/// Reads the kernel image as the boot code does; `at` is where the code is.
fn loaded(medium: &[u8], at: usize, sector: usize) -> (Vec<u8>, Vec<u8>) {
    let field = |from: usize, len: usize| number(&medium[at + from..at + from + len]);
    let begin = field(0x1a8, 4) * sector;
    let rest = begin + field(0x1a2, 2) * sector;
    let end = rest + field(0x1b2, 2) * field(0x1b0, 2) * sector;
    (medium[begin..rest].to_vec(), medium[rest..end].to_vec())
}

#[test]
fn boot_code_loads_the_kernel_image_from_disks_and_cds() {
    let ipxe = Ipxe::new("autoexec.ipxe");
    let kernel = make(Medium::Krn, &ipxe);
    let usb = make(Medium::Usb, &ipxe);
    let iso = make(Medium::Iso, &ipxe);
    let catalog = number(&iso[17 * 2048 + 0x47..17 * 2048 + 0x4b]) * 2048;
    let cd_code = number(&iso[catalog + 40..catalog + 44]) * 2048;
    for (medium, at, sector) in [(&usb, 0, 512), (&iso, 0, 512), (&iso, cd_code, 2048)] {
        let (real_mode, rest) = loaded(medium, at, sector);
        assert_eq!(real_mode[..6 * 512], kernel[..6 * 512]);
        assert_eq!(rest[..kernel.len() - 6 * 512], kernel[6 * 512..]);
    }
}

#[test]
fn an_iso_image_names_its_files_and_both_ways_to_boot() {
    let iso = make(Medium::Iso, &Ipxe::new("autoexec.ipxe"));
    assert_eq!(iso.len() % 2048, 0);
    for (sector, kind) in [(16, 1), (17, 0), (18, 255)] {
        assert_eq!(iso[sector * 2048], kind);
        assert_eq!(&iso[sector * 2048 + 1..sector * 2048 + 6], b"CD001");
    }
    let primary = &iso[16 * 2048..17 * 2048];
    assert_eq!(number(&primary[80..84]) * 2048, iso.len());
    assert_eq!(
        primary[80..84].iter().rev().copied().collect::<Vec<_>>(),
        primary[84..88]
    );
    // The catalogue's first entry adds up to nothing, as El Torito wants.
    let catalog = &iso[19 * 2048..20 * 2048];
    let sum = catalog[..32].chunks(2).fold(0_u16, |sum, word| {
        sum.wrapping_add(u16::try_from(number(word)).unwrap())
    });
    assert_eq!(sum, 0);
    assert_eq!(
        (catalog[32], catalog[64], catalog[65], catalog[96]),
        (0x88, 0x91, 0xef, 0x88)
    );
    // The root folder's files, by name, and the volume for UEFI where both ways find it.
    let mut root = &iso[22 * 2048..23 * 2048];
    let mut files = Vec::new();
    while root[0] > 0 {
        let (record, rest) = root.split_at(usize::from(root[0]));
        let name = &record[33..33 + usize::from(record[32])];
        files.push((
            String::from_utf8_lossy(name).into_owned(),
            number(&record[2..6]) * 2048,
            number(&record[10..14]),
        ));
        root = rest;
    }
    let names: Vec<&str> = files.iter().map(|file| file.0.as_str()).collect();
    assert_eq!(
        names,
        ["\0", "\u{1}", "BOOT.BIN;1", "EFI.IMG;1", "IPXE.KRN;1"]
    );
    let (_, at, len) = files[3];
    assert_eq!(number(&catalog[104..108]) * 2048, at);
    assert_eq!(number(&iso[454..458]) * 512, at);
    assert_eq!(number(&iso[458..462]) * 512, len);
    let volume = Cursor::new(iso[at..at + len].to_vec());
    fatfs::FileSystem::new(volume, fatfs::FsOptions::new()).unwrap();
}

#[test]
fn a_wrapper_has_ipxe_and_the_script_and_types_only_for_an_old_one() {
    for (medium, kept) in [(Medium::Uefi, 0), (Medium::SnpOnly, 1)] {
        for (text, types) in [("autoexec.ipxe", false), ("a\0u\0t\0o", true)] {
            let file = make(medium, &Ipxe::new(text));
            let section = 0x40 + 24 + 240 + 40;
            assert_eq!(&file[section..section + 5], b".data");
            let data = &file[number(&file[section + 20..section + 24])..];
            let field = |at: usize| number(&data[at..at + 8]);
            assert_eq!(field(0), kept);
            assert_eq!(&data[field(8)..field(8) + field(16)], SCRIPT.as_bytes());
            assert_eq!(data[field(24)..field(24) + field(32)], efi(text));
            let keys = &data[field(40)..field(40) + field(48)];
            assert_eq!(keys.starts_with(b"\x02chain "), types);
            assert_eq!(keys.is_empty(), !types);
            // Memory has room for all of it.
            let address = number(&file[section + 12..section + 16]);
            let end = address + number(&file[section + 8..section + 12]);
            assert!(end <= number(&file[0x40 + 24 + 56..0x40 + 24 + 60]));
            assert!(end >= address + field(24) + field(32));
        }
    }
}

#[test]
fn a_missing_file_says_which_package_has_it() {
    let empty = tempfile::tempdir().unwrap();
    let media = Media::new(Prebuilt::read(&[empty.path().to_owned()]));
    let script = Script::new(SCRIPT).unwrap();
    for medium in Medium::ALL {
        let error = media.make(medium, &script).unwrap_err().to_string();
        assert!(
            error.ends_with("; Debian's package `ipxe` has it"),
            "{error}"
        );
    }
}

#[test]
fn each_medium_needs_only_its_own_files() {
    let ipxe = Ipxe::new("");
    fs::remove_file(ipxe.0.path().join("ipxe.efi")).unwrap();
    let script = Script::new(SCRIPT).unwrap();
    let media = ipxe.media();
    for (medium, works) in [
        (Medium::Krn, true),
        (Medium::SnpOnly, true),
        (Medium::Uefi, false),
        (Medium::Usb, false),
    ] {
        assert_eq!(media.make(medium, &script).is_ok(), works, "{medium:?}");
    }
}

#[test]
fn what_is_not_ipxe_is_refused() {
    let mut busy = lkrn(100);
    busy[0x180] = 1;
    let mut other = lkrn(100);
    other[0x248] = 0x90;
    let mut long = lkrn(100);
    long[0x1f1] = 255;
    let mut arm = efi("");
    arm[0x84..0x86].copy_from_slice(&[0x64, 0xaa]);
    let mut wild = efi("");
    wild[0x3c..0x40].copy_from_slice(&[0xff; 4]);
    let cases: [(&str, &[u8], Medium); 9] = [
        ("ipxe.lkrn", b"", Medium::Krn),
        ("ipxe.lkrn", &[0x55; 0x248], Medium::Krn),
        ("ipxe.lkrn", &busy, Medium::Krn),
        ("ipxe.lkrn", &other, Medium::Krn),
        ("ipxe.lkrn", &long, Medium::Iso),
        ("ipxe.efi", b"<html>404</html>", Medium::Uefi),
        ("ipxe.efi", &arm, Medium::Usb),
        ("ipxe.efi", &wild, Medium::Uefi),
        ("snponly.efi", b"MZ", Medium::SnpOnly),
    ];
    let script = Script::new(SCRIPT).unwrap();
    for (name, content, medium) in cases {
        let ipxe = Ipxe::new("").put(name, content);
        let error = ipxe.media().make(medium, &script).unwrap_err();
        assert!(
            matches!(error, MediaError::Unusable { .. }),
            "{name}: {error}"
        );
    }
    // A folder under the file's name is no file.
    let ipxe = Ipxe::new("");
    fs::remove_file(ipxe.0.path().join("ipxe.lkrn")).unwrap();
    fs::create_dir(ipxe.0.path().join("ipxe.lkrn")).unwrap();
    let error = ipxe.media().make(Medium::Krn, &script).unwrap_err();
    assert!(matches!(error, MediaError::Read { .. }), "{error}");
}

#[test]
fn only_scripts_of_a_reasonable_length_are_taken() {
    assert!(matches!(Script::new("echo"), Err(MediaError::NotAScript)));
    assert!(matches!(
        Script::new("#!ipxer"),
        Err(MediaError::NotAScript)
    ));
    let long = format!("#!ipxe\n{}", "#".repeat(32 << 10));
    assert!(matches!(
        Script::new(long),
        Err(MediaError::ScriptTooLong { .. })
    ));
}

/// The programs in `code/` are there in both forms, so that a build needs no assembler for x86.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_assembled_code_is_that_of_its_source() {
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/image/code");
    let work = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(work.path())
            .output()
            .unwrap_or_else(|error| panic!("{program} comes with a C compiler: {error}"));
        assert!(output.status.success(), "{output:?}");
    };
    for (name, bits, format, address) in [
        ("krn", "--32", "elf_i386", "0x100"),
        ("disk", "--32", "elf_i386", "0x7c00"),
        ("efi", "--64", "elf_x86_64", "0"),
    ] {
        let source: PathBuf = code.join(format!("{name}.S"));
        run("as", &[bits, &source.display().to_string(), "-o", "code.o"]);
        run(
            "ld",
            &[
                "-m",
                format,
                "-Ttext",
                address,
                "-e",
                "start",
                "--oformat",
                "binary",
                "-o",
                "code.bin",
                "code.o",
            ],
        );
        let assembled = fs::read(work.path().join("code.bin")).unwrap();
        let kept = fs::read(code.join(format!("{name}.bin"))).unwrap();
        assert!(assembled == kept, "{name}.bin is not what {name}.S makes");
    }
}
