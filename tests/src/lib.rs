//! What the tests of BCM are made with: [fake origins](origin) that replay recordings and
//! misbehave on command, the [comparison of trees](tree), the [`bcm` binary](bcm) as a person would
//! run it, and a [laboratory](lab) of fresh machines.
//!
//! Nothing here uses BCM's own idea of a protocol: the fake hub and the fake 0-db are written from
//! the recordings alone (and held to them by their own tests), so that BCM's clients and servers
//! are tested against what upstream says, not against themselves. What [serves blocks](zdb_port) by
//! BCM's own server is for benches.

pub mod bcm;
pub mod bootstrap;
pub mod chance;
pub mod delay_proxy;
pub mod demo_origin;
pub mod fixtures;
pub mod kill_points;
pub mod lab;
pub mod mirror;
pub mod on_request;
pub mod origin;
pub mod own_zdb;
pub mod tree;
pub mod wire;
pub mod zdb_port;
