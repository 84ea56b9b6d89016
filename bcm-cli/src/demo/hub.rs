//! What the demo's hub holds: a few repositories in the shape of the real ones, with tags, links,
//! links into other repositories, and links to tags. A node of Zero-OS finds its way through it
//! as it does through the real one.

use super::trees::Tree;

/// An entry of a repository of the demo's hub.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    /// An flist, packed from a tree.
    Flist(&'static str, Tree),
    /// A link: its name and where it leads, as on disk.
    Link(&'static str, &'static str),
    /// A tag: its name, and its links.
    Tag(&'static str, &'static [(&'static str, &'static str)]),
}

/// When the first thing was made: 2026-01-01 00:00 UTC.
pub(super) const EPOCH: i64 = 1_767_225_600;

const DAY: i64 = 24 * 60 * 60;

const fn tree(name: &'static str, version: &'static str, kilobytes: usize, day: i64) -> Tree {
    Tree {
        name,
        version,
        kilobytes,
        made: EPOCH + day * DAY,
    }
}

/// The repositories that the demo's hub marks as official.
pub(super) const OFFICIAL: &[&str] = &["tf-official-apps", "tf-official-vms"];

/// Everything, by repository. Those with nothing are users that have uploaded nothing yet.
pub(super) const HUB: &[(&str, &[Item])] = &[
    (
        "alice.3bot",
        &[
            Item::Flist("site.flist", tree("site", "1.0", 300, 40)),
            Item::Flist("notes + drafts.flist", tree("notes", "0.1", 40, 41)),
            Item::Link("my-ubuntu.flist", "../tf-official-vms/ubuntu-24.04.flist"),
        ],
    ),
    // The same tree as alice's: not one block more.
    (
        "bob.3bot",
        &[Item::Flist(
            "copy-of-site.flist",
            tree("site", "1.0", 300, 40),
        )],
    ),
    ("carol.3bot", &[]),
    (
        "tf-autobuilder",
        &[
            Item::Flist("bootstrap-v1.4.1.flist", tree("bootstrap", "1.4.1", 700, 1)),
            Item::Flist(
                "bootstrap-v1.4.2.flist",
                tree("bootstrap", "1.4.2", 700, 20),
            ),
            Item::Link("bootstrap:latest.flist", "bootstrap-v1.4.2.flist"),
            Item::Flist("zos-v3.14.1.flist", tree("zos", "3.14.1", 2500, 10)),
            Item::Flist("zos-v3.15.0-rc2.flist", tree("zos", "3.15.0-rc2", 2500, 30)),
        ],
    ),
    (
        "tf-official-apps",
        &[
            Item::Flist("nginx-1.27.flist", tree("nginx", "1.27", 900, 5)),
            Item::Flist("redis-7.4.flist", tree("redis", "7.4", 1200, 6)),
            Item::Link("nginx-latest.flist", "nginx-1.27.flist"),
            Item::Link("redis-latest.flist", "redis-7.4.flist"),
        ],
    ),
    (
        "tf-official-vms",
        &[
            Item::Flist("ubuntu-24.04.flist", tree("ubuntu", "24.04", 4000, 7)),
            Item::Link("ubuntu-lts.flist", "ubuntu-24.04.flist"),
        ],
    ),
    (
        "tf-zos",
        &[
            Item::Tag(
                "v3.14.1",
                &[
                    (
                        "bootstrap.flist",
                        "../../tf-autobuilder/bootstrap-v1.4.2.flist",
                    ),
                    ("zos.flist", "../../tf-autobuilder/zos-v3.14.1.flist"),
                    ("containerd.flist", "../../tf-zos-bins/containerd-1.7.flist"),
                ],
            ),
            Item::Tag(
                "v3.15.0-rc2",
                &[
                    (
                        "bootstrap.flist",
                        "../../tf-autobuilder/bootstrap-v1.4.2.flist",
                    ),
                    ("zos.flist", "../../tf-autobuilder/zos-v3.15.0-rc2.flist"),
                    ("containerd.flist", "../../tf-zos-bins/containerd-1.7.flist"),
                ],
            ),
            Item::Link("production", "../tf-zos/.tag-v3.14.1"),
            Item::Link("testing", "../tf-zos/.tag-v3.15.0-rc2"),
        ],
    ),
    (
        "tf-zos-bins",
        &[Item::Flist(
            "containerd-1.7.flist",
            tree("containerd", "1.7", 1500, 8),
        )],
    ),
];
