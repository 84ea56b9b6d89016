//! The calls, one module a noun. All are methods of [`Client`](crate::Client).

mod cluster;
mod exec;
mod files;
mod images;
mod instances;
mod networks;
mod projects;
mod server;
mod storage;

pub use files::FileMeta;
pub use images::{ImageFiles, PullError, RemoteImage, UPLOAD_LIMIT};
