//! Commands in an instance.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::WaitError;
use crate::request::Request;
use crate::types::{Config, ExecResult};

impl Client {
    /// Runs a command in an instance, as root, and waits for it for at most `limit`. Its output
    /// is recorded by the server, read, and removed from the server.
    ///
    /// A command that outlives `limit` goes on in the instance.
    ///
    /// # Errors
    /// The command could not be started, did not end in time, or its output could not be read. A
    /// command that ends with another status than 0 is no error.
    pub async fn exec(
        &self,
        instance: &str,
        argv: &[&str],
        environment: Config,
        limit: Duration,
    ) -> Result<ExecResult, WaitError> {
        let request = Request::post(
            &["instances", instance, "exec"],
            &json!({
                "command": argv,
                "environment": environment,
                "interactive": false,
                "wait-for-websocket": false,
                "record-output": true,
            }),
        )
        .with_optional("project", self.project());
        let operation = self.start(request).await?.wait(limit).await?;
        let metadata = &operation.metadata;
        Ok(ExecResult {
            status: metadata.get("return").and_then(Value::as_i64).unwrap_or(-1),
            stdout: self.recorded(instance, metadata, "1").await?,
            stderr: self.recorded(instance, metadata, "2").await?,
        })
    }

    /// Reads and removes what the server recorded of stream `number`; its path ends in
    /// `…/logs/exec-output/NAME` or, on LXD 5.0, `…/logs/NAME`.
    async fn recorded(
        &self,
        instance: &str,
        metadata: &Value,
        number: &str,
    ) -> Result<Vec<u8>, LxdError> {
        let Some(path) = metadata
            .get("output")
            .and_then(|output| output.get(number))
            .and_then(Value::as_str)
        else {
            return Ok(Vec::new());
        };
        let Some((_, name)) = path.rsplit_once('/') else {
            return Ok(Vec::new());
        };
        let mut segments = vec!["instances", instance, "logs"];
        if path.contains("/logs/exec-output/") {
            segments.push("exec-output");
        }
        segments.push(name);
        let (_, bytes) = self
            .download(Request::get(&segments).with_optional("project", self.project()))
            .await?;
        // What stays is rotated away by the server; the output is what counts.
        let _ = self
            .call_empty(Request::delete(&segments).with_optional("project", self.project()))
            .await;
        Ok(bytes.to_vec())
    }
}
