//! What the stack of a mirror is made of, apart from where it runs: the names that nodes and people
//! reach it by, the DNS records of these names, the proxy with TLS in front of it, and the files
//! that run it by other means than BCM's own (Docker Compose, systemd).
//!
//! Everything but [`dns::resolve`] (feature `resolve`) and [`render::write`] is pure.
//!
//! ```
//! use bcm_stack::dns::{Form, records};
//! use bcm_stack::domain::Domain;
//!
//! let domain = Domain::new("example.org")?;
//! let records = records(&domain, &["203.0.113.7".parse().unwrap()], Form::Individual);
//! assert_eq!(records[0].to_string(), "hub.example.org.  A  203.0.113.7");
//! # Ok::<(), bcm_stack::domain::InvalidDomain>(())
//! ```

mod address;
#[cfg(feature = "authority")]
pub mod authority;
pub mod caddy;
#[cfg(feature = "cluster")]
pub mod deploy;
pub mod dns;
pub mod domain;
pub mod haproxy;
pub mod manifest;
pub mod mirror;
pub mod place;
#[cfg(feature = "cluster")]
pub mod plan;
pub mod render;
#[cfg(feature = "cluster")]
pub mod requirements;
#[cfg(feature = "cluster")]
pub mod wanted;
