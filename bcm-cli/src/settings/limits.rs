//! Limits for what an flist may cost to read, as they are typed.

use bcm_hub_sync::flist::Limits;

use super::value::scaled;

/// One limit and its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitChange {
    name: &'static str,
    value: u64,
}

/// The names of [`Limits`]' fields, as they are typed.
const NAMES: [&str; 12] = [
    "compressed-bytes",
    "unpacked-bytes",
    "ratio",
    "query-steps",
    "value-bytes",
    "message-ratio",
    "metadata-rows",
    "metadata-bytes",
    "entries",
    "blocks",
    "depth",
    "path-bytes",
];

/// What a number may end in, by 1,024s.
const UNITS: [(&str, u64); 7] = [
    ("", 1),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("m", 1 << 20),
    ("M", 1 << 20),
    ("g", 1 << 30),
    ("G", 1 << 30),
];

/// Reads `NAME=NUMBER`, where the number may end in K, M, or G.
pub(crate) fn limit(text: &str) -> Result<LimitChange, String> {
    let (name, number) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not of the form NAME=NUMBER"))?;
    let name = NAMES
        .into_iter()
        .find(|known| *known == name)
        .ok_or_else(|| format!("{name:?} is not one of {}", NAMES.join(", ")))?;
    let value = scaled(number, &UNITS)
        .ok_or_else(|| format!("{number:?} is not a number, such as 100, 64K, 512M or 4G"))?;
    Ok(LimitChange { name, value })
}

/// The default limits with `changes`.
pub(crate) fn limits(changes: &[LimitChange]) -> Limits {
    let mut limits = Limits::default();
    for LimitChange { name, value } in changes {
        let value = *value;
        // What is more than the field takes means as much as it takes.
        let small = u32::try_from(value).unwrap_or(u32::MAX);
        match *name {
            "compressed-bytes" => limits.compressed_bytes = value,
            "unpacked-bytes" => limits.unpacked_bytes = value,
            "ratio" => limits.ratio = value,
            "query-steps" => limits.query_steps = value,
            "value-bytes" => limits.value_bytes = small,
            "message-ratio" => limits.message_ratio = small,
            "metadata-rows" => limits.metadata_rows = small,
            "metadata-bytes" => limits.metadata_bytes = small,
            "entries" => limits.entries = value,
            "blocks" => limits.blocks = value,
            "depth" => limits.depth = small,
            _ => limits.path_bytes = small,
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_changes_its_own_limit() {
        let mut seen = Vec::new();
        for name in NAMES {
            let changed = limits(&[limit(&format!("{name}=7")).unwrap()]);
            let field = format!("{}: 7", name.replace('-', "_"));
            let text = format!("{changed:?}");
            assert!(text.contains(&field), "{field}: {text}");
            seen.push(changed);
        }
        assert!(seen.iter().all(|limits| *limits != Limits::default()));
    }

    #[test]
    fn numbers_and_mistakes() {
        assert_eq!(
            limits(&[limit("unpacked-bytes=8G").unwrap()]).unpacked_bytes,
            8 << 30
        );
        assert_eq!(limits(&[limit("depth=99G").unwrap()]).depth, u32::MAX);
        for wrong in [
            "depth",
            "depth=",
            "depth=x",
            "depth=1T",
            "deepth=1",
            "blocks=99999999999999999999",
        ] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
