//! The cluster's certificate, as a joiner needs it.

use crate::client::Client;
use crate::error::LxdError;

/// The certificate of a cluster could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A member could not be asked.
    #[error(transparent)]
    Server(#[from] LxdError),
    /// It is not the one that the token names.
    #[error(
        "the cluster's certificate has the fingerprint {found}, but the join token names {expected}"
    )]
    Mismatch {
        /// What the token names.
        expected: String,
        /// What the member has.
        found: String,
    },
}

/// The certificate (PEM) of the cluster that `member` is in, checked against `fingerprint` of the
/// join token.
///
/// It comes over the member's own socket, which was reached through SSH with a known host key: it
/// is the member's certificate, not that of whoever answers on its address. The daemon compares
/// it again, with TLS, when it joins.
pub(super) async fn cluster_certificate(
    member: &Client,
    fingerprint: &str,
) -> Result<String, CertificateError> {
    let environment = member.server().await?.environment;
    if environment
        .certificate_fingerprint
        .eq_ignore_ascii_case(fingerprint)
    {
        return Ok(environment.certificate);
    }
    Err(CertificateError::Mismatch {
        expected: fingerprint.to_owned(),
        found: environment.certificate_fingerprint,
    })
}
