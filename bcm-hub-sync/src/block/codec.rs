//! From plain text to a block and back.
