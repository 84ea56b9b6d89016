//! What the mirror's stack is made from: names, addresses, certificates, and the mirror's settings as
//! variables.

use std::net::IpAddr;

use bcm_stack::caddy::{CertificateFiles, InvalidPath, Mail, Tls};
use bcm_stack::dns::is_public;
use bcm_stack::domain::Domain;
use bcm_stack::render::{InvalidVariable, Variable};

use super::key::{self, ALL};
use super::{Origin, Settings, SettingsError};
use crate::args::choices::Certificates;

/// The domain.
///
/// # Errors
/// Nobody said one.
pub(crate) fn domain(settings: &Settings, flag: Option<&Domain>) -> Result<Domain, SettingsError> {
    settings
        .maybe(&key::STACK_DOMAIN, flag.cloned())?
        .ok_or_else(|| {
            SettingsError::Together(
                "which domain? give --domain example.org, or `domain` in [stack] of bcm.toml"
                    .to_owned(),
            )
        })
}

/// The addresses that the names are to lead to.
///
/// # Errors
/// Nobody said any, and the cluster's members have none that is public.
pub(crate) fn addresses(
    settings: &Settings,
    flags: &[IpAddr],
) -> Result<Vec<IpAddr>, SettingsError> {
    let (said, _) = settings.many(&key::STACK_ADDRESS, flags)?;
    if !said.is_empty() {
        return Ok(said);
    }
    let cluster = settings.file().and_then(|file| file.cluster.as_ref());
    let members = cluster.map(|cluster| cluster.members.as_slice());
    let public: Vec<IpAddr> = members
        .unwrap_or_default()
        .iter()
        .filter_map(|member| member.address)
        .filter(is_public)
        .collect();
    match public.is_empty() {
        true => Err(SettingsError::Together(
            "which addresses? give --address for each public one, or `address` in [stack] of bcm.toml"
                .to_owned(),
        )),
        false => Ok(public),
    }
}

/// Certificates that do not go together with what else was said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificatesError {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Which files?
    #[error("certificates from files: give --certificate and --key")]
    NoFiles,
    /// Files that are not used.
    #[error("--certificate and --key go with --certificates files only")]
    Unused,
    /// A path that Caddy's file cannot name.
    #[error(transparent)]
    Path(#[from] InvalidPath),
}

/// Whether certificates are given as files.
///
/// # Errors
/// The setting is wrong.
pub(crate) fn uses_files(
    settings: &Settings,
    flag: Option<Certificates>,
) -> Result<bool, SettingsError> {
    Ok(settings.one(&key::STACK_CERTIFICATES, flag)? == Certificates::Files)
}

/// Where certificates come from; `files` are the chain and its key, where such are used.
///
/// # Errors
/// See [`CertificatesError`].
pub(crate) fn tls(
    settings: &Settings,
    flag: Option<Certificates>,
    mail: Option<&Mail>,
    files: Option<(&str, &str)>,
) -> Result<Tls, CertificatesError> {
    let whence = settings.one(&key::STACK_CERTIFICATES, flag)?;
    match (whence, files) {
        (Certificates::Files, Some((certificate, key))) => {
            Ok(Tls::Files(CertificateFiles::new(certificate, key)?))
        }
        (Certificates::Files, None) => Err(CertificatesError::NoFiles),
        (Certificates::Internal, _) => Ok(Tls::Internal),
        (Certificates::Automatic, _) => {
            let mail = settings.maybe(&key::STACK_MAIL, mail.cloned())?;
            Ok(Tls::Automatic(mail))
        }
    }
}

/// The settings of both mirrors that somebody made, in bcm.toml or the environment, as variables.
///
/// # Errors
/// A value cannot be written into a file of variables.
pub(crate) fn variables(settings: &Settings) -> Result<Vec<Variable>, InvalidVariable> {
    ALL.iter()
        .map(|key| (key.meta(), settings.texts(*key)))
        .filter(|(meta, (_, origin))| {
            *origin != Origin::Default
                && ["hub.", "bootstrap."]
                    .iter()
                    .any(|section| meta.name.starts_with(section))
        })
        .map(|(meta, (texts, _))| Variable::new(&meta.variable(), &texts.join(",")))
        .collect()
}
