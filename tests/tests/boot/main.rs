//! Machines that boot from BCM's media: QEMU's software emulation, with SeaBIOS and with OVMF, from
//! the medium over iPXE and our server to a kernel that shows its command line on the serial console.
//!
//! `bash .ci/run boot` brings what is needed (Debian's packages, a kernel that stands in for Zero-OS, and
//! Debian 13's iPXE beside the host's) and runs this, one of them by `bash .ci/run boot:NAME`. They run
//! with `BCM_BOOT=required` alone.
//!
//! All of it runs in a network namespace of its own: nothing that a machine sends leaves it.

mod machine;
mod namespace;
mod needs;
mod server;

use std::fs;
use std::process::ExitCode;

use bcm_bootstrap_sync::image::{Media, Medium, Prebuilt, Script};
use bcm_bootstrap_sync::ipxe::{self, BootScript, Boots, ExtraArguments, FarmId};
use bcm_bootstrap_sync::run_mode::{RunMode, RunModes};
use bcm_core::serve::path::segments;
use bcm_tests::on_request::OnRequest;
use libtest_mimic::{Arguments, Failed};

use machine::{From, Machine};
use needs::Files;
use server::Server;

/// The farm whose id has to arrive.
const FARM: &str = "4711";

/// Which iPXE a medium is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ipxe {
    /// That of the host's package; Debian 12's is of 2019.
    Host,
    /// Debian 13's.
    Newer,
}

/// What a medium carries.
#[derive(Debug, Clone, Copy)]
enum Carries {
    /// The whole script: it is downloaded from the server.
    Script,
    /// Where the script is: it is made here, as `bcm bootstrap image` does.
    Address,
}

use Carries::{Address, Script as Whole};
use From::{Cd, Disk, Kernel, Network, UsbStick};
use Ipxe::{Host, Newer};

/// Name, iPXE, medium, what it carries, and what the machine starts from: with BIOS …
const BIOS: &[(&str, Ipxe, Medium, Carries, From)] = &[
    ("bios_iso_from_cd", Host, Medium::Iso, Whole, Cd),
    ("bios_iso_from_usb", Host, Medium::Iso, Address, UsbStick),
    ("bios_usb_from_disk", Host, Medium::Usb, Address, Disk),
    ("bios_krn", Host, Medium::Krn, Whole, Kernel),
    (
        "bios_iso_from_cd_newer_ipxe",
        Newer,
        Medium::Iso,
        Address,
        Cd,
    ),
    (
        "bios_usb_from_usb_newer_ipxe",
        Newer,
        Medium::Usb,
        Whole,
        UsbStick,
    ),
    ("bios_krn_newer_ipxe", Newer, Medium::Krn, Address, Kernel),
];

/// … and with UEFI.
const UEFI: &[(&str, Ipxe, Medium, Carries, From)] = &[
    ("uefi_iso_from_cd", Host, Medium::Iso, Address, Cd),
    ("uefi_usb_from_usb", Host, Medium::Usb, Whole, UsbStick),
    ("uefi_efi_from_network", Host, Medium::Uefi, Whole, Network),
    (
        "uefi_snponly_from_network",
        Host,
        Medium::SnpOnly,
        Address,
        Network,
    ),
    (
        "uefi_uefimg_from_disk_newer_ipxe",
        Newer,
        Medium::UefiDisk,
        Whole,
        Disk,
    ),
    (
        "uefi_efi_from_network_newer_ipxe",
        Newer,
        Medium::Uefi,
        Address,
        Network,
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let group = OnRequest::new("BCM_BOOT", || needs::files().err());
    let runs = group.is_requested() && !arguments.list;
    let files = match runs {
        true => needs::files(),
        false => Err("a request".to_owned()),
    };
    if files.is_ok()
        && let Some(code) = namespace::enter()
    {
        return code;
    }
    let trials = BIOS
        .iter()
        .map(|case| (case, false))
        .chain(UEFI.iter().map(|case| (case, true)))
        .map(|(&(name, ipxe, medium, carries, from), uefi)| {
            let files = files.clone();
            group.trial(name, move || {
                let files = files.map_err(|needs| format!("it needs {needs}"))?;
                boots(&files, name, ipxe, medium, carries, from, uefi)
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Makes a medium, boots a machine from it, and looks at what arrived.
fn boots(
    files: &Files,
    name: &str,
    ipxe: Ipxe,
    medium: Medium,
    carries: Carries,
    from: From,
    uefi: bool,
) -> Result<(), Failed> {
    let work = tempfile::Builder::new().prefix(name).tempdir()?;
    let folders = match ipxe {
        Host => Prebuilt::FOLDERS.map(Into::into).to_vec(),
        Newer => vec![files.newer_ipxe.clone()],
    };
    let server = Server::start(work.path(), &files.kernel, folders.clone())?;
    let (modes, mode) = (RunModes::default(), RunMode::new("prod")?);
    let script = BootScript {
        server: server.url().clone(),
        title: modes.title(&mode).unwrap_or_default().to_owned(),
        mode,
        farm: Some(FarmId::new(FARM)?),
        extra: ExtraArguments::new("console=ttyS0 earlyprintk=ttyS0")?,
        boots: Boots::RunMode,
    };
    let path = format!("/ipxe{}", script.path().ok_or("the script has no path")?);
    let medium = match carries {
        Whole => server.medium(medium, &script)?,
        Address => {
            let text = ipxe::chain(server.url(), &path);
            let media = Media::new(Prebuilt::read(&folders));
            media.make(medium, &Script::new(text)?)?.to_vec()
        }
    };
    let file = work.path().join("medium");
    fs::write(&file, medium)?;

    let mut machine = Machine::start(work.path(), &file, from, uefi.then_some(&files.ovmf))?;
    let line = machine
        .kernel_command_line()
        .map_err(|shown| format!("{shown}\nasked of the server: {:?}", server.requests()))?;
    for word in ["version=v3", "runmode=prod", "panic=7200", "farmer_id=4711"] {
        if !line.split_whitespace().any(|found| found == word) {
            return Err(format!("{word} is not in {line:?}").into());
        }
    }
    let requests = server.requests();
    let kernel = "/kernel/net/prod.efi".to_owned();
    let expected = match carries {
        Whole => vec![kernel],
        Address => vec![path, kernel],
    };
    // iPXE writes an address with as few escapes as it can.
    let plain = |paths: &[String]| paths.iter().map(|path| segments(path)).collect::<Vec<_>>();
    if plain(&requests) != plain(&expected) {
        return Err(format!("the machine asked for {requests:?} instead of {expected:?}").into());
    }
    println!("{name}: {line}");
    Ok(())
}
