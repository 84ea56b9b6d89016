mod fixtures;
mod recorded;
mod rewrite;
