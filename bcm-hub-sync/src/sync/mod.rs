//! Makes a local mirror equal to its upstream.

pub mod blocks;
