//! `bcm bootstrap image`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bcm_bootstrap_sync::image::{Media, MediaError, Medium, Prebuilt, Script};
use bcm_bootstrap_sync::ipxe::{self, BootScript, Boots, ServerUrl};
use bcm_core::atomic_file;
use bcm_core::digest::Sha256;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::args::bootstrap::image::ImageCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;
use crate::settings::{self, key};

/// Where media that name no mirror send machines: the upstream Bootstrap over plain HTTP.
const UPSTREAM: &str = "http://unsecure.bootstrap.grid.tf";

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    out: PathBuf,
    form: &'static str,
    bytes: u64,
    sha256: Sha256,
    server: String,
    run_mode: String,
    farm: Option<String>,
    /// The kernel, or the script that names it where the medium fetches that.
    fetches: String,
    /// The kernel's command line; what the server says where the medium fetches the script.
    command_line: Option<String>,
    #[serde(skip)]
    medium: Medium,
}

/// Writes a boot medium.
pub(super) fn run(context: &Context, args: &ImageCommand) -> Result<ExitCode, Failure> {
    let settings = &context.settings;
    let title = settings::bootstrap::title(settings, &args.mode)?;
    let said = settings.maybe(&key::BOOTSTRAP_BOOT_URL, args.boot_url.clone())?;
    let server = match &said {
        Some(server) => server.clone(),
        None => ServerUrl::new(UPSTREAM).map_err(Failure::new)?,
    };
    let folders = settings.many(&key::IPXE_DIR, &args.ipxe_dir)?.0;
    may_write(&args.out, args.force)?;

    let script = BootScript {
        server: server.clone(),
        mode: args.mode.clone(),
        title,
        farm: args.farm.clone(),
        extra: args.extra.clone().unwrap_or_default(),
        boots: args.kernel.clone().map_or(Boots::RunMode, Boots::Kernel),
    };
    let (text, fetches, command_line) = match args.chain {
        false => (
            script.render(),
            script.kernel_url(),
            Some(script.command_line()),
        ),
        true => {
            let path = script.path().ok_or_else(|| {
                Failure::usage("with --chain, --extra and --kernel need a --farm as well")
            })?;
            let path = format!("/ipxe{path}");
            (ipxe::chain(&server, &path), format!("{server}{path}"), None)
        }
    };
    let medium = Medium::from(args.form);
    let content = Script::new(text)
        .and_then(|script| Media::new(Prebuilt::read(&folders)).make(medium, &script))
        .map_err(failure)?
        .to_vec();
    atomic_file::write(&args.out, &content, 0o644).map_err(Failure::new)?;
    if said.is_none() {
        context.reporter.warn(&format!(
            "machines will boot from {server}, not from a mirror of yours; --boot-url names one"
        ));
    }
    context.printer.show(&Written {
        out: args.out.clone(),
        form: medium.name(),
        bytes: content.len() as u64,
        sha256: Sha256::of(&content),
        server: server.to_string(),
        run_mode: args.mode.as_str().to_owned(),
        farm: args.farm.as_ref().map(|farm| farm.as_str().to_owned()),
        fetches,
        command_line,
        medium,
    })?;
    Ok(ExitCode::Done)
}

/// Checks that writing to `path` replaces nothing that it should not.
fn may_write(path: &Path, force: bool) -> Result<(), Failure> {
    let refuse = |what: &str, hint: &str| {
        Err(Failure::usage(format!("{} {what}", path.display()))
            .with_code(ExitCode::Failed)
            .with_hint(hint))
    };
    match fs::symlink_metadata(path) {
        Ok(about) if !about.is_file() => refuse(
            "is there and is not a plain file",
            "write the medium to a file, and the file to a stick with `dd`",
        ),
        Ok(_) if !force => refuse("is already there", "--force replaces it"),
        // Where nothing is, or nothing can be looked at, writing says what is wrong.
        _ => Ok(()),
    }
}

fn failure(error: MediaError) -> Failure {
    match error {
        MediaError::Missing { .. } => Failure::new(error).with_hint(
            "`apt-get install ipxe`, or name the folder of another iPXE with --ipxe-dir",
        ),
        error => Failure::new(error),
    }
}

impl Show for Written {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = self.out.display();
        writeln!(out, "wrote {path} ({})", HumanBytes(self.bytes))?;
        let farm = match &self.farm {
            Some(farm) => format!("farm {farm}"),
            None => "no farm".to_owned(),
        };
        writeln!(out, "  for      run mode {}, {farm}", self.run_mode)?;
        writeln!(out, "  fetches  {}", self.fetches)?;
        if let Some(line) = &self.command_line {
            writeln!(out, "  kernel   {line}")?;
        }
        writeln!(out, "  sha256   {}", self.sha256)?;
        let use_it = match self.medium {
            Medium::Iso => {
                format!("burn it on a CD, or: dd if={path} of=/dev/sdX bs=1M conv=fsync")
            }
            Medium::Usb => format!(
                "dd if={path} of=/dev/sdX bs=1M conv=fsync; then boot from it with BIOS or UEFI"
            ),
            Medium::UefiDisk => {
                format!("dd if={path} of=/dev/sdX bs=1M conv=fsync; then boot from it with UEFI")
            }
            Medium::Uefi => {
                "as EFI/BOOT/BOOTX64.EFI of a FAT volume, or as a DHCP server's boot file"
                    .to_owned()
            }
            Medium::SnpOnly => "as a DHCP server's boot file for UEFI".to_owned(),
            _ => "with a BIOS boot loader, in GRUB by linux16, or as QEMU's -kernel".to_owned(),
        };
        writeln!(out, "  use      {use_it}")?;
        if matches!(self.medium, Medium::Krn) {
            return Ok(());
        }
        writeln!(
            out,
            "  note     not signed: UEFI starts it with Secure Boot off"
        )
    }
}
