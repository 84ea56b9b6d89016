//! What BCM's own stacks are made of: the program, settings, certificates.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bcm_lxd::Client;
use bcm_stack::authority::Root;
use bcm_stack::caddy::Tls;
use bcm_stack::deploy::Seen;
use bcm_stack::manifest::Manifest;
use bcm_stack::mirror::{MirrorFiles, names};
use bcm_stack::place::instance_name;
use bcm_stack::wanted::NAMES_KEY;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::args;
use crate::args::stack::DeployArgs;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::settings::key::Meta;
use crate::settings::stack::{CertificatesError, domain, made, tls, upstreams, uses_files};

/// Where a front has its root or certificate, and the key.
const CERTIFICATE: &str = "/etc/caddy/tls.pem";
const KEY: &str = "/etc/caddy/tls.key";

/// A file that was named cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    /// It cannot be read.
    #[error("could not read {path}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    /// It is no program for the members.
    #[error("{path} is a program for {is}; the members are {members}")]
    Architecture {
        path: String,
        is: String,
        members: String,
    },
}

fn read(context: &Context, path: &Path) -> Result<Vec<u8>, Failure> {
    let path = context.settings.environment().folder.join(path);
    fs::read(&path).map_err(|source| {
        Failure::new(FileError::Read {
            path: path.display().to_string(),
            source,
        })
    })
}

fn read_text(context: &Context, path: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&read(context, path)?).into_owned())
}

/// What was typed after `bcm stack start`, taken apart once more: settings do not say where a value is from
/// once they are put together.
struct Typed(Option<ArgMatches>);

impl Typed {
    fn new() -> Self {
        // It was taken apart once before, without a mistake.
        let start = || {
            let (_, mut stack) = args::command()
                .try_get_matches()
                .ok()?
                .remove_subcommand()?;
            stack.remove_subcommand().map(|(_, start)| start)
        };
        Self(start())
    }

    /// For a setting of `bcm hub`.
    fn of(&self, meta: &Meta) -> Option<Vec<String>> {
        let start = self.0.as_ref()?;
        if !meta.name.starts_with("hub.") {
            return None;
        }
        let id = meta.flag.replace('-', "_");
        start.try_contains_id(&id).ok()?;
        if start.value_source(&id)? != ValueSource::CommandLine {
            return None;
        }
        let texts = start.get_raw(&id)?;
        Some(
            texts
                .map(|text| text.to_string_lossy().into_owned())
                .collect(),
        )
    }
}

/// Whether the stack has parts of a mirror in it.
pub(super) fn is_a_mirror(manifest: &Manifest) -> bool {
    let kinds = manifest.instances.iter();
    kinds.into_iter().any(|kind| {
        kind.files.iter().any(|file| file.made.is_some())
            || kind.units.iter().any(|unit| unit.made.is_some())
    })
}

/// Gathers it. What fronts have as their root already stays.
pub(super) async fn gather(
    context: &Context,
    args: &DeployArgs,
    client: &Client,
    manifest: &Manifest,
    seen: &Seen,
) -> Result<MirrorFiles, Failure> {
    let settings = &context.settings;
    let domain = domain(settings, args.domain.as_ref())?;
    let given = args.certificate.as_deref().zip(args.key.as_deref());
    if given.is_some() && !uses_files(settings, args.certificates)? {
        return Err(Failure::new(CertificatesError::Unused).with_code(ExitCode::Usage));
    }
    // In the instances, they are where the stack puts them.
    let paths = given.map(|_| (CERTIFICATE, KEY));
    let tls = tls(settings, args.certificates, args.mail.as_ref(), paths)
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let given = match (&tls, given) {
        (Tls::Files(_), Some((certificate, key))) => {
            Some((read_text(context, certificate)?, read_text(context, key)?))
        }
        (Tls::Internal, _) => match present(client, manifest, seen, &names(&domain, &tls)).await? {
            Some(pair) => Some(pair),
            None => {
                let root = Root::new(&domain, SystemTime::now()).map_err(Failure::new)?;
                Some((root.certificate, root.key.reveal().to_owned()))
            }
        },
        _ => None,
    };
    let program = match &args.program {
        Some(path) => path.clone(),
        None => settings.environment().program.clone(),
    };
    let content = read(context, &program)?;
    architecture(&program, &content, seen)?;
    let typed = Typed::new();
    let typed = |meta: &Meta| typed.of(meta);
    Ok(MirrorFiles {
        program: content.into(),
        domain,
        tls,
        given,
        settings: made(settings, &typed),
        upstreams: upstreams(settings, &typed)?,
        mode: super::mode::wanted(args, seen)?.unwrap_or_default(),
    })
}

/// The root that fronts with these `names` have. Clients trust it, so another one is made only where there is none for certain.
///
/// # Errors
/// An instance may have it, and cannot be asked.
async fn present(
    client: &Client,
    manifest: &Manifest,
    seen: &Seen,
    names: &str,
) -> Result<Option<(String, String)>, Failure> {
    let mut unknown = None;
    for existing in &seen.existing {
        let Some((certificate, key)) = root_of(manifest, &existing.kind) else {
            continue;
        };
        let instance = instance_name(&manifest.name, &existing.kind, existing.number);
        let found = seen.found.instances.get(&instance);
        let said = found.and_then(|found| found.config.get(NAMES_KEY));
        // A root for another domain, or a certificate that is none, is of no use.
        if said.is_some_and(|said| said != names) {
            continue;
        }
        let text = async |path: &str| match client.read_file(&instance, path).await {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok(Some(text).filter(|text| text.contains("-----BEGIN")))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        };
        let pair = match text(certificate).await {
            Ok(Some(certificate)) => text(key).await.map(|key| Some((certificate, key?))),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match pair {
            Ok(Some(pair)) => return Ok(Some(pair)),
            Ok(None) => {}
            Err(error) => unknown = Some((instance, error)),
        }
    }
    match unknown {
        None => Ok(None),
        Some((instance, error)) => Err(Failure::new(error).with_hint(format!(
            "{instance} may have the root certificate that clients trust; run this again when its member answers"
        ))),
    }
}

/// Where the instances of a kind have the root certificate and its key; `None` where they have none.
fn root_of<'a>(manifest: &'a Manifest, kind: &str) -> Option<(&'a str, &'a str)> {
    let files = &manifest.kind(kind)?.files;
    let path = |made: &str| {
        let file = files.iter().find(|file| file.made.as_deref() == Some(made));
        file.map(|file| file.path.as_str())
    };
    path("tls.pem").zip(path("tls.key"))
}

/// Refuses a program that members cannot run. What is no ELF file is left to be tried there.
fn architecture(path: &Path, content: &[u8], seen: &Seen) -> Result<(), Failure> {
    let Some(is) = machine_of(content) else {
        return Ok(());
    };
    let other = seen.members.iter().find(|member| member.architecture != is);
    match other {
        None => Ok(()),
        Some(member) => Err(Failure::new(FileError::Architecture {
            path: path.display().to_string(),
            is: is.to_owned(),
            members: member.architecture.clone(),
        })
        .with_hint("give a `bcm` of theirs with --program FILE")
        .with_code(ExitCode::Usage)),
    }
}

/// The architecture that an ELF file says it is for: `e_machine` of its header.
fn machine_of(content: &[u8]) -> Option<&'static str> {
    let little = content.starts_with(b"\x7fELF") && content.get(5) == Some(&1);
    let machine = u16::from_le_bytes(content.get(18..20)?.try_into().ok()?);
    match (little, machine) {
        (true, 62) => Some("x86_64"),
        (true, 183) => Some("aarch64"),
        (true, 243) => Some("riscv64"),
        (true, 40) => Some("armv7l"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_looked_for_where_the_manifest_puts_it() {
        let built_in = bcm_stack::manifest::built_in("mirror").unwrap().unwrap();
        let paths = ("/etc/caddy/tls.pem", "/etc/caddy/tls.key");
        assert_eq!(root_of(&built_in, "front"), Some(paths));
        assert_eq!(root_of(&built_in, "mirror"), None);
        assert_eq!(root_of(&built_in, "gone"), None);
    }

    #[test]
    fn a_program_says_what_it_is_for() {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0);
        header[18] = 183;
        assert_eq!(machine_of(&header), Some("aarch64"));
        assert_eq!(machine_of(b"#!/bin/sh\necho this is no program"), None);
        assert_eq!(machine_of(b""), None);
    }
}
