//! The `bcm` command.

fn main() {}
