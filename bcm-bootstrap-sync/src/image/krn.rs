//! `ipxe.lkrn`, iPXE in the form of a Linux kernel, and how it carries a script within its one file.
//!
//! A prebuilt one takes a script as its initial RAM disk. A file by itself has none, and its header's
//! fields for one cannot simply name bytes of the file: iPXE unpacks itself to 1 MiB, over what a
//! loader put there. So the file gets a few instructions (`code/krn.S`) that run first and move the
//! script away.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{Content, Script};

/// The assembled `code/krn.S`.
const CODE: &[u8] = include_bytes!("code/krn.bin");

/// Where the code goes in the first sector, and what it was assembled for.
const CODE_AT: usize = 0x100;

/// Where the code begins behind its variables and table.
const CODE_START: u16 = 0x13c;

/// Where the first sector's header begins (Linux's boot protocol).
const HEADER_AT: usize = 0x1f1;

/// Where the loader puts what follows the real-mode part.
const PAYLOAD_ADDRESS: u32 = 0x10_0000;

/// Where the code moves the script: far above iPXE, which takes the memory right below it, and within
/// any machine's memory.
const SCRIPT_ADDRESS: u32 = 0x400_0000;

/// An `ipxe.lkrn`, looked through once.
#[derive(Debug, Clone)]
pub(crate) struct Lkrn {
    real_mode: Bytes,
    payload: Bytes,
    /// Where in `real_mode` the address is that iPXE's first far return goes to.
    hook: Range<usize>,
}

/// A kernel image that carries a script, as a loader wants it: its two parts apart.
pub(crate) struct Carrier {
    /// What runs in real mode: whole sectors.
    pub(crate) real_mode: Bytes,
    /// What goes to 1 MiB.
    pub(crate) protected: Content,
}

impl Lkrn {
    /// Looks through a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(file: &Bytes) -> Result<Self, &'static str> {
        let header = file.get(..0x248).ok_or("it is too short for a kernel")?;
        if header[0x1fe..0x200] != [0x55, 0xaa] || &header[0x202..0x206] != b"HdrS" {
            return Err("it has no header of a Linux kernel");
        }
        let sectors = usize::from(header[HEADER_AT]) + 1;
        if file.len() <= sectors * 512 || file.len() > 16 << 20 {
            return Err("its length does not fit its header");
        }
        if header[..HEADER_AT].iter().any(|byte| *byte != 0) {
            return Err("its first sector is not empty");
        }
        // jmp to: push ds; push address; retf
        let (0xeb, distance) = (header[0x200], usize::from(header[0x201])) else {
            return Err("it does not begin as iPXE does");
        };
        let setup = 0x202 + distance;
        match file.get(setup..setup + 5) {
            Some([0x1e, 0x68, _, _, 0xcb]) => {}
            _ => return Err("it does not begin as iPXE does"),
        }
        Ok(Self {
            real_mode: file.slice(..sectors * 512),
            payload: file.slice(sectors * 512..),
            hook: setup + 2..setup + 4,
        })
    }

    /// The same iPXE with a script in it.
    pub(crate) fn carry(&self, script: &Script) -> Carrier {
        let mut protected = Content::new();
        protected.push(self.payload.clone());
        protected.align(16);
        // A script was checked to be shorter than 64 KiB, and a file than 16 MiB.
        let script_at = PAYLOAD_ADDRESS + u32::try_from(protected.len()).unwrap_or(0);
        let script_len = u32::try_from(script.bytes().len()).unwrap_or(0);
        protected.push(script.bytes().clone());
        protected.align(16);

        let mut code = CODE.to_vec();
        let mut set = |at: usize, value: &[u8]| code[at..at + value.len()].copy_from_slice(value);
        set(0, &SCRIPT_ADDRESS.to_le_bytes());
        set(4, &script_len.to_le_bytes());
        set(8, &script_len.div_ceil(2).to_le_bytes()[..2]);
        set(10, &self.real_mode[self.hook.clone()]);
        for (descriptor, address) in [(0x1c, script_at), (0x24, SCRIPT_ADDRESS)] {
            let [a, b, c, d] = address.to_le_bytes();
            set(descriptor + 2, &[a, b, c]);
            set(descriptor + 7, &[d]);
        }

        let mut real_mode = BytesMut::from(&self.real_mode[..]);
        real_mode[CODE_AT..CODE_AT + code.len()].copy_from_slice(&code);
        real_mode[self.hook.clone()].copy_from_slice(&CODE_START.to_le_bytes());
        let paragraphs = u32::try_from(protected.len() / 16).unwrap_or(u32::MAX);
        real_mode[0x1f4..0x1f8].copy_from_slice(&paragraphs.to_le_bytes());
        Carrier {
            real_mode: real_mode.freeze(),
            protected,
        }
    }
}

impl Carrier {
    /// The kernel image as one file.
    pub(crate) fn into_file(self) -> Content {
        let mut file = Content::new();
        file.push(self.real_mode);
        file.append(self.protected);
        file
    }
}
