//! What a manifest may say.

use std::collections::BTreeSet;

use super::{Kind, Manifest, Replicas};

/// What cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// There is nothing in it.
    #[error("it has no [[instance]]")]
    Empty,
    /// A text that is not what it has to be.
    #[error("{what} {value:?} is not {wanted}")]
    Malformed {
        /// What it is.
        what: &'static str,
        /// The text.
        value: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// Something is there twice.
    #[error("{what} {value} is there twice")]
    Twice {
        /// What.
        what: &'static str,
        /// Which.
        value: String,
    },
    /// What is in a file is said in no way, or in several.
    #[error("{0}: say what is in it by one of `content`, `source` and `made`")]
    Content(String),
    /// BCM does not make this.
    #[error("BCM makes nothing called {0:?}")]
    Made(String),
    /// A kind needs one that there is not.
    #[error("{kind} needs {needs}, which is not there")]
    NotThere {
        /// The kind.
        kind: String,
        /// What it needs.
        needs: String,
    },
    /// Kinds need each other in a circle.
    #[error("these need each other in a circle: {}", .0.join(" → "))]
    Circle(Vec<String>),
    /// A file or volume is where a file has to be a folder, or two volumes are in one place.
    #[error("{0} cannot be there: another file or volume is at that path or below it")]
    Covered(String),
    /// A unit that the kind does not have.
    #[error("{path} reloads {unit}, which is no [[instance.unit]]")]
    Reloads {
        /// The file.
        path: String,
        /// The unit.
        unit: String,
    },
}

/// The first mistake in `manifest`.
pub(super) fn check(manifest: &Manifest) -> Option<Mistake> {
    checked(manifest).err()
}

fn checked(manifest: &Manifest) -> Result<(), Mistake> {
    let plain = "a name of small letters, digits and dashes, at most 24";
    matching("the stack's name", &manifest.name, plain, is_name)?;
    if manifest.instances.is_empty() {
        return Err(Mistake::Empty);
    }
    let kinds = manifest.instances.iter();
    unique("the instance", kinds.clone().map(|kind| kind.name.clone()))?;
    // All kinds can be on one member.
    let ports = kinds.clone().flat_map(|kind| &kind.ports);
    unique("the port", ports.map(|port| port.listen.to_string()))?;
    for kind in kinds {
        matching("the instance's name", &kind.name, plain, is_name)?;
        kind_checked(kind)?;
    }
    for kind in &manifest.instances {
        let there = |name: &str| manifest.instances.iter().any(|other| other.name == name);
        if let Some(needs) = kind.needs.iter().find(|name| !there(name)) {
            return Err(Mistake::NotThere {
                kind: kind.name.clone(),
                needs: needs.clone(),
            });
        }
    }
    sorted(&manifest.instances).map(drop)
}

fn kind_checked(kind: &Kind) -> Result<(), Mistake> {
    if kind.replicas == Replicas::Count(0) || kind.at_most == 0 {
        return Err(Mistake::Malformed {
            what: "the number of replicas",
            value: "0".to_owned(),
            wanted: "1 or more",
        });
    }
    for package in &kind.packages {
        matching("the package", package, "the name of a package", is_package)?;
    }
    let size = "a size such as 512MiB or 20GiB";
    if let Some(memory) = &kind.limits.memory {
        matching("the limit of memory", memory, size, is_size)?;
    }
    unique("the volume", kind.volumes.iter().map(|v| v.name.clone()))?;
    for volume in &kind.volumes {
        let plain = "a name of small letters, digits and dashes, at most 24";
        matching("the volume's name", &volume.name, plain, is_name)?;
        matching("the volume's path", &volume.path, PATH, is_path)?;
        if let Some(text) = &volume.size {
            matching("the volume's size", text, size, is_size)?;
        }
        owner(volume.owner.as_deref())?;
    }
    let unit_path = |name: &str| format!("/etc/systemd/system/{name}");
    let files = kind.files.iter().map(|file| file.path.clone());
    let units = kind.units.iter().map(|unit| unit_path(&unit.name));
    unique("the file", files.chain(units))?;
    for unit in &kind.units {
        matching(
            "the unit's name",
            &unit.name,
            "the name of a unit of systemd",
            is_unit,
        )?;
        let said = [&unit.content, &unit.source, &unit.made];
        if said.iter().filter(|text| text.is_some()).count() > 1 {
            return Err(Mistake::Content(unit.name.clone()));
        }
        contents(unit.source.as_deref(), unit.made.as_deref())?;
    }
    for file in &kind.files {
        matching("the file's path", &file.path, PATH, is_path)?;
        owner(file.owner.as_deref())?;
        let said = [&file.content, &file.source, &file.made];
        if said.iter().filter(|text| text.is_some()).count() != 1 {
            return Err(Mistake::Content(file.path.clone()));
        }
        contents(file.source.as_deref(), file.made.as_deref())?;
        let has = |name: &str| kind.units.iter().any(|unit| unit.name == name);
        if let Some(unit) = file.reloads.iter().find(|unit| !has(unit)) {
            return Err(Mistake::Reloads {
                path: file.path.clone(),
                unit: unit.clone(),
            });
        }
        if file.mode > 0o7777 {
            return Err(Mistake::Malformed {
                what: "the mode",
                value: format!("{:#o}", file.mode),
                wanted: "permission bits such as 0o644",
            });
        }
    }
    // A file has nothing below it; a volume may have files.
    let volumes = kind.volumes.iter().map(|volume| volume.path.as_str());
    let all: Vec<&str> = kind
        .files
        .iter()
        .map(|file| file.path.as_str())
        .chain(volumes)
        .collect();
    for (index, path) in all.iter().enumerate() {
        let is_file = index < kind.files.len();
        let covers = |other: &str| {
            let rest = other.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || (is_file && rest.starts_with('/')))
        };
        let mut others = all.iter().enumerate().filter(|(other, _)| *other != index);
        if others.any(|(_, other)| covers(other)) {
            return Err(Mistake::Covered((*path).to_owned()));
        }
    }
    health_checked(kind)
}

fn health_checked(kind: &Kind) -> Result<(), Mistake> {
    if let Some(http) = &kind.health.http {
        let port_and_path = |text: &str| {
            text.split_once('/').is_some_and(|(port, path)| {
                port.parse::<u16>().is_ok_and(|port| port > 0)
                    && path
                        .bytes()
                        .all(|b| b.is_ascii_graphic() && !b"'\"\\`$".contains(&b))
            })
        };
        matching(
            "the health's http",
            http,
            "PORT/PATH, such as 80/healthz",
            port_and_path,
        )?;
    }
    let ports = kind
        .ports
        .iter()
        .flat_map(|port| [port.listen, port.connect()]);
    if ports.chain(kind.health.tcp).any(|port| port == 0) {
        return Err(Mistake::Malformed {
            what: "the port",
            value: "0".to_owned(),
            wanted: "one of 1 to 65535",
        });
    }
    Ok(())
}

const PATH: &str = "an absolute path without `..`";

fn matching(
    what: &'static str,
    value: &str,
    wanted: &'static str,
    fits: impl Fn(&str) -> bool,
) -> Result<(), Mistake> {
    match fits(value) {
        true => Ok(()),
        false => Err(Mistake::Malformed {
            what,
            value: value.to_owned(),
            wanted,
        }),
    }
}

fn owner(user: Option<&str>) -> Result<(), Mistake> {
    let fits = |text: &str| is_name(&text.replace('_', "-"));
    user.map_or(Ok(()), |user| {
        matching("the owner", user, "a user's name", fits)
    })
}

fn contents(source: Option<&str>, made: Option<&str>) -> Result<(), Mistake> {
    if let Some(source) = source {
        let fits = |text: &str| is_path(&format!("/{text}"));
        let wanted = "a file beside the manifest, without `..`";
        matching("the source", source, wanted, fits)?;
    }
    match made {
        Some(made) if !crate::mirror::MADE.contains(&made) => Err(Mistake::Made(made.to_owned())),
        _ => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 24
        && text.bytes().all(inside)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
}

fn is_path(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && text.chars().all(|c| !c.is_control() && c != '\'')
    })
}

fn is_package(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b);
    text.len() > 1 && text.bytes().all(inside) && !text.starts_with(['+', '.', '-'])
        // With that, apt-get would take it away.
        && !text.ends_with('-')
}

fn is_unit(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"@._-".contains(&b);
    let kinds = [".service", ".timer", ".socket", ".path"];
    text.bytes().all(inside)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && kinds.iter().any(|kind| text.ends_with(kind))
}

fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &text[digits.len()..];
    digits.parse::<u64>().is_ok_and(|number| number > 0)
        && ["kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"].contains(&unit)
}

fn unique(what: &'static str, values: impl Iterator<Item = String>) -> Result<(), Mistake> {
    let mut seen = BTreeSet::new();
    for value in values {
        if let Some(value) = seen.replace(value) {
            return Err(Mistake::Twice { what, value });
        }
    }
    Ok(())
}

/// The kinds, each after those that it needs; of several that could come, the one that is written
/// first.
pub(super) fn sorted(kinds: &[Kind]) -> Result<Vec<&Kind>, Mistake> {
    let mut sorted: Vec<&Kind> = Vec::new();
    while sorted.len() < kinds.len() {
        let there = |name: &String| sorted.iter().any(|kind| kind.name == *name);
        let next = kinds
            .iter()
            .find(|kind| !there(&kind.name) && kind.needs.iter().all(there));
        match next {
            Some(kind) => sorted.push(kind),
            None => return Err(Mistake::Circle(circle(kinds, &sorted))),
        }
    }
    Ok(sorted)
}

/// Follows the needs of those that are left until one comes again.
fn circle(kinds: &[Kind], sorted: &[&Kind]) -> Vec<String> {
    let left = |kind: &&Kind| sorted.iter().all(|other| other.name != kind.name);
    let mut path: Vec<String> = Vec::new();
    let mut at = kinds.iter().find(left);
    while let Some(kind) = at {
        if let Some(begin) = path.iter().position(|name| *name == kind.name) {
            path.push(kind.name.clone());
            return path.split_off(begin);
        }
        path.push(kind.name.clone());
        at = kind
            .needs
            .iter()
            .filter_map(|name| kinds.iter().find(|other| other.name == *name))
            .find(left);
    }
    path
}

#[cfg(test)]
mod tests {
    use crate::manifest::Manifest;

    fn refused(text: &str) -> String {
        let error = Manifest::parse("x", text).unwrap_err();
        bcm_core::cause::chain(&error)
    }

    #[test]
    fn a_circle_is_named() {
        let text = r#"about = ""
            [[instance]]
            name = "a"
            needs = ["b"]
            [[instance]]
            name = "b"
            needs = ["c"]
            [[instance]]
            name = "c"
            needs = ["b"]"#;
        assert!(refused(text).contains("b → c → b"), "{}", refused(text));
    }

    #[test]
    fn what_is_needed_comes_first() {
        let text = r#"about = ""
            [[instance]]
            name = "front"
            needs = ["back"]
            [[instance]]
            name = "back""#;
        let manifest = Manifest::parse("x", text).unwrap();
        let names: Vec<&str> = manifest
            .in_order()
            .iter()
            .map(|k| k.name.as_str())
            .collect();
        assert_eq!(names, ["back", "front"]);
    }

    #[test]
    fn unknown_keys_are_named_with_their_line() {
        let text = "about = \"\"\n[[instance]]\nname = \"a\"\nreplica = 3\n";
        let said = refused(text);
        assert!(
            said.contains("replica") && said.contains("line 4"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let instance = |more: &str| format!("about = \"\"\n[[instance]]\nname = \"a\"\n{more}");
        for (more, word) in [
            ("replicas = 0", "replicas"),
            ("packages = [\"-y\"]", "package"),
            ("packages = [\"caddy-\"]", "package"),
            (
                "[[instance.volume]]\nname = \"d\"\npath = \"/a/b\"\n[[instance.file]]\npath = \"/a\"\ncontent = \"\"",
                "/a cannot be there",
            ),
            (
                "[[instance.volume]]\nname = \"d\"\npath = \"/a\"\n[[instance.volume]]\nname = \"e\"\npath = \"/a\"",
                "/a cannot be there",
            ),
            ("needs = [\"b\"]", "not there"),
            (
                "[[instance.volume]]\nname = \"d\"\npath = \"srv\"",
                "absolute",
            ),
            (
                "[[instance.volume]]\nname = \"d\"\npath = \"/a/../b\"",
                "absolute",
            ),
            (
                "[[instance.volume]]\nname = \"d\"\npath = \"/a\"\nsize = \"big\"",
                "size",
            ),
            ("[[instance.file]]\npath = \"/a\"", "content"),
            ("[[instance.file]]\npath = \"/a\"\nmade = \"gold\"", "gold"),
            (
                "[[instance.file]]\npath = \"/a\"\nsource = \"../b\"",
                "beside",
            ),
            (
                "[[instance.file]]\npath = \"/a\"\ncontent = \"\"\nmode = 99999",
                "mode",
            ),
            (
                "[[instance.file]]\npath = \"/a\"\ncontent = \"\"\nreloads = [\"x.service\"]",
                "reloads",
            ),
            ("[[instance.unit]]\nname = \"x\"", "unit"),
            ("[[instance.port]]\nlisten = 0", "port"),
            (
                "[[instance.port]]\nlisten = 80\n[[instance.port]]\nlisten = 80",
                "twice",
            ),
            ("[instance.health]\nhttp = \"healthz\"", "PORT/PATH"),
            ("[instance.limits]\nmemory = \"4\"", "memory"),
        ] {
            let said = refused(&instance(more));
            assert!(said.contains(word), "{more}: {said}");
        }
        assert!(refused("about = \"\"\ninstance = []").contains("no [[instance]]"));
        assert!(Manifest::parse("Bad Name", &instance("")).is_err());
    }
}
