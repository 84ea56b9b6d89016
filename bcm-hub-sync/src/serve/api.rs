//! The answers of the JSON routes that are not made beforehand.

use std::sync::Arc;

use bcm_core::names::{EntryName, RepoName};
use hyper::Response;
use serde::Serialize;

use super::app::App;
use super::body::Content;
use super::failure::{Failure, Missing};
use super::json;
use super::listing::raw_target;
use super::rendered::{JSON, Rendered};
use super::response::{self, Asked};
use super::snapshot::{Found, Snapshot};
use crate::catalog::{Entry, FlistRef};

/// What hubs say where the repository is not there.
const NO_USER: Missing = Missing::Json("user not found");
/// What hubs say where the flist is not there.
pub(super) const NO_SOURCE: Missing = Missing::Json("source not found");

/// An entry of a repository by the name that was asked for.
pub(super) struct Asset<'a> {
    pub(super) entry: &'a Entry,
    /// Where it leads; none where it dangles.
    pub(super) found: Option<Found<'a>>,
}

/// Finds an flist or a link to one.
pub(super) fn asset<'a>(
    snapshot: &'a Snapshot,
    repository: &RepoName,
    name: &EntryName,
) -> Result<Asset<'a>, Failure> {
    if snapshot.repository(repository).is_none() {
        return Err(Failure::NotFound(NO_USER));
    }
    let entry = snapshot
        .entry(repository, name)
        .ok_or(Failure::NotFound(NO_SOURCE))?;
    let reference = FlistRef {
        repository: repository.clone(),
        name: name.clone(),
    };
    let found = snapshot.follow(&reference);
    Ok(Asset { entry, found })
}

fn answer(asked: &Asked<'_>, value: &impl Serialize) -> Response<Content> {
    let bytes = json::to_bytes(value).unwrap_or_default();
    response::rendered(asked, &Rendered::new(JSON, bytes, asked.wants_gzip()))
}

/// Any listing.
pub(super) fn listing(asked: &Asked<'_>, entries: &impl Serialize) -> Response<Content> {
    answer(asked, entries)
}

impl App {
    /// `/api/flist/REPO/FLIST/light`, and the method `INFO`.
    pub(super) async fn light(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        repository: &RepoName,
        name: &EntryName,
    ) -> Result<Response<Content>, Failure> {
        #[derive(Serialize)]
        struct Light<'a> {
            name: &'a EntryName,
            size: u64,
            updated: i64,
            #[serde(rename = "type")]
            kind: &'static str,
            md5: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            linktime: Option<i64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            target: Option<String>,
        }
        let Asset { entry, found } = asset(snapshot, repository, name)?;
        let (kind, linktime, target) = match entry {
            Entry::Regular(_) => ("regular", None, None),
            Entry::Symlink(link) => {
                let target = raw_target(&link.target, false);
                ("symlink", Some(link.linktime), Some(target))
            }
            Entry::TagLink(_) => return Err(Failure::NotFound(NO_SOURCE)),
        };
        let md5 = match &found {
            Some(found) => Some(self.checksums.of(found).await?.to_string()),
            None => None,
        };
        let link_size = target.as_ref().map_or(0, |target| target.len() as u64);
        Ok(answer(
            asked,
            &Light {
                name,
                size: found
                    .as_ref()
                    .map_or(link_size, |found| found.identity.size),
                updated: found
                    .as_ref()
                    .map_or(linktime.unwrap_or(0), |found| found.file.updated),
                kind,
                md5,
                linktime,
                target,
            },
        ))
    }

    /// `/api/flist/REPO/NAME/taglink`
    pub(super) fn tag_link(
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        repository: &RepoName,
        name: &EntryName,
    ) -> Result<Response<Content>, Failure> {
        #[derive(Serialize)]
        struct TagLink {
            target: String,
        }
        let target = match asset(snapshot, repository, name)?.entry {
            Entry::TagLink(link) => link.target.to_string(),
            // Hubs read any link here.
            Entry::Symlink(link) => link.target.to_string(),
            Entry::Regular(_) => return Err(Failure::NotALink),
        };
        Ok(answer(asked, &TagLink { target }))
    }

    /// `/api/flist/REPO/FLIST`
    pub(super) async fn contents(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        repository: &RepoName,
        name: &EntryName,
    ) -> Result<Response<Content>, Failure> {
        let Asset { entry, found } = asset(snapshot, repository, name)?;
        match (entry, found) {
            (Entry::TagLink(_), _) => Err(Failure::NotFound(NO_SOURCE)),
            // What hubs answer for a link that leads nowhere.
            (_, None) => Ok(answer(asked, &json::Json::Object(Vec::new()))),
            (_, Some(found)) => {
                let inspected = self.inspector.of(&found).await?;
                let gzip = asked.wants_gzip();
                let rendered = self
                    .workers
                    .run(move || inspected.contents_json(gzip))
                    .await?;
                Ok(response::rendered(asked, &rendered))
            }
        }
    }

    /// `/api/flist/REPO/FLIST/metadata`
    pub(super) async fn metadata(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        repository: &RepoName,
        name: &EntryName,
    ) -> Result<Response<Content>, Failure> {
        let Asset { entry, found } = asset(snapshot, repository, name)?;
        match (entry, found) {
            (Entry::TagLink(_), _) => Err(Failure::NotFound(NO_SOURCE)),
            (_, None) => Ok(answer(asked, &self.forced_backend)),
            (_, Some(found)) => {
                let inspected = self.inspector.of(&found).await?;
                Ok(answer(asked, &inspected.metadata))
            }
        }
    }
}

/// A taken snapshot, for the health check.
pub(super) fn health(
    asked: &Asked<'_>,
    snapshot: Option<&Arc<Snapshot>>,
    error: Option<&str>,
) -> Response<Content> {
    use hyper::StatusCode;
    #[derive(Serialize)]
    struct Health<'a> {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
        #[serde(flatten)]
        counts: Option<super::snapshot::Counts>,
    }
    let ready = snapshot.is_some_and(|snapshot| snapshot.is_ready());
    let healthy = ready && error.is_none();
    // The reason names paths of the machine, so it stays in the log.
    let message = match snapshot {
        Some(_) if error.is_none() => Failure::NothingYet.to_string(),
        _ => "the published tree cannot be read".to_owned(),
    };
    let value = Health {
        status: if healthy { "ok" } else { "error" },
        message: (!healthy).then_some(&message),
        counts: snapshot.map(|snapshot| snapshot.counts),
    };
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let bytes = json::to_bytes(&value).unwrap_or_default();
    response::json_status(asked, status, bytes)
}
