//! End to end: the libraries and the `bcm` program against a fake upstream that replays
//! recordings, one module a scenario.

mod block_fetch;
mod bootstrap;
mod catalogue;
mod chain;
mod changes;
mod damage;
mod damaged_flists;
mod faults;
mod follow;
mod fuzz;
mod histories;
mod hostile;
mod kill_points;
mod killed;
mod parsers;
mod publishing;
mod replay;
mod snapshots;
mod stores;
mod sync_library;
mod usage;
mod writers;
mod zdb_client;
