//! The catalogue of an upstream hub.
