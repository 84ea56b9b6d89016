//! End to end: the libraries and the `bcm` program against a fake upstream that replays
//! recordings, one module a scenario.

mod block_fetch;
mod catalogue;
mod damage;
mod damaged_flists;
mod histories;
mod parsers;
mod sync_library;
mod zdb_client;
