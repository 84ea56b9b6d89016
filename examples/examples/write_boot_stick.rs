//! Writes boot media that carry a script of your own.
//!
//! ```sh
//! cargo run -p bcm-examples --example write_boot_stick -- usb script.ipxe stick.img
//! dd if=stick.img of=/dev/sdX bs=1M conv=fsync     # and it is on the stick in /dev/sdX
//! ```
//!
//! The first argument is the form: iso, usb, uefimg, uefi, snponly or krn. iPXE is Debian's package `ipxe`,
//! or what is in the folder that a fourth argument names.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::{error::Error, fs, io::Write, path::PathBuf};

use bcm_bootstrap_sync::image::{Media, Medium, Prebuilt, Script};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [form, script, output, folder @ ..] = &arguments[..] else {
        return Err("usage: write_boot_stick FORM SCRIPT OUTPUT [FOLDER-OF-IPXE]".into());
    };
    let medium = Medium::from_name(form).ok_or_else(|| format!("no medium is called {form}"))?;
    let script = Script::new(fs::read_to_string(script)?)?;

    let folders: Vec<PathBuf> = match folder {
        [] => Prebuilt::FOLDERS.map(PathBuf::from).to_vec(),
        named => named.iter().map(PathBuf::from).collect(),
    };
    let content = Media::new(Prebuilt::read(&folders)).make(medium, &script)?;

    let mut file = fs::File::create(output)?;
    content.write_to(&mut file)?;
    file.flush()?;
    file.sync_all()?;
    println!("{output}: {} bytes", content.len());
    Ok(())
}
