//! This machine, as a [`Remote`].

use std::path::{Path, PathBuf};

use tokio::process::Command as Process;

use crate::{
    BoxFuture, Command, ForwardError, ForwardedSocket, Output, Privilege, Remote, RunError, bridge,
    execute::{self, Transport},
};

/// This machine: the same commands by the same code, without an sshd.
#[derive(Debug, Clone)]
pub struct Local {
    shell: PathBuf,
}

impl Local {
    /// This machine.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shell: PathBuf::from("sh"),
        }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for Local {
    fn host(&self) -> &str {
        "this machine"
    }

    fn process(&self, words: &[String]) -> Process {
        let mut process = Process::new(&self.shell);
        // The first word is the shell itself. A group of its own: a Ctrl-C at the terminal is for
        // BCM, which ends its commands itself.
        process
            .args(words.get(1..).unwrap_or_default())
            .process_group(0);
        process
    }

    fn broken(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::ready(None))
    }
}

impl Remote for Local {
    fn host(&self) -> &str {
        Transport::host(self)
    }

    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, RunError>> {
        Box::pin(async move { execute::run(self, &command).await })
    }

    fn forward_unix<'a>(
        &'a self,
        socket: &'a Path,
        privilege: Privilege,
    ) -> BoxFuture<'a, Result<ForwardedSocket, ForwardError>> {
        Box::pin(async move {
            let relay = bridge::reach(self, self, socket, privilege).await?;
            Ok(match relay {
                // It is here already.
                None => ForwardedSocket::borrowed(socket),
                Some(relay) => ForwardedSocket::relayed(relay),
            })
        })
    }
}
