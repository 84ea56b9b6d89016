//! 0-db's protocol, both sides.
