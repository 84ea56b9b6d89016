//! What has to be on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespace;

/// Files that the tests work with.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// A Linux kernel that starts with BIOS and with UEFI.
    pub(crate) kernel: PathBuf,
    /// A folder with Debian 13's iPXE.
    pub(crate) newer_ipxe: PathBuf,
    /// OVMF: its code, and its variables to be copied.
    pub(crate) ovmf: (PathBuf, PathBuf),
}

/// The files, or what is missing.
pub(crate) fn files() -> Result<Files, String> {
    let brought = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/boot");
    let ovmf = Path::new("/usr/share/OVMF");
    let files = Files {
        kernel: brought.join("vmlinuz"),
        newer_ipxe: brought.join("ipxe"),
        ovmf: (ovmf.join("OVMF_CODE_4M.fd"), ovmf.join("OVMF_VARS_4M.fd")),
    };
    let mut missing = Vec::new();
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output();
    if qemu.is_err() {
        missing.push("qemu-system-x86");
    }
    if !files.ovmf.0.is_file() || !files.ovmf.1.is_file() {
        missing.push("ovmf");
    }
    if !Path::new("/usr/lib/ipxe/ipxe.lkrn").is_file() {
        missing.push("ipxe");
    }
    if !files.kernel.is_file() || !files.newer_ipxe.join("ipxe.efi").is_file() {
        missing.push("the kernel and the iPXE that `bash .ci/run boot` puts into target/boot");
    }
    if !namespace::is_possible() {
        missing.push("namespaces of its own");
    }
    match missing.is_empty() {
        true => Ok(files),
        false => Err(missing.join(", ")),
    }
}
