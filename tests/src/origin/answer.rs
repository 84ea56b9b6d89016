//! An HTTP answer, and where the answers of the fake hub come from: the recording as long as
//! nobody changed the catalogue, and from then on the catalogue itself.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use bcm_core::digest::Md5;
use bytes::Bytes;

use super::users::{Folder, Node, Target, Users};
use crate::fixtures::Exchange;

/// An answer before any fault touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers but `Content-Length` and `Connection`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer of `content_type`.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![
                ("Content-Type".into(), content_type.into()),
                ("Access-Control-Allow-Origin".into(), "*".into()),
            ],
            body: body.into(),
        }
    }

    fn json(text: String) -> Self {
        Self::new(200, "application/json", text + "\n")
    }

    fn recorded(exchange: &Exchange) -> Self {
        let headers = exchange.headers.iter();
        Self {
            status: exchange.status,
            headers: headers
                .filter(|(name, _)| *name != "Content-Length")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body: exchange.body().into(),
        }
    }

    /// Upstream's page for what is not there, as recorded.
    pub fn not_found() -> Self {
        let page = concat!(
            "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n",
            "<p>The requested URL was not found on the server. If you entered the URL manually ",
            "please check your spelling and try again.</p>\n"
        );
        Self::new(404, "text/html; charset=utf-8", page)
    }

    fn no_source() -> Self {
        let text = "{\"status\": \"error\", \"message\": \"source not found\"}\n";
        Self::new(404, "application/json", text)
    }
}

/// What recordings say about flists that a catalogue alone does not: their content and metadata.
#[derive(Debug, Clone, Default)]
struct KnownFlist {
    content: Option<Bytes>,
    metadata: Option<Bytes>,
}

/// The source of answers.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) users: Users,
    /// Whether the catalogue is still the recorded one.
    pub(super) pristine: bool,
    recorded: BTreeMap<String, Answer>,
    known: BTreeMap<String, KnownFlist>,
}

impl Answers {
    /// Those of the recording.
    pub(super) fn recorded(users: Users, exchanges: &[Exchange]) -> Self {
        let recorded: BTreeMap<_, _> = exchanges
            .iter()
            .map(|exchange| (exchange.path.clone(), Answer::recorded(exchange)))
            .collect();
        let mut known: BTreeMap<String, KnownFlist> = BTreeMap::new();
        for (repository, folder) in &users.repositories {
            for (name, node) in &folder.nodes {
                let Node::File { content, .. } = node else {
                    continue;
                };
                let flist = known.entry(Md5::of(content).to_string()).or_default();
                let path = format!("/api/flist/{repository}/{name}");
                flist.content = recorded.get(&path).map(|a| a.body.clone());
                let path = format!("{path}/metadata");
                flist.metadata = recorded.get(&path).map(|a| a.body.clone());
            }
        }
        Self {
            users,
            pristine: true,
            recorded,
            known,
        }
    }

    /// The answer to a GET of the decoded `path`, or `None` where a hub has no such endpoint (or,
    /// while the catalogue is the recorded one, where nothing was recorded).
    pub(super) fn get(&self, path: &str) -> Option<Answer> {
        if self.pristine {
            return self.recorded.get(path).cloned();
        }
        self.render(path)
    }

    /// The answer that follows from the catalogue alone.
    pub(super) fn render(&self, path: &str) -> Option<Answer> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts.as_slice() {
            ["api", "repositories"] => Answer::json(self.repositories()),
            ["api", "flist"] => Answer::json(self.raw_listing()),
            ["api", "fileslist"] => Answer::json(self.everything()),
            ["api", "flist", "me", ..] => Answer::new(
                400,
                "application/json",
                "{\"message\":\"readonly mode\",\"status\":\"error\"}\n",
            ),
            ["api", "flist", repository] => match self.users.repositories.get(*repository) {
                Some(folder) => Answer::json(self.entries(repository, None, folder)),
                None => Answer::not_found(),
            },
            ["api", "flist", repository, "tags", tag] => {
                let tag = format!(".tag-{tag}");
                let nodes = self.users.repositories.get(*repository).map(|r| &r.nodes);
                match nodes.and_then(|nodes| nodes.get(&tag)) {
                    Some(Node::Tag(folder)) => {
                        Answer::json(self.entries(repository, Some(&tag), folder))
                    }
                    _ => Answer::not_found(),
                }
            }
            ["api", "flist", repository, name, "taglink"] => self.taglink(repository, name),
            ["api", "flist", repository, name] => {
                return self.known(repository, name, "{}\n", |known| known.content.clone());
            }
            ["api", "flist", repository, name, "metadata"] => {
                let dangling = concat!(
                    "{\"backend-forced\": {\"host\": \"hub.example.test\", \"port\": 9900, ",
                    "\"namespace\": \"default\"}}\n"
                );
                return self.known(repository, name, dangling, |known| known.metadata.clone());
            }
            ["api", "flist", repository, name, "light"] => self.light(repository, name),
            [repository, "tags", tag, name] if name.ends_with(".flist") => {
                self.download(repository, Some(&format!(".tag-{tag}")), name)
            }
            [repository, name] if name.ends_with(".flist") => self.download(repository, None, name),
            [repository, name] if name.ends_with(".flist.md5") => {
                let name = name.trim_end_matches(".md5");
                match self.file(repository, None, name) {
                    Some((content, _)) => {
                        Answer::new(200, "text/plain", format!("{}\n", Md5::of(content)))
                    }
                    None => Answer::not_found(),
                }
            }
            _ => return None,
        })
    }

    fn repositories(&self) -> String {
        list(self.users.repositories.iter().map(|(name, folder)| {
            let (name, updated) = (quoted(name), folder.mtime);
            format!("{{\"name\": {name}, \"official\": false, \"updated\": {updated}}}")
        }))
    }

    fn raw_listing(&self) -> String {
        let repositories = self.users.repositories.iter();
        list(repositories.flat_map(|(repository, folder)| {
            let names = folder.nodes.keys();
            names.map(move |name| quoted(&format!("{repository}/{name}")))
        }))
    }

    fn everything(&self) -> String {
        let repositories = self.users.repositories.iter().map(|(name, folder)| {
            let entries = self.entries(name, None, folder);
            format!("{}: {entries}", quoted(name))
        });
        format!("{{{}}}", repositories.collect::<Vec<_>>().join(", "))
    }

    fn entries(&self, repository: &str, tag: Option<&str>, folder: &Folder) -> String {
        list(folder.nodes.iter().map(|(name, node)| match node {
            Node::File { content, mtime } => entry(name, content.len(), *mtime, "regular", None),
            Node::Tag(tag) => format!(
                "{{\"name\": {}, \"size\": \"0 KB\", \"updated\": {}, \"type\": \"tag\"}}",
                quoted(name.trim_start_matches(".tag-")),
                tag.mtime
            ),
            Node::Link { target, mtime } => {
                let (size, updated, kind) = match self.users.resolve(repository, tag, target) {
                    Some(Target::File(content, mtime)) => (content.len(), mtime, "symlink"),
                    Some(Target::Tag(folder)) => (4096, folder.mtime, "taglink"),
                    None if target.contains("/.tag-") => (target.len(), *mtime, "taglink"),
                    None => (target.len(), *mtime, "symlink"),
                };
                entry(name, size, updated, kind, Some((*mtime, &shown(target))))
            }
        }))
    }

    fn taglink(&self, repository: &str, name: &str) -> Answer {
        match self.node(repository, None, name) {
            Some(Node::Link { target, .. }) if target.contains("/.tag-") => {
                Answer::json(format!("{{\"target\": {}}}", quoted(&shown(target))))
            }
            _ => Answer::no_source(),
        }
    }

    fn light(&self, repository: &str, name: &str) -> Answer {
        let Some(node) = self.node(repository, None, name) else {
            return Answer::no_source();
        };
        let (kind, link) = match node {
            Node::Link { target, mtime } => ("symlink", Some((target, *mtime))),
            Node::File { .. } => ("regular", None),
            Node::Tag(_) => return Answer::no_source(),
        };
        let (size, updated, md5) = match (self.file(repository, None, name), link) {
            (Some((content, mtime)), _) => {
                (content.len(), mtime, quoted(&Md5::of(content).to_string()))
            }
            (None, Some((target, mtime))) => (target.len(), mtime, "null".to_owned()),
            (None, None) => return Answer::no_source(),
        };
        let link = link.map_or_else(String::new, |(target, mtime)| {
            format!(", \"linktime\": {mtime}, \"target\": {}", quoted(target))
        });
        Answer::json(format!(
            "{{\"name\": {}, \"size\": {size}, \"updated\": {updated}, \"type\": \"{kind}\", \
             \"md5\": {md5}{link}}}",
            quoted(name)
        ))
    }

    fn known(
        &self,
        repository: &str,
        name: &str,
        dangling: &'static str,
        pick: impl Fn(&KnownFlist) -> Option<Bytes>,
    ) -> Option<Answer> {
        if self.node(repository, None, name).is_none() {
            return Some(Answer::no_source());
        }
        let body = match self.file(repository, None, name) {
            Some((content, _)) => pick(self.known.get(&Md5::of(content).to_string())?)?,
            None => Bytes::from_static(dangling.as_bytes()),
        };
        Some(Answer::new(200, "application/json", body))
    }

    fn download(&self, repository: &str, tag: Option<&str>, name: &str) -> Answer {
        let Some((content, mtime)) = self.file(repository, tag, name) else {
            return Answer::not_found();
        };
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b));
        let shown = if plain { name.to_owned() } else { quoted(name) };
        let modified = UNIX_EPOCH + Duration::from_secs(mtime.max(0) as u64);
        let mut answer = Answer::new(200, "application/octet-stream", content.clone());
        let path = format!(
            "{repository}/{}{name}",
            tag.map_or(String::new(), |t| format!("{t}/"))
        );
        answer.headers.extend([
            (
                "Content-Disposition".into(),
                format!("inline; filename={shown}"),
            ),
            ("Last-Modified".into(), httpdate::fmt_http_date(modified)),
            (
                "ETag".into(),
                format!(
                    "\"{mtime}.0-{}-{}\"",
                    content.len(),
                    adler32(path.as_bytes())
                ),
            ),
            ("Accept-Ranges".into(), "bytes".into()),
        ]);
        answer
    }

    fn node(&self, repository: &str, tag: Option<&str>, name: &str) -> Option<&Node> {
        let mut folder = self.users.repositories.get(repository)?;
        if let Some(tag) = tag {
            let Node::Tag(inner) = folder.nodes.get(tag)? else {
                return None;
            };
            folder = inner;
        }
        folder.nodes.get(name)
    }

    fn file(&self, repository: &str, tag: Option<&str>, name: &str) -> Option<(&Bytes, i64)> {
        match self.node(repository, tag, name)? {
            Node::File { content, mtime } => Some((content, *mtime)),
            Node::Link { target, .. } => match self.users.resolve(repository, tag, target)? {
                Target::File(content, mtime) => Some((content, mtime)),
                Target::Tag(_) => None,
            },
            Node::Tag(_) => None,
        }
    }
}

/// A link's target as the listings write it: without leading `..`, tags as `repo/tags/TAG`.
fn shown(target: &str) -> String {
    target.trim_start_matches("../").replace("/.tag-", "/tags/")
}

fn entry(name: &str, size: usize, updated: i64, kind: &str, link: Option<(i64, &str)>) -> String {
    let (linktime, target) = link.map_or_else(Default::default, |(linktime, target)| {
        (
            format!("\"linktime\": {linktime}, "),
            format!(", \"target\": {}", quoted(target)),
        )
    });
    format!(
        "{{\"name\": {}, \"size\": \"{:.2} KB\", \"updated\": {updated}, {linktime}\"type\": \
         \"{kind}\"{target}}}",
        quoted(name),
        size as f64 / 1024.0
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn the_catalogue_gives_what_was_recorded() {
        let users = Users::of_tar(&fixtures::users_tar());
        let answers = Answers::recorded(users, &fixtures::exchanges());
        for exchange in fixtures::exchanges() {
            let path = &exchange.path;
            let mut rendered = answers
                .render(path)
                .unwrap_or_else(|| panic!("{path}: no such endpoint"));
            let mut recorded = answers.get(path).expect("recorded");
            for answer in [&mut rendered, &mut recorded] {
                // It has a checksum of the path on the recorded machine.
                answer.headers.retain(|(name, _)| name != "ETag");
                answer.headers.sort();
            }
            assert_eq!(
                String::from_utf8_lossy(&rendered.body),
                String::from_utf8_lossy(&recorded.body),
                "{path}"
            );
            assert_eq!(rendered, recorded, "{path}");
        }
    }
}
