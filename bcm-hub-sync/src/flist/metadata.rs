//! What an flist says of itself beside its tree.

use bcm_core::redact::Secret;
use serde::{Deserialize, Serialize};

/// The row of metadata that says where the blocks are.
pub const BACKEND: &str = "backend";

/// An flist's metadata: names and texts, in the flist's own order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    rows: Vec<(String, String)>,
}

impl Metadata {
    pub(super) fn new(rows: Vec<(String, String)>) -> Self {
        Self { rows }
    }

    /// Names and texts. Most texts are JSON; none has to be. `backend` may hold a password.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The text of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, t)| t)
    }

    /// Where the blocks are.
    ///
    /// # Errors
    /// The row is there and not what it should be.
    pub fn backend(&self) -> Result<Option<Backend>, InvalidBackend> {
        self.get(BACKEND).map(Backend::from_json).transpose()
    }
}

/// Where an flist's blocks are: a namespace of a 0-db. Nodes connect to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// The namespace, such as `default`.
    pub namespace: String,
    /// The host's name or address.
    pub host: String,
    /// The 0-db's port, mostly 9900.
    pub port: u16,
    /// The namespace's password, for namespaces that have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub password: Option<Secret>,
}

/// Metadata that does not say where the blocks are.
#[derive(Debug, thiserror::Error)]
#[error("the backend that the flist names cannot be read")]
pub struct InvalidBackend(#[source] serde_json::Error);

impl Backend {
    /// Reads it as an flist has it: JSON with `namespace`, `host`, `port` (a number, or a text of
    /// digits) and perhaps `password`. A missing namespace is `default`, a missing port 9900, as
    /// nodes take them; fields that are not known are ignored.
    ///
    /// # Errors
    /// It is not such JSON.
    pub fn from_json(text: &str) -> Result<Self, InvalidBackend> {
        #[derive(Deserialize)]
        struct Stored {
            #[serde(default = "default_namespace")]
            namespace: String,
            host: String,
            #[serde(default)]
            port: Option<Port>,
            #[serde(default)]
            password: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Port {
            Number(u16),
            Text(String),
        }
        fn default_namespace() -> String {
            "default".to_owned()
        }
        let stored: Stored = serde_json::from_str(text).map_err(InvalidBackend)?;
        let port = match stored.port {
            None => 9900,
            Some(Port::Number(port)) => port,
            Some(Port::Text(text)) => text.parse().map_err(|_| {
                InvalidBackend(serde::de::Error::custom(format!("{text:?} is not a port")))
            })?,
        };
        Ok(Self {
            namespace: stored.namespace,
            host: stored.host,
            port,
            password: stored
                .password
                .filter(|password| !password.is_empty())
                .map(Secret::new),
        })
    }

    /// Writes it as upstream does, in the same order and with the same spaces.
    #[must_use]
    pub fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let password = match &self.password {
            Some(password) => format!(", \"password\": {}", quoted(password.reveal())),
            None => String::new(),
        };
        format!(
            "{{\"namespace\": {}, \"host\": {}, \"port\": {}{password}}}",
            quoted(&self.namespace),
            quoted(&self.host),
            self.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_written_as_upstream_does() {
        let text = r#"{"namespace": "default", "host": "hub.example.test", "port": 9900}"#;
        let backend = Backend::from_json(text).unwrap();
        assert_eq!(backend.port, 9900);
        assert_eq!(backend.to_json(), text);
    }

    #[test]
    fn a_password_is_kept_and_hidden() {
        let text = r#"{"namespace": "n", "host": "h", "port": 1, "password": "p\"w"}"#;
        let backend = Backend::from_json(text).unwrap();
        assert_eq!(backend.to_json(), text);
        assert!(!format!("{backend:?}").contains("p\"w"));
    }

    #[test]
    fn loose_and_wrong_texts() {
        let backend = Backend::from_json(r#"{"host": "h", "port": "9901", "x": 1}"#).unwrap();
        assert_eq!(
            (backend.port, backend.namespace.as_str()),
            (9901, "default")
        );
        for text in ["", "[]", "{}", r#"{"host": "h", "port": 70000}"#, "zdb://h"] {
            assert!(Backend::from_json(text).is_err(), "{text}");
        }
    }
}
