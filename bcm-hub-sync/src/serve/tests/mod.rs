//! The server over real connections. The client is plain TCP, so that what is checked is what is
//! on the wire.

mod client;
mod downloads;
mod hostile;
mod limits;
mod origin;
mod pages;
mod replay;
mod tree;
mod writing;
