//! Flists, version 1: read, unpack and make them.
