//! QMP, by which a running QEMU is told what to do: a JSON value a line, first a greeting, then
//! `qmp_capabilities`, then commands; events come in between (QEMU's `docs/interop/qmp-spec`).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::vm::VmError;

/// How long an answer may take. QEMU answers between two turns of its main loop.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection.
pub(crate) struct Qmp {
    host: String,
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the socket `qmp.sock` in `folder`, of the QEMU that runs `host`. `None` where
    /// nobody listens there.
    pub(crate) async fn connect(folder: &Path, host: &str) -> Result<Option<Self>, VmError> {
        let Ok(open) = File::open(folder) else {
            return Ok(None);
        };
        // The path of a socket has 107 bytes at most, the folder's name any number.
        let path = format!("/proc/self/fd/{}/qmp.sock", open.as_raw_fd());
        let Ok(stream) = UnixStream::connect(path).await else {
            return Ok(None);
        };
        let mut qmp = Self {
            host: host.to_owned(),
            stream: BufReader::new(stream),
        };
        tokio::time::timeout(LIMIT, qmp.line("greeting"))
            .await
            .map_err(|_| qmp.refused("greeting", "it says nothing"))??;
        qmp.tell("qmp_capabilities", json!({})).await?;
        Ok(Some(qmp))
    }

    /// Carries out `command`, and gives its answer.
    pub(crate) async fn tell(&mut self, command: &str, arguments: Value) -> Result<Value, VmError> {
        let message = json!({ "execute": command, "arguments": arguments });
        let told = async {
            let text = format!("{message}\n");
            let written = self.stream.get_mut().write_all(text.as_bytes()).await;
            written.map_err(|error| self.refused(command, &error.to_string()))?;
            loop {
                let answer = self.line(command).await?;
                if let Some(value) = answer.get("return") {
                    return Ok(value.clone());
                }
                if let Some(error) = answer.get("error") {
                    let said = error.get("desc").and_then(Value::as_str);
                    return Err(self.refused(command, said.unwrap_or("no reason")));
                }
            }
        };
        match tokio::time::timeout(LIMIT, told).await {
            Ok(result) => result,
            Err(_) => Err(VmError::Qmp {
                host: self.host.clone(),
                command: command.to_owned(),
                said: format!("no answer within {} s", LIMIT.as_secs()),
            }),
        }
    }

    async fn line(&mut self, command: &str) -> Result<Value, VmError> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await;
        match read {
            Ok(0) => Err(self.refused(command, "it ended")),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| self.refused(command, &error.to_string())),
            Err(error) => Err(self.refused(command, &error.to_string())),
        }
    }

    fn refused(&self, command: &str, said: &str) -> VmError {
        VmError::Qmp {
            host: self.host.clone(),
            command: command.to_owned(),
            said: said.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn events_are_passed_over_and_refusals_quoted() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Qmp::connect(folder.path(), "m").await.unwrap().is_none());
        let listener = UnixListener::bind(folder.path().join("qmp.sock")).unwrap();
        let answers = [
            "{\"QMP\": {}}\n",
            "{\"return\": {}}\n",
            "{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"prelaunch\"}}\n",
            "{\"error\": {\"desc\": \"not now\"}}\n",
        ];
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            for (n, answer) in answers.iter().enumerate() {
                if n > 0 {
                    stream.read_line(&mut line).await.unwrap();
                }
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut qmp = Qmp::connect(folder.path(), "m").await.unwrap().unwrap();
        let status = qmp.tell("query-status", json!({})).await.unwrap();
        assert_eq!(status["status"], "prelaunch");
        let error = qmp.tell("cont", json!({})).await.unwrap_err().to_string();
        assert!(error.contains("refused cont: not now"), "{error}");
        assert!(qmp.tell("cont", json!({})).await.is_err());
    }
}
