use serde::Deserialize;
use serde_json::Value;

/// A background operation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Operation {
    /// Its name in the API, a UUID.
    #[serde(default)]
    pub id: String,
    /// `task`, `token` or `websocket`.
    #[serde(default)]
    pub class: String,
    /// What it does, in words.
    #[serde(default)]
    pub description: String,
    /// `Running`, `Success`, `Failure`, `Cancelled` …
    #[serde(default)]
    pub status: String,
    /// 103 running, 200 success, 400 failure, 401 cancelled …
    #[serde(default)]
    pub status_code: u16,
    /// What it works on: paths by kind.
    #[serde(default)]
    pub resources: Value,
    /// What it has to say; a join token's operation has the token here.
    #[serde(default)]
    pub metadata: Value,
    /// The error, empty where there is none.
    #[serde(default)]
    pub err: String,
    /// The member that it runs on.
    #[serde(default)]
    pub location: String,
}

impl Operation {
    /// Whether it has ended: status codes from 200 on are final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.status_code >= 200
    }
}
