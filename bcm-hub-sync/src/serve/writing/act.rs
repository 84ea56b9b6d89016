//! Does what was asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bcm_core::names::{EntryName, RepoName};
use bcm_core::progress::NoProgress;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::super::app::App;
use super::super::body::Content as Answer;
use super::super::response::Asked;
use super::refusal::Refusal;
use super::route::Mine;
use super::{Authorised, Writing, dangling, success, takes_body, upload};
use crate::catalog::{FlistRef, Item, TagRef};
use crate::flist::{Attributes, PackOptions};
use crate::publishing::{
    Content, Files, PublishSettings, Published, PublishingError, SUFFIX, Workspace, archive,
    flist_name,
};

/// The longest list of flists to be merged, in bytes.
const MERGE_BYTES: usize = 64 << 10;
/// How long that list may take.
const MERGE_TIMEOUT: Duration = Duration::from_secs(30);
/// The ends of archives' names.
const ARCHIVES: [&str; 3] = [".tar.gz", ".tgz", ".tar"];
/// Metadata that is the hub's own matter, or that is looked for in the tree.
const PROTECTED: [&str; 6] = [
    "readme",
    "backend",
    "entrypoint",
    "environ",
    "port",
    "volume",
];

/// What the original hub answers with.
#[derive(Serialize)]
#[serde(untagged)]
enum Payload {
    /// An upload.
    Stored { name: EntryName, files: Files },
    /// A copy.
    Promoted { source: Place, destination: Place },
}

/// An flist, as the original hub names it there.
#[derive(Serialize)]
struct Place {
    username: RepoName,
    filename: EntryName,
}

impl From<FlistRef> for Place {
    fn from(place: FlistRef) -> Self {
        Self {
            username: place.repository,
            filename: place.name,
        }
    }
}

/// What an upload becomes, while it is on its way: removed when it is dropped.
struct Upload {
    path: PathBuf,
    _workspace: Arc<Workspace>,
    /// One of so many at the same time, until it is published.
    _place: OwnedSemaphorePermit,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // What stays goes with the folder of this process.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir_all(tree_of(&self.path));
    }
}

/// Where the archive `path` is unpacked.
fn tree_of(path: &Path) -> PathBuf {
    path.with_extension("tree")
}

fn place(repository: &RepoName, name: EntryName) -> FlistRef {
    FlistRef {
        repository: repository.clone(),
        name,
    }
}

impl Writing {
    pub(super) async fn act(
        &self,
        app: &App,
        asked: &Asked<'_>,
        parts: &Parts,
        body: Incoming,
        who: Authorised,
        mine: Mine,
    ) -> Result<Response<Answer>, Refusal> {
        if !body.is_end_stream() && !takes_body(&mine, &parts.method) {
            let text = "this request has no body";
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        let me = who.repository;
        let dangling = dangling(asked);
        // To be told once it is done.
        let (token, what) = (who.token.id, format!("{mine:?}"));
        let done = |payload: Option<Payload>| {
            tracing::info!(token, repository = %me, what, "published");
            Ok(success(asked, payload))
        };
        match mine {
            Mine::Myself => {
                #[derive(Serialize)]
                struct Myself {
                    username: RepoName,
                    repositories: Vec<RepoName>,
                }
                let myself = Myself {
                    username: me,
                    repositories: who.token.repositories,
                };
                Ok(success(asked, Some(myself)))
            }
            Mine::Inspect { name, info } => Ok(app.inspect(asked, place(&me, name), info).await),
            Mine::Delete { name } => {
                let home = me.clone();
                self.write_names(app, move |session| {
                    // Hubs take an flist's name without its suffix, too.
                    let at = session.meant(&place(&home, name));
                    session.remove(&Item::Entry(at), dangling)
                })
                .await?;
                done(None)
            }
            Mine::Link { source, link } => {
                let (link, to) = (place(&me, link), place(&me, source));
                self.link(app, link, to).await?;
                done(None)
            }
            Mine::CrossLink {
                link,
                repository,
                source,
            } => {
                let (link, to) = (place(&me, link), place(&repository, source));
                self.link(app, link, to).await?;
                done(None)
            }
            Mine::CrossTag {
                link,
                repository,
                tag,
            } => {
                let (link, to) = (place(&me, link), TagRef { repository, tag });
                self.write_names(app, move |session| session.link_to_tag(&link, &to, true))
                    .await?;
                done(None)
            }
            Mine::Tag {
                tag,
                link,
                repository,
                source,
            } => {
                let (repository_, to) = (me.clone(), place(&repository, source));
                let tag = TagRef {
                    repository: repository_,
                    tag,
                };
                self.write_names(app, move |session| session.tag(&tag, &link, &to, true))
                    .await?;
                done(None)
            }
            Mine::Untag { tag, link } => {
                let repository = me.clone();
                let tag = TagRef { repository, tag };
                self.write_names(app, move |session| session.untag(&tag, &link, dangling))
                    .await?;
                done(None)
            }
            Mine::Rename { source, to } => {
                let from = place(&me, source);
                self.write_names(app, move |session| {
                    session.rename(&from, &to, true, dangling)
                })
                .await?;
                done(None)
            }
            Mine::Promote {
                repository,
                source,
                name,
            } => {
                let (from, to) = (place(&repository, source), place(&me, name));
                let payload = Payload::Promoted {
                    source: from.clone().into(),
                    destination: to.clone().into(),
                };
                self.write(app, move |session, store| {
                    session.promote(&from, &to, store, true)
                })
                .await?;
                done(Some(payload))
            }
            Mine::Merge { target } => {
                let sources = sources(body).await?;
                let (to, backend) = (place(&me, target), self.options.backend.clone());
                let published = self.write(app, move |session, store| {
                    session.merge(&sources, &to, store, backend.as_ref(), true)
                });
                done(Some(stored(published.await?)))
            }
            Mine::UploadFlist => {
                let (uploaded, file) = self.received(parts, body).await?;
                if !uploaded.name.ends_with(SUFFIX) {
                    return Err(Refusal::bad(
                        "this file is not allowed: its name ends in .flist",
                    ));
                }
                let to = place(&me, named(&uploaded.name)?);
                let published = self.write(app, move |session, store| {
                    let content = Content::Flist(&file.path);
                    let published = publish(session, store, &to, content, PackOptions::default());
                    published.map_err(|error| error.about(&file.path, &to))
                });
                done(Some(stored(published.await?)))
            }
            Mine::Upload => {
                let (uploaded, file) = self.received(parts, body).await?;
                let stem = ARCHIVES
                    .iter()
                    .find_map(|end| uploaded.name.strip_suffix(end));
                let stem = stem.ok_or_else(|| {
                    Refusal::bad("this file is not allowed: its name ends in .tar.gz, .tgz or .tar")
                })?;
                let to = place(&me, named(stem)?);
                let (file, attributes) = self.unpacked(app, file).await?;
                let mut pack = PackOptions {
                    backend: self.options.backend.clone(),
                    attributes: Some(Arc::new(attributes)),
                    ..PackOptions::default()
                };
                let wanted = uploaded.metadata.into_iter();
                pack.metadata = wanted
                    .filter(|(key, _)| !PROTECTED.contains(&key.as_str()))
                    .collect();
                let published = self.write(app, move |session, store| {
                    let tree = tree_of(&file.path);
                    publish(session, store, &to, Content::Folder(&tree), pack)
                });
                done(Some(stored(published.await?)))
            }
        }
    }

    /// A link that is there is turned, as the original hub does.
    async fn link(&self, app: &App, link: FlistRef, to: FlistRef) -> Result<bool, Refusal> {
        self.write_names(app, move |session| session.link(&link, &to, true))
            .await
    }

    /// Takes an upload.
    async fn received(
        &self,
        parts: &Parts,
        body: Incoming,
    ) -> Result<(upload::Uploaded, Upload), Refusal> {
        let Ok(_place) = Arc::clone(&self.uploads).try_acquire_owned() else {
            let text = "too many uploads at the same time; try again in a while";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text));
        };
        let (_workspace, path) = self.workspace()?;
        let file = Upload {
            path,
            _workspace,
            _place,
        };
        let uploaded = upload::receive(&parts.headers, body, &file.path, &self.options).await?;
        Ok((uploaded, file))
    }

    /// Unpacks an uploaded archive.
    async fn unpacked(&self, app: &App, file: Upload) -> Result<(Upload, Attributes), Refusal> {
        let limits = self.options.archive.clone();
        let unpacking = app.workers.run(move || {
            let tree = tree_of(&file.path);
            std::fs::create_dir(&tree)
                .map_err(|error| Refusal::inner("the archive could not be unpacked", &error))?;
            let attributes = archive::unpack(&file.path, &tree, &limits, &CancellationToken::new());
            // Its room may be needed for the blocks.
            let _ = std::fs::remove_file(&file.path);
            Ok::<_, Refusal>((file, attributes?))
        });
        unpacking.await?
    }
}

fn stored(published: Published) -> Payload {
    Payload::Stored {
        name: published.place.name,
        files: published.files,
    }
}

fn publish(
    session: &mut crate::publishing::Session,
    store: &dyn crate::store::BlockStore,
    to: &FlistRef,
    content: Content<'_>,
    pack: PackOptions,
) -> Result<Published, PublishingError> {
    let settings = PublishSettings {
        replace: true,
        pack,
    };
    let cancel = CancellationToken::new();
    session.publish(to, content, store, &settings, &NoProgress, &cancel)
}

/// The name of an flist, or why it is none.
fn named(name: &str) -> Result<EntryName, PublishingError> {
    flist_name(name).map_err(|error| PublishingError::Refused {
        what: "the file".to_owned(),
        reason: error.to_string(),
    })
}

impl PublishingError {
    /// The same about `place` where it is about the file `path`, which is nobody's business.
    fn about(self, path: &Path, place: &FlistRef) -> Self {
        let path = path.display().to_string();
        let name = |what: String| what.replace(&path, &place.to_string());
        match self {
            Self::Refused { what, reason } => Self::Refused {
                what: name(what),
                reason: reason.replace(&path, &place.to_string()),
            },
            Self::BlocksMissing { what, count, first } => Self::BlocksMissing {
                what: name(what),
                count,
                first,
            },
            other => other,
        }
    }
}

/// The flists that are to be merged: `["repository/name", …]`.
async fn sources(body: Incoming) -> Result<Vec<FlistRef>, Refusal> {
    let malformed = || Refusal::bad("malformed json request: a list of repository/name is needed");
    let read = tokio::time::timeout(MERGE_TIMEOUT, Limited::new(body, MERGE_BYTES).collect()).await;
    let body =
        read.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request is too slow"))?;
    let body = body.map_err(|_| malformed())?.to_bytes();
    let names: Vec<String> = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let one = |name: String| {
        let (repository, name) = name.split_once('/').ok_or_else(malformed)?;
        let refused = |error| Refusal::bad(format!("the name is refused: {error}"));
        Ok(FlistRef {
            repository: RepoName::new(repository).map_err(refused)?,
            name: flist_name(name).map_err(refused)?,
        })
    };
    names.into_iter().map(one).collect()
}
