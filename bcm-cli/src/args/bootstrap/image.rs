//! `bcm bootstrap image`.

use std::path::PathBuf;

use bcm_bootstrap_sync::image::Medium;
use bcm_bootstrap_sync::ipxe::{ExtraArguments, FarmId, ServerUrl};
use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::run_mode::RunMode;
use clap::{Args, ValueEnum};

use crate::settings::key::server_url;
use crate::settings::value;

/// `bcm bootstrap image`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImageCommand {
    /// The form of the medium
    #[arg(value_enum)]
    pub(crate) form: Form,

    /// The run mode: prod, test, dev, qa, or another of `bootstrap.run-mode`
    #[arg(long, value_name = "MODE", value_parser = |text: &str| RunMode::new(text))]
    pub(crate) mode: RunMode,

    /// The id of the farm that the node belongs to
    #[arg(long, value_name = "ID", value_parser = FarmId::new)]
    pub(crate) farm: Option<FarmId>,

    /// More arguments for the kernel
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true,
        value_parser = ExtraArguments::new)]
    pub(crate) extra: Option<ExtraArguments>,

    /// Boot this kernel, whatever the run mode links to
    #[arg(long, value_name = "NAME", value_parser = |text: &str| KernelName::new(text))]
    pub(crate) kernel: Option<KernelName>,

    /// Carry only enough to fetch the script from the server, at every start
    ///
    /// Otherwise the medium carries the whole script, and asks the server for the kernel alone.
    #[arg(long)]
    pub(crate) chain: bool,

    /// The server that machines boot from: http://HOST[:PORT]
    ///
    /// Without it: the upstream Bootstrap's.
    #[arg(long, value_name = "URL", value_parser = server_url)]
    pub(crate) boot_url: Option<ServerUrl>,

    /// A folder with ipxe.lkrn, ipxe.efi and snponly.efi; several are tried in order, for each file
    #[arg(long, value_name = "DIR", value_parser = value::path)]
    pub(crate) ipxe_dir: Vec<PathBuf>,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// The form of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// An ISO image for BIOS and UEFI, for a CD or a USB stick
    Iso,
    /// A disk image for BIOS and UEFI, for a USB stick
    Usb,
    /// A disk image for UEFI alone
    Uefimg,
    /// An EFI application
    Uefi,
    /// An EFI application without drivers, to be started over the network
    Snponly,
    /// A Linux kernel image for boot loaders of BIOS machines
    Krn,
}

impl From<Form> for Medium {
    fn from(form: Form) -> Self {
        match form {
            Form::Iso => Self::Iso,
            Form::Usb => Self::Usb,
            Form::Uefimg => Self::UefiDisk,
            Form::Uefi => Self::Uefi,
            Form::Snponly => Self::SnpOnly,
            Form::Krn => Self::Krn,
        }
    }
}
