//! The default store: an append-only log of blocks with an index, in one folder.
