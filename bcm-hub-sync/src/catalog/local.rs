//! The catalogue of a tree on disk.
