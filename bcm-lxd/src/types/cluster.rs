use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Config, null_default};

/// `GET /1.0/cluster`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ClusterInfo {
    /// This server's name in the cluster; empty outside of one.
    #[serde(default)]
    pub server_name: String,
    /// Whether it is part of a cluster.
    #[serde(default)]
    pub enabled: bool,
    /// Keys that a new member has to answer, for each pool and network.
    #[serde(default, deserialize_with = "null_default")]
    pub member_config: Vec<MemberConfigKey>,
}

/// A key of a pool or network that every member answers for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberConfigKey {
    /// `storage-pool` or `network`.
    pub entity: String,
    /// The pool or network.
    pub name: String,
    /// The key, such as `source`.
    pub key: String,
    /// The answer.
    #[serde(default)]
    pub value: String,
}

/// `PUT /1.0/cluster`: begin, join or leave a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClusterPut {
    /// This server's name in the cluster.
    pub server_name: String,
    /// False leaves the cluster.
    pub enabled: bool,
    /// This server's address and port, for joining.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_address: String,
    /// A member's address and port, for joining. Where this is empty the server begins a cluster
    /// of its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_address: String,
    /// The cluster's certificate (PEM), for joining.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_certificate: String,
    /// The join token, under the names that the server looks for; see
    /// [`Flavour::token_fields`](crate::Flavour::token_fields).
    #[serde(flatten)]
    pub token: std::collections::BTreeMap<&'static str, String>,
    /// Answers to [`ClusterInfo::member_config`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub member_config: Vec<MemberConfigKey>,
}

/// A member, as its cluster sees it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ClusterMember {
    /// Its name.
    pub server_name: String,
    /// Its address, as `https://…`.
    #[serde(default)]
    pub url: String,
    /// Whether it holds the database.
    #[serde(default)]
    pub database: bool,
    /// `Online`, `Offline`, `Evacuated`, `Blocked` …
    #[serde(default)]
    pub status: String,
    /// Why it has this status, in the server's words.
    #[serde(default)]
    pub message: String,
    /// Its processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// Its failure domain; `default` where none was given.
    #[serde(default)]
    pub failure_domain: String,
    /// Its configuration.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// Its groups.
    #[serde(default, deserialize_with = "null_default")]
    pub groups: Vec<String>,
    /// `database`, `database-leader`, `database-standby`, `event-hub` …
    #[serde(default, deserialize_with = "null_default")]
    pub roles: Vec<String>,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
}

impl ClusterMember {
    /// Whether its cluster hears from it.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.status.eq_ignore_ascii_case("online")
    }
}

/// `PUT /1.0/cluster/members/NAME`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClusterMemberPut {
    /// Roles that are not assigned automatically.
    pub roles: Vec<String>,
    /// Its failure domain.
    pub failure_domain: String,
    /// What people write about it.
    pub description: String,
    /// Its configuration.
    pub config: Config,
    /// Its groups.
    pub groups: Vec<String>,
}

/// What to do with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberStateAction {
    /// Moves or stops its instances and takes it out of service.
    Evacuate,
    /// Takes it back into service.
    Restore,
}

/// A token that lets one server join: what goes, as base64 of its JSON, to the joiner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The name that the joiner will have.
    pub server_name: String,
    /// SHA-256 of the cluster's certificate, hex.
    pub fingerprint: String,
    /// Members' addresses with ports.
    pub addresses: Vec<String>,
    /// The secret.
    pub secret: String,
    /// When it expires, RFC 3339.
    pub expires_at: String,
}

impl JoinToken {
    /// Takes the token out of the metadata of the operation that made it.
    #[must_use]
    pub fn from_operation(metadata: &Value) -> Option<Self> {
        let text = |name: &str| metadata.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            server_name: text("serverName")?,
            fingerprint: text("fingerprint")?,
            addresses: metadata
                .get("addresses")?
                .as_array()?
                .iter()
                .filter_map(|address| address.as_str().map(str::to_owned))
                .collect(),
            secret: text("secret")?,
            // Servers from before the field existed leave it out.
            expires_at: text("expiresAt").unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned()),
        })
    }

    /// The token as the joiner takes it. It is a secret.
    #[must_use]
    pub fn encode(&self) -> String {
        STANDARD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_base64_of_its_json() {
        let metadata = serde_json::json!({
            "serverName": "n2", "secret": "s", "fingerprint": "ab", "addresses": ["10.0.0.1:8443"],
            "expiresAt": "2026-01-01T00:00:00Z"
        });
        let token = JoinToken::from_operation(&metadata).unwrap();
        let json: Value =
            serde_json::from_slice(&STANDARD.decode(token.encode()).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "server_name": "n2", "secret": "s", "fingerprint": "ab",
                "addresses": ["10.0.0.1:8443"], "expires_at": "2026-01-01T00:00:00Z"
            })
        );
    }

    #[test]
    fn joining_has_the_token_under_its_name() {
        let put = ClusterPut {
            server_name: "n2".to_owned(),
            enabled: true,
            token: [("cluster_password", "t".to_owned())].into(),
            ..ClusterPut::default()
        };
        assert_eq!(
            serde_json::to_value(&put).unwrap(),
            serde_json::json!({"server_name": "n2", "enabled": true, "cluster_password": "t"})
        );
    }
}
