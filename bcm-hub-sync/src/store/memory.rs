//! A store in memory, for tests and for small jobs.
