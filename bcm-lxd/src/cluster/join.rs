//! One machine joins, or is as it was before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::{OperationHandle, WaitError};
use crate::types::{ClusterPut, Config, MemberConfigKey};

use super::certificate::{CertificateError, cluster_certificate};
use super::spec::CLUSTER_PORT;

/// A machine could not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A call failed.
    #[error(transparent)]
    Server(#[from] LxdError),
    /// The cluster's certificate is not the expected one.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The joining itself failed.
    #[error("{member} could not join")]
    Refused {
        /// The name that it should have had.
        member: String,
        /// Why.
        source: WaitError,
    },
}

/// What a joiner brings.
pub(super) struct Joiner<'a> {
    pub(super) name: &'a str,
    pub(super) address: IpAddr,
    pub(super) pools: &'a BTreeMap<String, Config>,
    pub(super) networks: &'a BTreeMap<String, Config>,
}

const LIMIT: Duration = Duration::from_secs(180);

/// `address:port`, with brackets where IPv6 needs them.
pub(super) fn with_port(address: IpAddr) -> String {
    std::net::SocketAddr::new(address, CLUSTER_PORT).to_string()
}

/// How long a joiner that was lost sight of may take to appear. Joining takes a few seconds.
const SETTLE: Duration = Duration::from_secs(45);

/// How long one may be missing from the list of members and still appear.
const APPEAR: Duration = Duration::from_secs(20);

/// Makes `joiner` a member of the cluster that `member` is in.
///
/// What a failure leaves at the cluster (the token, a pending member, the joiner's trusted
/// certificate) is removed before the error is returned, so that the next try starts clean. A
/// joiner whose connection is lost goes on joining by itself; whether it arrives is then asked at
/// the cluster, and one that does has joined.
pub(super) async fn join(
    member: &Client,
    member_address: IpAddr,
    joiner: &Client,
    wanted: &Joiner<'_>,
) -> Result<(), JoinError> {
    let known = member.cluster_members().await?;
    if known.iter().any(|m| m.server_name == wanted.name) {
        // A run that was cut off began this.
        if arrives(member, wanted.name).await {
            return Ok(());
        }
        member.remove_cluster_member(wanted.name, true).await?;
    }
    let trusted_before = fingerprints(member).await?;
    let (token, token_handle) = member.join_token(wanted.name).await?;
    let result = try_join(
        member,
        member_address,
        joiner,
        wanted,
        &token.fingerprint,
        token.encode(),
    )
    .await;
    let lost = matches!(&result, Err(JoinError::Refused { source, .. }) if source.api().is_none());
    if lost && arrives(member, wanted.name).await {
        return Ok(());
    }
    if result.is_err() {
        clean_up(member, wanted.name, &token_handle, &trusted_before).await;
        // What the joiner was told before it failed.
        let _ = joiner
            .set_server_config(
                [("core.https_address".to_owned(), String::new())].into(),
                None,
            )
            .await;
    }
    result
}

async fn try_join(
    member: &Client,
    member_address: IpAddr,
    joiner: &Client,
    wanted: &Joiner<'_>,
    fingerprint: &str,
    token: String,
) -> Result<(), JoinError> {
    let certificate = cluster_certificate(member, fingerprint).await?;
    let asked = member.cluster().await?.member_config;
    let put = ClusterPut {
        server_name: wanted.name.to_owned(),
        enabled: true,
        server_address: with_port(wanted.address),
        cluster_address: with_port(member_address),
        cluster_certificate: certificate,
        token: joiner
            .flavour()
            .token_fields(joiner.version())
            .iter()
            .map(|field| (*field, token.clone()))
            .collect(),
        member_config: asked.into_iter().map(|key| answer(key, wanted)).collect(),
    };
    let refused = |source| JoinError::Refused {
        member: wanted.name.to_owned(),
        source,
    };
    let handle = joiner
        .put_cluster(&put)
        .await
        .map_err(|e| refused(WaitError::Failed(e)))?;
    handle.wait(LIMIT).await.map_err(refused)?;
    Ok(())
}

/// The joiner's own value for a key that every member has for itself; empty lets the daemon
/// choose.
fn answer(mut key: MemberConfigKey, wanted: &Joiner<'_>) -> MemberConfigKey {
    let own = match key.entity.as_str() {
        "storage-pool" => wanted.pools.get(&key.name),
        _ => wanted.networks.get(&key.name),
    };
    key.value = own
        .and_then(|config| config.get(&key.key))
        .cloned()
        .unwrap_or_default();
    key
}

/// Whether the member `name`, which may be joining right now, comes online.
async fn arrives(member: &Client, name: &str) -> bool {
    let begin = tokio::time::Instant::now();
    loop {
        match member.cluster_members().await {
            Ok(members) => match members.iter().find(|m| m.server_name == name) {
                Some(joined) if joined.is_online() => return true,
                None if begin.elapsed() > APPEAR => return false,
                _ => {}
            },
            // Nobody can be asked any more; the next run sees what became of it.
            Err(error) if error.is_last() => return false,
            // Without an answer nothing is known; the deadline decides.
            Err(_) => {}
        }
        if begin.elapsed() > SETTLE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn fingerprints(client: &Client) -> Result<Vec<String>, LxdError> {
    let certificates = client.certificates().await?;
    Ok(certificates.into_iter().map(|c| c.fingerprint).collect())
}

/// Takes back what a failed join left at the cluster. The failure itself is what is reported; one
/// of these calls may fail for the same reason.
async fn clean_up(member: &Client, name: &str, token: &OperationHandle, trusted: &[String]) {
    if let Err(error) = token.cancel().await {
        tracing::warn!(%error, "could not revoke the join token");
    }
    let known = member.cluster_members().await.unwrap_or_default();
    if known
        .iter()
        .any(|m| m.server_name == name && !m.is_online())
        && let Err(error) = member.remove_cluster_member(name, true).await
    {
        tracing::warn!(%error, "could not remove the pending member");
    }
    for certificate in member.certificates().await.unwrap_or_default() {
        if certificate.name == name
            && !trusted.contains(&certificate.fingerprint)
            && let Err(error) = member.remove_certificate(&certificate.fingerprint).await
        {
            tracing::warn!(%error, "could not remove the joiner's certificate");
        }
    }
}
