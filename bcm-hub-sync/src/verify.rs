//! Proves that a mirror is whole.
