//! As much of YAML as answers to installers take, written so that people can read it.
//!
//! Every text is within double quotes, where YAML 1.2 has the escapes of JSON ("5.7 Escaped Characters"),
//! so none is taken for anything else.

use std::fmt::Write;

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping, in its order. Keys are plain: letters, digits and `-_.`.
    Map(Vec<(&'static str, Self)>),
}

impl Yaml {
    /// A text.
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    /// A sequence of texts.
    pub fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The document, in lines.
    #[must_use]
    pub fn document(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    /// A scalar, or an empty collection, as it stands on a line.
    fn inline(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(quoted(text)),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(value) => Some(value.to_string()),
            Self::List(nodes) if nodes.is_empty() => Some("[]".to_owned()),
            Self::Map(nodes) if nodes.is_empty() => Some("{}".to_owned()),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The first line of a collection is not indented when it comes after a `- `: `out` ends in it then.
    fn write(&self, out: &mut String, depth: usize) {
        if let Some(inline) = self.inline() {
            out.push_str(&inline);
            out.push('\n');
            return;
        }
        let nodes: Vec<(String, &Self)> = match self {
            Self::List(nodes) => nodes.iter().map(|node| ("-".to_owned(), node)).collect(),
            Self::Map(nodes) => nodes
                .iter()
                .map(|(key, node)| (format!("{key}:"), node))
                .collect(),
            _ => Vec::new(),
        };
        for (lead, node) in nodes {
            if out.is_empty() || out.ends_with('\n') {
                out.extend(std::iter::repeat_n("  ", depth));
            }
            out.push_str(&lead);
            match (node.inline(), lead == "-") {
                (Some(_), _) | (None, true) => out.push(' '),
                (None, false) => out.push('\n'),
            }
            node.write(out, depth + 1);
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // What is no printable character of YAML, or would end a line.
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_meant() {
        let document = Yaml::Map(vec![
            ("version", Yaml::Number(1)),
            ("none", Yaml::List(Vec::new())),
            (
                "list",
                Yaml::List(vec![
                    Yaml::text("a: #\n\"'\\"),
                    Yaml::Map(vec![("x", Yaml::Bool(true)), ("y", Yaml::texts(["no"]))]),
                    Yaml::texts(["-", "null"]),
                ]),
            ),
            (
                "map",
                Yaml::Map(vec![("deep", Yaml::Map(vec![("er", Yaml::text("ä"))]))]),
            ),
        ]);
        assert_eq!(
            document.document(),
            concat!(
                "version: 1\n",
                "none: []\n",
                "list:\n",
                "  - \"a: #\\u000a\\\"'\\\\\"\n",
                "  - x: true\n",
                "    y:\n",
                "      - \"no\"\n",
                "  - - \"-\"\n",
                "    - \"null\"\n",
                "map:\n",
                "  deep:\n",
                "    er: \"ä\"\n",
            )
        );
    }
}
