//! `ipxe.efi`, and how one EFI file carries a script.
//!
//! From 2021 on, iPXE runs a file `autoexec.ipxe` that is on the volume it was started from. On a
//! medium with a file system that is all there is to do. A file by itself, and any medium with an
//! older iPXE (Debian 12 has one of 2019), gets iPXE in a wrapper: an EFI application
//! (`code/efi.S`) that makes a volume with the script and starts iPXE from it; an older one is also
//! told by typed keys to run the script.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Content, Script};

/// The assembled `code/efi.S`: at most a page.
const CODE: &[u8] = include_bytes!("code/efi.bin");

/// What is typed into an iPXE that does not look for a script: Ctrl-B when it offers its command line,
/// then a command.
const KEYS: &[u8] = b"\x02chain file:/autoexec.ipxe\r";

/// A page, and the alignment of sections in memory.
const PAGE: u32 = 0x1000;
/// The alignment of sections in the file.
const FILE_ALIGNMENT: u32 = 0x200;

const LOADED_IMAGE: u128 = 0x5b1b_31a1_9562_11d2_8e3f_00a0_c969_723b;
const SIMPLE_FILE_SYSTEM: u128 = 0x964e_5b22_6459_11d2_8e39_00a0_c969_723b;
const DEVICE_PATH: u128 = 0x0957_6e91_6d3f_11d2_8e39_00a0_c969_723b;
const FILE_INFO: u128 = 0x0957_6e92_6d3f_11d2_8e39_00a0_c969_723b;
/// The hardware path of the volume that the wrapper makes; a number of BCM's own.
const VOLUME: u128 = 0x3b1c_6f0a_52c8_4d0e_9f57_6c1d_b0ca_7a11;

/// An iPXE for UEFI on x86-64, looked through once.
#[derive(Debug, Clone)]
pub(crate) struct Efi {
    file: Bytes,
    looks_for_script: bool,
}

/// Which device an iPXE in a wrapper believes it was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// The volume that has the script.
    Volume,
    /// The one that the wrapper was started from: `snponly.efi` uses the network card it came over.
    Kept,
}

impl Efi {
    /// Looks through a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(file: Bytes) -> Result<Self, &'static str> {
        let field = |at: usize, len: usize| file.get(at..at + len);
        let header = field(0x3c, 4)
            .filter(|_| file.starts_with(b"MZ"))
            .and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?) as usize))
            .filter(|at| *at < 1 << 16 && field(*at, 4) == Some(b"PE\0\0"))
            .ok_or("it is no EFI program")?;
        if field(header + 4, 2) != Some(&[0x64, 0x86]) {
            return Err("it is not for x86-64");
        }
        if file.len() > 16 << 20 {
            return Err("it is longer than any iPXE");
        }
        let name = b"autoexec.ipxe";
        let wide: Vec<u8> = name.iter().flat_map(|b| [*b, 0]).collect();
        let has = |wanted: &[u8]| file.windows(wanted.len()).any(|window| window == wanted);
        let looks_for_script = has(name) || has(&wide);
        Ok(Self {
            file,
            looks_for_script,
        })
    }

    /// Whether it runs an `autoexec.ipxe` by itself.
    pub(crate) fn looks_for_script(&self) -> bool {
        self.looks_for_script
    }

    /// The file as it is.
    pub(crate) fn file(&self) -> Content {
        let mut content = Content::new();
        content.push(self.file.clone());
        content
    }

    /// The same iPXE and a script in one EFI application.
    pub(crate) fn carry(&self, script: &Script, device: Device) -> Content {
        let keys: &[u8] = if self.looks_for_script { b"" } else { KEYS };
        let mut data = page(keys, script.bytes(), self.file.len(), device);
        data.extend_from_slice(keys);
        data.extend_from_slice(script.bytes());
        data.resize(data.len().next_multiple_of(16), 0);
        // All of it was checked to be far below 4 GiB.
        let data_len = u32::try_from(data.len() + self.file.len()).unwrap_or(0);

        let mut content = Content::new();
        content.push(headers(data_len));
        content.align(FILE_ALIGNMENT.into());
        content.push(CODE);
        content.align(FILE_ALIGNMENT.into());
        content.push(data.freeze());
        content.push(self.file.clone());
        content.align(FILE_ALIGNMENT.into());
        content
    }
}

/// The page of data that `code/efi.S` describes. Behind it come the keys, the script, and iPXE from
/// the next multiple of 16 bytes on.
fn page(keys: &[u8], script: &[u8], inner: usize, device: Device) -> BytesMut {
    let mut page = BytesMut::with_capacity(PAGE as usize + keys.len() + script.len() + 16);
    let keys_at = PAGE as usize;
    let script_at = keys_at + keys.len();
    let inner_at = (script_at + script.len()).next_multiple_of(16);
    page.put_u64_le(u64::from(device == Device::Kept));
    for field in [
        script_at,
        script.len(),
        inner_at,
        inner,
        keys_at,
        keys.len(),
        0,
    ] {
        page.put_u64_le(field as u64);
    }
    for id in [LOADED_IMAGE, SIMPLE_FILE_SYSTEM, DEVICE_PATH, FILE_INFO] {
        page.put_slice(&guid(id));
    }
    // Device paths, UEFI specification 2.10, 10.3: type, subtype, length, and what the type has.
    let end = [0x7f, 0xff, 4, 0];
    let mut volume = vec![1, 4, 20, 0];
    volume.extend(guid(VOLUME));
    page.put_slice(&volume);
    page.put_slice(&end);
    page.resize(0xa0, 0);
    page.put_slice(&volume);
    let name: Vec<u8> = "\\ipxe.efi\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    page.put_slice(&[4, 4, 24, 0]);
    page.put_slice(&name);
    page.put_slice(&end);
    page.resize(PAGE as usize, 0);
    page
}

/// The bytes of a GUID: its first three fields are little-endian.
fn guid(number: u128) -> [u8; 16] {
    let mut bytes = number.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// The headers of a PE32+ file with two sections, code that cannot be written and data that cannot
/// be run (Microsoft's PE format). Nothing in it depends on its address, so there is nothing to relocate.
fn headers(data_len: u32) -> BytesMut {
    let code_len = CODE.len() as u32;
    let code_raw = code_len.next_multiple_of(FILE_ALIGNMENT);
    let data_raw = data_len.next_multiple_of(FILE_ALIGNMENT);
    let mut out = BytesMut::with_capacity(FILE_ALIGNMENT as usize);
    out.put_slice(b"MZ");
    out.resize(0x3c, 0);
    out.put_u32_le(0x40);
    out.put_slice(b"PE\0\0");
    out.put_u16_le(0x8664); // x86-64
    out.put_u16_le(2); // sections
    out.put_slice(&[0; 12]); // no time, no symbols
    out.put_u16_le(240); // of the optional header
    out.put_u16_le(0x022e); // executable, no line numbers, symbols or debug information, large addresses
    out.put_u16_le(0x20b); // PE32+
    out.put_u16_le(0);
    for field in [code_raw, data_raw, 0, PAGE, PAGE] {
        out.put_u32_le(field); // sizes of code, data and nothing; entry; code's address
    }
    out.put_u64_le(0); // preferred address: none
    out.put_u32_le(PAGE);
    out.put_u32_le(FILE_ALIGNMENT);
    out.put_slice(&[0; 16]); // versions
    out.put_u32_le(2 * PAGE + data_len.next_multiple_of(PAGE));
    out.put_u32_le(FILE_ALIGNMENT); // of the headers
    out.put_u32_le(0);
    out.put_u16_le(10); // an EFI application
    out.put_u16_le(0x0100); // data need not be run
    out.put_slice(&[0; 32]); // stack and heap
    out.put_u32_le(0);
    out.put_u32_le(16);
    out.put_slice(&[0; 128]); // directories
    for (name, len, address, raw, at, kind) in [
        (
            b".text\0\0\0",
            code_len,
            PAGE,
            code_raw,
            FILE_ALIGNMENT,
            0x6000_0020,
        ),
        (
            b".data\0\0\0",
            data_len,
            2 * PAGE,
            data_raw,
            FILE_ALIGNMENT + code_raw,
            0xc000_0040,
        ),
    ] {
        out.put_slice(name);
        for field in [len, address, raw, at, 0, 0, 0, kind] {
            out.put_u32_le(field);
        }
    }
    out
}
