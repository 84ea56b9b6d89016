//! What every BCM crate needs and none should write twice.
//!
//! This crate holds path-safe [names], who may [log in](login), [digests](digest), [atomic
//! files](atomic_file), [files for a folder of the user's](folder_files), the data folder's [lock],
//! [retry] policy, the rules of [deletion], [progress] events, and (feature `http`, on by default) an
//! [HTTP client](http) with a deadline for every phase, and (feature `serve`) what HTTP
//! [servers](serve) are made of.
//!
//! It knows nothing of hubs, kernels, LXD or how SSH is spoken. It does no I/O except in
//! [`atomic_file`], [`file_identity`], [`folder_files`], [`lock`], [`http`] and [`serve`]; it never
//! prints, never reads the environment and never looks for a home directory: a caller hands those in.

pub mod atomic_file;
pub mod cause;
pub mod deletion;
pub mod digest;
pub mod file_identity;
pub mod folder_files;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
pub mod limiter;
pub mod lock;
pub mod login;
pub mod names;
#[cfg(feature = "patterns")]
pub mod patterns;
pub mod progress;
pub mod redact;
pub mod refused;
pub mod retry;
#[cfg(feature = "serve")]
pub mod serve;
pub mod wait;
