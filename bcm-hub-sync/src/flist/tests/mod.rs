mod fixtures;
mod hostile_archive;
mod hostile_database;
mod hostile_tree;
mod pack;
mod recorded;
mod rewrite;
mod unpack;
