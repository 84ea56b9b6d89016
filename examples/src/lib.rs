//! Start from the programs in `examples/`: `cargo run -p bcm-examples --example NAME`.
