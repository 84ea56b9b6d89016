//! `bcm cluster` on real machines, over real SSH, with the LXD of Debian bookworm, and with the Incus
//! of trixie.

pub(crate) mod bench;
mod fingerprint;
mod incus;
mod instances;
mod interrupted;
mod life;
mod loss;
mod refusals;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "cluster::from_nothing_to_nothing",
        life::from_nothing_to_nothing,
    ),
    ("cluster::of_incus", incus::three_members),
    ("cluster::loss_of_one_and_of_two", loss::of_one_and_of_two),
    (
        "cluster::interrupted_at_every_phase",
        interrupted::at_every_phase,
    ),
    ("cluster::interrupted_in_a_join", interrupted::in_a_join),
    (
        "cluster::refused_before_anything_is_changed",
        refusals::before_anything_is_changed,
    ),
    (
        "cluster::what_is_there_already",
        refusals::what_is_there_already,
    ),
];
