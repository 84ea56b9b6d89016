//! The root certificate of a mirror whose names no public authority vouches for.
//!
//! Several fronts sign below the same root, so that who uses the mirror has one to trust, once.

use std::time::{Duration, SystemTime};

use bcm_core::redact::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256,
};

use crate::domain::Domain;

/// How long a root is good for.
pub const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Clocks of those who check it may be behind.
const BEFORE: Duration = Duration::from_secs(24 * 3600);

/// The longest common name (RFC 5280, appendix A.1: `ub-common-name`).
const MAX_NAME: usize = 64;

/// A root certificate and its key.
#[derive(Debug, Clone)]
pub struct Root {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PEM (PKCS #8).
    pub key: Secret,
}

/// No root could be made.
#[derive(Debug, thiserror::Error)]
#[error("could not make a root certificate for {domain}")]
pub struct RootError {
    domain: Domain,
    source: rcgen::Error,
}

impl Root {
    /// A new root, "BCM ROOT for DOMAIN", good for [`VALIDITY`] from `now`: a key of the curve P-256, which may
    /// sign authorities that sign no further ones, for names below `domain` and no others.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(domain: &Domain, now: SystemTime) -> Result<Self, RootError> {
        let failed = |source| RootError {
            domain: domain.clone(),
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.not_before = (now - BEFORE).into();
        params.not_after = (now + VALIDITY).into();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, name(domain));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Whoever gets hold of the key can do no more than this mirror's own harm.
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(domain.as_str().to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: Secret::new(key.serialize_pem()),
        })
    }
}

/// Its name. Of a domain that is too long, the end.
fn name(domain: &Domain) -> String {
    const BEGIN: &str = "BCM ROOT for ";
    let domain = domain.as_str();
    match BEGIN.len() + domain.len() <= MAX_NAME {
        true => format!("{BEGIN}{domain}"),
        false => {
            let end = &domain[domain.len() - (MAX_NAME - BEGIN.len() - 3)..];
            format!("{BEGIN}...{end}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_hides_its_key_and_no_two_are_the_same() {
        let domain = Domain::new("example.test").unwrap();
        let root = Root::new(&domain, SystemTime::now()).unwrap();
        assert!(root.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(root.key.reveal().starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(!format!("{root:?}").contains("PRIVATE"));
        let other = Root::new(&domain, SystemTime::now()).unwrap();
        assert_ne!(root.key, other.key);
    }

    #[test]
    fn a_name_has_at_most_64_characters() {
        let short = Domain::new("example.test").unwrap();
        assert_eq!(name(&short), "BCM ROOT for example.test");
        let long = Domain::new(&format!("{0}.{0}.example.test", "x".repeat(60))).unwrap();
        assert_eq!(name(&long).len(), MAX_NAME);
        assert!(name(&long).starts_with("BCM ROOT for ...x"));
        assert!(name(&long).ends_with(".example.test"));
    }
}
