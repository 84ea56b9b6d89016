//! What the mirror's stack is made from: names, addresses, certificates, and the mirror's settings as
//! variables.

use std::net::IpAddr;

use bcm_stack::caddy::{CertificateFiles, InvalidPath, Mail, Tls};
use bcm_stack::dns::is_public;
use bcm_stack::domain::Domain;
use bcm_stack::mirror::{Setting, Upstreams};
use bcm_stack::render::{InvalidVariable, Variable};

use super::key::{self, ALL, AnyKey, Key, Kind, Meta};
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

/// Says what was typed for a setting.
pub(crate) type Typed<'a> = &'a dyn Fn(&Meta) -> Option<Vec<String>>;

/// The settings of both mirrors that somebody made, as a replica's `bcm.toml` has them. What was typed goes before
/// the rest.
pub(crate) fn made(settings: &Settings, typed: Typed<'_>) -> Vec<Setting> {
    let mut made = Vec::new();
    for key in ALL {
        let meta = key.meta();
        let of_a_mirror = ["hub.", "bootstrap."]
            .iter()
            .any(|section| meta.name.starts_with(section));
        let texts = match (typed(meta), settings.texts(*key)) {
            (Some(typed), _) => typed,
            (None, (texts, origin)) if origin != Origin::Default => texts,
            _ => continue,
        };
        if of_a_mirror {
            made.push(Setting {
                name: meta.name.to_owned(),
                value: as_toml(meta.kind, &texts),
            });
        }
    }
    made
}

fn as_toml(kind: Kind, texts: &[String]) -> toml::Value {
    let first = texts.first().cloned().unwrap_or_default();
    match kind {
        Kind::Texts => texts.to_vec().into(),
        Kind::Count => first.parse::<i64>().map_or(first.into(), Into::into),
        Kind::Switch => first.parse::<bool>().map_or(first.into(), Into::into),
        Kind::Text | Kind::Share => first.into(),
    }
}

/// Where the mirror gets what it has.
///
/// # Errors
/// A setting is wrong.
pub(crate) fn upstreams(settings: &Settings, typed: Typed<'_>) -> Result<Upstreams, SettingsError> {
    fn texts<T: Clone>(
        settings: &Settings,
        typed: Typed<'_>,
        key: &Key<T>,
    ) -> Result<Vec<String>, SettingsError> {
        // So that a wrong one is refused here rather than there.
        settings.many(key, &[])?;
        Ok(typed(key.meta()).unwrap_or_else(|| settings.texts(key).0))
    }
    let hub = texts(settings, typed, &key::UPSTREAM)?;
    let mut zdb = texts(settings, typed, &key::UPSTREAM_ZDB)?;
    if zdb.is_empty() {
        // Replicas name theirs, so that the usual ones have to be named as well.
        let hosts = hub.iter().filter_map(|url| {
            let url = key::hub_url(url).ok()?;
            Some(format!("zdb://{}:9900", url.host_str()?))
        });
        zdb = hosts.collect();
    }
    Ok(Upstreams {
        hub,
        zdb,
        bootstrap: texts(settings, typed, &key::BOOTSTRAP_UPSTREAM)?,
    })
}
