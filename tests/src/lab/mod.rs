//! A laboratory: fresh Debian machines on this machine, with real systemd, sshd and power switches.
//!
//! [`Lab::start`] brings up machines with their own addresses on their own network, each with sshd,
//! a user `bcm` who may use sudo without a password and a user `plain` who may not use sudo. A test
//! cuts their power, pauses them, pulls their network cable or drops one of their ports.
//!
//! The machines are containers of an outer LXD that runs in its own mount, process, network and
//! control-group namespaces, with its own `LXD_DIR`. So it never touches an LXD of the host, and
//! when the first process of those namespaces ends, the kernel takes down every process, mount,
//! bridge and loop device of the lab with it. Outside the namespaces there are only one end of a
//! virtual cable, one nftables table, one control group and one folder, all named after the lab.
//!
//! A supervisor process (the `lab` program of this package) holds each lab. It tears the lab down
//! when it is told to, or when the process that started the lab ends in whatever way. Should the
//! supervisor itself be killed, its lab dies too, and the next start or `lab down` sweeps the rest.
//!
//! It needs root, a cgroup2-capable kernel and some of Debian's packages: see [`doctor`].

mod apt;
pub mod doctor;
mod error;
mod faults;
mod handle;
mod image;
mod lxc;
mod machine;
mod process;
mod record;
mod release;
mod subnet;
pub mod supervisor;
mod teardown;
mod tor;

pub use error::LabError;
pub use handle::{Lab, LabOptions, Lifetime};
pub use image::BaseImage;
pub use machine::Machine;
pub use process::Captured;
pub use record::{LabRecord, MachineRecord};
pub use release::{Preinstalled, Release};
pub use teardown::{Found, LabState, find, sweep, take_down};
pub use tor::TorNetwork;
