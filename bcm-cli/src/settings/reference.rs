//! The reference of settings in the README, held against the settings.

use super::key::{ALL, Meta};

fn row(meta: &Meta) -> String {
    let default = match meta.default_text {
        "" => format!("`{}`", meta.default.join("`, `")),
        text => text.to_owned(),
    };
    format!(
        "| `{}` | {} | {default} | {} |",
        meta.name,
        meta.kind
            .expected()
            .trim_start_matches("a ")
            .trim_start_matches("an "),
        meta.about.trim().replace('|', "\\|")
    )
}

#[test]
fn the_readme_documents_every_setting() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let rows: Vec<String> = ALL.iter().map(|key| row(key.meta())).collect();
    let table = format!(
        "| key | takes | default | what it does |\n|---|---|---|---|\n{}\n",
        rows.join("\n")
    );
    let (begin, end) = ("<!-- settings begin -->\n", "<!-- settings end -->");
    let found = readme
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end))
        .map(|(found, _)| found);
    assert!(
        found == Some(&table),
        "the table between {begin:?} and {end:?} in README.md has to be:\n\n{table}"
    );
}
