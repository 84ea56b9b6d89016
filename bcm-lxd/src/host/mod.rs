//! One machine: what it is, whether it can be a member, and how it becomes one.

mod engine;
mod facts;
mod install;
mod machine;
mod parse;
pub mod prepare;
mod socket;
pub mod tor_client;
mod torrc;

pub(crate) use engine::storage_packages;
pub use engine::{EnginePackages, engine_packages};
pub use facts::{
    Address, BlockDevice, EngineFacts, HostFacts, Listener, Os, PackageState, SudoState,
};
pub(crate) use install::PACKAGES;
pub use install::{InstallError, note_made, remove};
pub(crate) use machine::run_ok;
pub use machine::{Machine, MachineError};
pub use parse::{FACTS_SCRIPT, FactsError, parse_facts};
pub use socket::RemoteSocket;

/// How long an engine has to come up.
pub(crate) const SOCKET_WAIT: std::time::Duration = std::time::Duration::from_secs(60);
