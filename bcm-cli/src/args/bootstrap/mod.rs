//! `bcm bootstrap`.

pub(crate) mod image;

use clap::Subcommand;

/// The kernels that nodes boot, and the media that lead a machine to them
#[derive(Debug, Subcommand)]
pub(crate) enum BootstrapCommand {
    /// Write a boot medium: an ISO image, a USB stick's image, or a file for a boot loader
    ///
    /// Made of a prebuilt iPXE, Debian's package `ipxe`, and a script with the run mode, the farm and the
    /// server; nothing is compiled. The same input makes the same bytes.
    Image(image::ImageCommand),
}
