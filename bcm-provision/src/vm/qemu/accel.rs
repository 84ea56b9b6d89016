//! Whether KVM works here.
//!
//! That `/dev/kvm` is there, and even that firmware runs, says little: on some hosts a kernel then
//! hangs. So one is started, and has to come to its end in time.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bcm_core::progress::watched;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::command::{probe_disk, probe_kernel};
use crate::vm::fleet::{private_folder, write};
use crate::vm::image::{Format, Image};
use crate::vm::{VmContext, VmError};

/// How a machine's processors are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// By this machine's.
    Kvm,
    /// By QEMU's software emulation.
    Tcg,
}

/// A kernel alone takes a second; a boot loader may wait for somebody to choose.
const KERNEL_LIMIT: Duration = Duration::from_secs(8);
const DISK_LIMIT: Duration = Duration::from_secs(25);

/// An answer, for as long as this machine runs.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// The kernel's id of this boot.
    boot: String,
    works: bool,
}

/// How machines are run, and what there is to say of it.
pub(crate) async fn choose(
    context: &VmContext,
    qemu: &Path,
    image: &Image,
) -> Result<(Accel, Option<String>), VmError> {
    let kvm = Path::new("/dev/kvm");
    let slow = "the machines are emulated in software, which is many times slower";
    if !kvm.exists() {
        let why = format!("{slow}: there is no /dev/kvm (no virtualisation, or kvm not loaded)");
        return Ok((Accel::Tcg, Some(why)));
    }
    if let Err(error) = OpenOptions::new().read(true).write(true).open(kvm) {
        let why = format!(
            "{slow}: /dev/kvm cannot be used ({error}); the group kvm may: usermod -aG kvm USER, and log in again"
        );
        return Ok((Accel::Tcg, Some(why)));
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let path = context.cache.join("kvm.json");
    let kept = std::fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Answer>(&text).ok())
        .filter(|answer| answer.boot == boot && !boot.is_empty());
    let works = match kept {
        Some(answer) => answer.works,
        None => {
            let works = watched(&context.progress, "trying whether KVM works", async {
                Ok::<_, VmError>(works(qemu, image).await)
            })
            .await?;
            private_folder(&context.cache)?;
            write(&path, &Answer { boot, works })?;
            works
        }
    };
    Ok(match works {
        true => (Accel::Kvm, None),
        false => {
            let why = format!("{slow}: /dev/kvm is there, but a kernel does not start with it");
            (Accel::Tcg, Some(why))
        }
    })
}

/// Starts what is going to be started, with KVM.
async fn works(qemu: &Path, image: &Image) -> bool {
    let (arguments, limit) = match &image.kernel {
        Some((kernel, _)) => (probe_kernel(&kernel.to_string_lossy()), KERNEL_LIMIT),
        None => (
            probe_disk(&image.disk.to_string_lossy(), image.format),
            DISK_LIMIT,
        ),
    };
    let ends = image.kernel.is_some();
    let mut command = Command::new(qemu);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        // By its id, when this is over.
        .kill_on_drop(true);
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let Some(mut stdout) = child.stdout.take() else {
        return false;
    };
    let mut said = Vec::new();
    let watching = async {
        let mut piece = [0; 4096];
        while let Ok(n) = stdout.read(&mut piece).await
            && n > 0
        {
            said.extend_from_slice(&piece[..n]);
            if has_started(&said, ends) {
                return true;
            }
        }
        false
    };
    let works = tokio::time::timeout(limit, watching).await.unwrap_or(false);
    let _ = child.kill().await;
    works
}

/// Whether the console shows a kernel that works: one that was started alone comes as far as looking
/// for its root file system.
fn has_started(said: &[u8], ends: bool) -> bool {
    let text = String::from_utf8_lossy(said);
    text.contains("Linux version") && (!ends || text.contains("Kernel panic"))
}

impl Accel {
    /// As QEMU calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// An image for the probe, out of what a machine has.
pub(crate) fn of_node(folder: &Path, format: Format, kernel: bool) -> Image {
    Image {
        disk: folder.join("disk"),
        format,
        size: 0,
        kernel: kernel.then(|| (folder.join("vmlinuz"), folder.join("initrd"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_alone_is_not_enough() {
        assert!(!has_started(
            b"SeaBIOS (version 1.16)\nBooting from ROM..",
            true
        ));
        assert!(!has_started(b"Linux version 6.1\n", true));
        assert!(has_started(
            b"Linux version 6.1\n\nKernel panic - not syncing: VFS",
            true
        ));
        assert!(has_started(b"Linux version 6.1\n", false));
    }
}
