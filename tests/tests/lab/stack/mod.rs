//! Stacks on a cluster.

mod mirror;
mod site;
mod web;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[("stack::mirror_on_three_members", mirror::on_three_members)];
