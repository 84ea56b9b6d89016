//! Commands, files and unix sockets on another machine, or on this one by the same code.
//!
//! [`Remote`] is the seam: run a [`Command`] with a deadline, upload a file, read one, reach a unix
//! socket. [`Ssh`] does it over one connection of the system's own OpenSSH, so the user's
//! `ssh_config`, agent, hardware keys, `ProxyJump` and `ProxyCommand` work as they do by hand;
//! [`Local`] does it on this machine.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bcm_ssh::{Command, HostKeyPolicy, Remote, Ssh, SshOptions};
//!
//! let options = SshOptions::new(HostKeyPolicy::Strict, "/run/user/1000");
//! let host = Ssh::connect(&"admin@node1".parse()?, &options).await?;
//! let output = host.run(Command::new("systemctl").args(["is-active", "lxd"])).await?;
//! println!("{}", output.stdout_text());
//! host.close().await;
//! # Ok(()) }
//! ```
//!
//! What it is **not**: an SSH implementation, a terminal, or a way to type passwords. Nothing here
//! ever prompts. It never prints, and it reads neither the environment nor the home directory (the
//! `ssh` program does, as the user expects of it).
//!
//! # Why the `ssh` program itself, and not a crate around it
//!
//! The `openssh` crate was tried on paper first. Its sessions cannot pin a host key or the locale,
//! its master process outlives a caller that was killed, its multiplexed commands read the user's
//! default configuration even when another one was given for the connection, it swallows what a
//! command wrote when that ends with 127 or 255, and it looks for a home directory. What remains to
//! write here instead is the start of one process and the parsing of its last words.
//!
//! Needs OpenSSH 8.5 or newer on this side; on the other, any sshd and a POSIX shell with `env`,
//! `mktemp`, `mv`, `cat` and `head`.

mod bridge;
mod command;
mod destination;
mod error;
mod execute;
mod files;
mod forward;
mod host_keys;
mod local;
pub mod onion;
mod output;
mod remote;
mod session;
mod wrapper;

pub use command::{Command, OutputLine, Privilege};
pub use destination::{Destination, DestinationError};
pub use error::{ConnectError, FileError, ForwardError, RunError};
pub use files::{ReadFile, Upload};
pub use forward::ForwardedSocket;
pub use host_keys::{HostKey, HostKeyPolicy, PinnedKey};
pub use local::Local;
pub use output::Output;
pub use remote::{BoxFuture, Remote};
pub use session::{Ssh, SshOptions};
