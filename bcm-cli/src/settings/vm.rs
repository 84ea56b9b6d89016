//! The virtual machines that are wanted: flags over `[cluster.vm]` of `bcm.toml` over defaults.

use std::path::PathBuf;
use std::time::Duration;

use bcm_core::digest::Sha256;
use bcm_lxd::cluster::{ClusterSpec, MachineSpec};
use bcm_provision::vm::{BOOT_LIMIT, ImageSource, Provider, Wanted};
use clap::ValueEnum;

use super::cluster::ClusterSettingsError;
use super::{Settings, key, value};
use crate::args::vm::{VmArgs, VmProvider};
use crate::environment;

/// What is wanted, and how long a machine may take to boot.
pub(crate) fn resolve(
    settings: &Settings,
    spec: &ClusterSpec,
    args: &VmArgs,
) -> Result<(Wanted, Duration), ClusterSettingsError> {
    let file = spec.vm.clone().unwrap_or_default();
    let sha256 = match args.vm_image_sha256 {
        // A digest in the file is that of the image in the file.
        None if args.vm_image.is_none() => read("image-sha256", file.image_sha256.as_ref(), |t| {
            t.parse::<Sha256>().map_err(|error| error.to_string())
        })?,
        given => given,
    };
    let provider = match args.vm_provider {
        Some(provider) => Some(provider),
        None => read("provider", file.provider.as_ref(), |text| {
            VmProvider::from_str(text, false)
                .map_err(|_| format!("{text:?} is not one of: auto, multipass, qemu"))
        })?,
    };
    let size = |given: Option<u64>, name, text: Option<&String>| match given {
        Some(given) => Ok(Some(given)),
        None => read(name, text, value::size),
    };
    let timeout = match args.vm_timeout {
        Some(timeout) => Some(timeout),
        None => read("timeout", file.timeout.as_ref(), value::duration)?,
    };
    let wanted = Wanted {
        count: args.count.or(file.count),
        cpus: args.cpus.or(file.cpus),
        memory: size(args.memory, "memory", file.memory.as_ref())?,
        disk: size(args.disk, "disk", file.disk.as_ref())?,
        image: image(settings, args, &file, sha256)?,
        provider: match provider {
            None | Some(VmProvider::Auto) => None,
            Some(VmProvider::Multipass) => Some(Provider::Multipass),
            Some(VmProvider::Qemu) => Some(Provider::Qemu),
        },
        keys: public_keys(settings),
    };
    Ok((wanted, timeout.unwrap_or(BOOT_LIMIT)))
}

/// A value of the file's, as `parse` reads it.
fn read<T>(
    name: &'static str,
    text: Option<&String>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ClusterSettingsError> {
    text.map(|text| parse(text).map_err(|why| wrong(name, why)))
        .transpose()
}

fn wrong(name: &'static str, why: impl Into<String>) -> ClusterSettingsError {
    ClusterSettingsError::Vm {
        name,
        why: why.into(),
    }
}

fn image(
    settings: &Settings,
    args: &VmArgs,
    file: &MachineSpec,
    sha256: Option<Sha256>,
) -> Result<ImageSource, ClusterSettingsError> {
    // A relative path starts where it was written.
    let here = settings.environment().folder.clone();
    let (text, folder) = match (&args.vm_image, &file.image) {
        (Some(text), _) => (text, here),
        (None, Some(text)) => {
            let folder = settings.file().map(|file| file.folder().to_owned());
            (text, folder.unwrap_or(here))
        }
        (None, None) if sha256.is_some() => {
            return Err(wrong(
                "--vm-image-sha256",
                "of which image? give --vm-image, too",
            ));
        }
        (None, None) => return Ok(ImageSource::Debian),
    };
    if !text.contains("://") {
        return Ok(ImageSource::File(folder.join(PathBuf::from(text)), sha256));
    }
    let url = key::hub_url(text).map_err(|why| wrong("--vm-image", why))?;
    match sha256 {
        Some(sha256) => Ok(ImageSource::Url(url, sha256)),
        None => Err(wrong(
            "--vm-image",
            "an image from the network has to be checked; give its SHA-256 with --vm-image-sha256",
        )),
    }
}

/// The user's own public keys, which log in as well.
fn public_keys(settings: &Settings) -> Vec<String> {
    let Some(home) = settings.environment().variable("HOME") else {
        return Vec::new();
    };
    environment::public_keys(&PathBuf::from(home).join(".ssh"))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty() && !text.contains('\n'))
        .collect()
}
