//! Runs the `bcm` command as its users do, with a cleared environment.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod autoinstall;
mod bootstrap;
mod config;
mod dns;
mod flist;
mod host;
mod hub;
mod manual;
mod metrics;
mod render;
mod running;
mod sandbox;
mod ssh;
mod stack;
mod usage;
mod vm;
