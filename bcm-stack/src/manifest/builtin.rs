//! The manifests that are part of BCM.

use super::{Manifest, ManifestError};

/// Their names.
pub const BUILT_IN: &[&str] = &["bootstrap", "hub", "mirror"];

/// The built-in manifest of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<Result<Manifest, ManifestError>> {
    let (what, packages, own) = match name {
        "bootstrap" => (
            "Bootstrap",
            ", \"ipxe\"",
            include_str!("built_in/bootstrap.toml"),
        ),
        "hub" => ("Hub", "", include_str!("built_in/hub.toml")),
        "mirror" => (
            "Hub and Bootstrap",
            ", \"ipxe\"",
            include_str!("built_in/mirror.toml"),
        ),
        _ => return None,
    };
    let main = include_str!("built_in/main.toml")
        .replace("@WHAT@", what)
        .replace("@MAIN@", name)
        .replace("@PACKAGES@", packages);
    // What is in front of each is the same, but that a Bootstrap has no 0-db.
    let (packages, zdb) = match name {
        "bootstrap" => ("", ""),
        _ => (", \"haproxy\"", include_str!("built_in/front_zdb.toml")),
    };
    let front = include_str!("built_in/front.toml")
        .replace("@MAIN@", name)
        .replace("@ZDB_PACKAGES@", packages);
    let text = [&main, own, &front, zdb].join("\n");
    Some(Manifest::parse(name, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_manifest_can_be_used() {
        for name in BUILT_IN {
            let manifest = built_in(name).unwrap().unwrap();
            let kinds: Vec<&str> = manifest
                .in_order()
                .iter()
                .map(|k| k.name.as_str())
                .collect();
            assert_eq!(kinds, [*name, "front"]);
        }
        assert!(built_in("other").is_none());
    }
}
