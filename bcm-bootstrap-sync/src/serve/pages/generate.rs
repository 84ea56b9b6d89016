//! `/generate` and `/expert`: a form, and under it the links for what was filled in. Everything goes
//! through the same checks as the paths that it leads to.

use bcm_core::serve::path::query_value;
use bcm_core::serve::response::Asked;
use maud::{Markup, html};

use super::site;
use crate::image::Medium;
use crate::ipxe::{BootScript, Boots, ExtraArguments, FarmId, ServerUrl};
use crate::kernel::KernelName;
use crate::run_mode::RunMode;
use crate::serve::app::App;
use crate::serve::snapshot::Snapshot;

/// What was filled in, as it was typed.
#[derive(Debug, Default)]
struct Typed {
    mode: String,
    farm: String,
    extra: String,
    kernel: String,
}

impl Typed {
    fn of(asked: &Asked<'_>, expert: bool) -> Option<Self> {
        let value = |name| query_value(asked.query, name).map(|text| text.trim().to_owned());
        let more = |name| value(name).filter(|_| expert).unwrap_or_default();
        Some(Self {
            mode: value("mode")?,
            farm: value("farm").unwrap_or_default(),
            extra: more("extra"),
            kernel: more("kernel"),
        })
    }

    /// What it stands for, or why it cannot be used.
    fn script(
        &self,
        app: &App,
        server: Option<ServerUrl>,
        snapshot: &Snapshot,
    ) -> Result<BootScript, String> {
        let unknown = || "There is no such run mode.".to_owned();
        let mode = RunMode::new(&self.mode).map_err(|_| unknown())?;
        let title = app.modes.title(&mode).ok_or_else(unknown)?.to_owned();
        let word = |error: crate::ipxe::WordError| format!("{error}.");
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let farm = optional(&self.farm).map(|farm| FarmId::new(&farm));
        let farm = farm.transpose().map_err(word)?;
        let extra = ExtraArguments::new(&self.extra).map_err(word)?;
        let kernel = optional(&self.kernel).map(KernelName::new);
        let kernel = kernel.transpose().map_err(|error| format!("{error}."))?;
        let found = match &kernel {
            Some(name) => snapshot.kernel(name),
            None => snapshot.mode(&mode),
        };
        if found.is_none() {
            return Err("There is no such kernel on this mirror.".to_owned());
        }
        if farm.is_none() && (!extra.is_empty() || kernel.is_some()) {
            return Err("Parameters and a kernel need a farm id before them.".to_owned());
        }
        Ok(BootScript {
            server: server.ok_or("The request does not say a usable host.")?,
            mode,
            title,
            farm,
            extra,
            boots: kernel.map_or(Boots::RunMode, Boots::Kernel),
        })
    }
}

/// The page; with a result where something was filled in.
pub(in crate::serve) fn page(
    app: &App,
    asked: &Asked<'_>,
    snapshot: &Snapshot,
    expert: bool,
) -> String {
    let typed = Typed::of(asked, expert);
    let result = typed.as_ref().map(|typed| {
        let server = app.server_url(asked);
        typed.script(app, server, snapshot)
    });
    let typed = typed.unwrap_or_default();
    let title = if expert {
        "Expert boot media"
    } else {
        "Make a boot medium"
    };
    let body = html! {
        h1 { (title) }
        p.lead {
            "Say which network the node joins and whose it is. The medium carries only that; the kernel \
             comes from this mirror at every start."
        }
        (form(app, snapshot, &typed, expert))
        @match &result {
            None => {},
            Some(Err(why)) => p.note role="alert" { (why) },
            Some(Ok(script)) => (links(script)),
        }
        @if expert { (paths()) } @else {
            p { "More choices: " a href="/expert" { "expert" } "." }
        }
    };
    site(title, title, &body)
}

fn form(app: &App, snapshot: &Snapshot, typed: &Typed, expert: bool) -> Markup {
    html! {
        form.make action=(if expert { "/expert" } else { "/generate" }) method="get" {
            label {
                "Network"
                select name="mode" {
                    @for (mode, title) in app.modes.iter() {
                        option value=(mode) selected[mode.as_str() == typed.mode] { (title) }
                    }
                }
            }
            label {
                "Farm id"
                input name="farm" value=(typed.farm) inputmode="numeric" autocomplete="off"
                    maxlength="64" required[!expert];
                small { "The number of your farm." }
            }
            @if expert {
                label {
                    "Parameters"
                    input name="extra" value=(typed.extra) autocomplete="off" spellcheck="false"
                        maxlength="1024";
                    small { "For the kernel's command line, such as " code { "console=ttyS0" } "." }
                }
                label {
                    "Kernel"
                    select name="kernel" {
                        option value="" { "The one of the network" }
                        @for image in snapshot.list() {
                            option value=(image.name) selected[image.name.as_str() == typed.kernel] {
                                (image.name)
                            }
                        }
                    }
                }
            }
            button { "Show the links" }
        }
    }
}

/// What there is for a script: the media that carry it, and the script itself.
fn links(script: &BootScript) -> Markup {
    let path = script.path().unwrap_or_default();
    let forms = [
        (
            Medium::Iso,
            "ISO image",
            "for a CD, a USB stick or a virtual machine; BIOS and UEFI",
        ),
        (Medium::Usb, "USB image", "for a USB stick; BIOS and UEFI"),
        (
            Medium::UefiDisk,
            "UEFI USB image",
            "for a USB stick; UEFI alone",
        ),
        (
            Medium::Uefi,
            "UEFI program",
            "for an EFI partition or a boot server",
        ),
        (
            Medium::SnpOnly,
            "UEFI program for network boot",
            "with the firmware's network driver",
        ),
        (
            Medium::Krn,
            "Linux boot loader file",
            "for GRUB and the like on BIOS machines",
        ),
    ];
    html! {
        h2 { "Your media" }
        table {
            tbody {
                @for (medium, name, about) in forms {
                    tr {
                        td.name {
                            a href={ "/" (medium.name()) (path) } { (name) }
                            span.to { (about) }
                        }
                    }
                }
                tr {
                    td.name {
                        a href={ "/ipxe" (path) } { "The script" }
                        span.to { "for an iPXE that you have: " code { (script.server) "/ipxe" (path) } }
                    }
                }
            }
        }
        p.soft { "Kernel parameters: " code { (script.command_line()) } }
    }
}

/// What can be typed by hand.
fn paths() -> Markup {
    let addresses = [
        ("/ipxe/MODE[/FARM[/PARAMETERS[/KERNEL]]]", "the script"),
        (
            "/iso/…  /usb/…  /uefimg/…  /uefi/…  /snponly/…  /krn/…",
            "a medium with that script",
        ),
        (
            "/debug/MODE/FARM",
            "an ISO image with a shell where it fails",
        ),
        ("/uefi-generic", "asks for network and farm"),
        (
            "/uefi-provision",
            "boots what is registered for the machine",
        ),
    ];
    html! {
        h2 { "Addresses" }
        p { "Every link has the same form. In parameters, " code { "___" } " stands for a slash." }
        table {
            tbody {
                @for (address, about) in addresses {
                    tr { td.name { code { (address) } span.to { (about) } } }
                }
            }
        }
    }
}
