//! From a request to its answer.

use std::sync::Arc;

use hyper::body::Body;
use hyper::{Method, Request, Response, StatusCode};

use super::api::{self, NO_SOURCE};
use super::body::Content;
use super::checksums::Checksums;
use super::failure::{Failure, Missing};
use super::inspect::{ForcedBackend, Inspector};
use super::listing;
use super::metrics::{Answers, CountedStore};
use super::options::ServeOptions;
use super::pages;
use super::rendered::{HTML, Rendered};
use super::response::{self, Asked};
use super::route::Route;
use super::snapshot::Snapshot;
use super::watch::Watch;
use super::workers::Workers;
use super::writing::Writing;
use crate::catalog::FlistRef;
use crate::layout::Layout;

/// How often a request is answered anew because a file changed under it.
const ATTEMPTS: usize = 4;
/// Files opened and answers made at the same time.
const WORKERS: usize = 16;

/// Everything that answers need.
#[derive(Debug)]
pub(super) struct App {
    pub(super) watch: Arc<Watch>,
    pub(super) checksums: Arc<Checksums>,
    pub(super) inspector: Inspector,
    pub(super) workers: Workers,
    pub(super) forced_backend: ForcedBackend,
    pub(super) upstream: Option<String>,
    pub(super) layout: Layout,
    pub(super) store: Option<CountedStore>,
    pub(super) metrics_apart: bool,
    pub(super) answers: Answers,
    /// `None` for a mirror, which nobody on the network can change.
    pub(super) writing: Option<Writing>,
}

impl App {
    pub(super) fn new(options: &ServeOptions) -> Self {
        let layout = &options.layout;
        Self {
            watch: Arc::new(Watch::new(layout.clone(), options.refresh)),
            checksums: Arc::new(Checksums::new(layout.users())),
            inspector: Inspector::new(options),
            workers: Workers::new(WORKERS),
            forced_backend: ForcedBackend::new(&options.backend),
            upstream: options.upstream.clone(),
            layout: layout.clone(),
            store: options.store.clone(),
            metrics_apart: options.metrics_apart,
            answers: Answers::default(),
            writing: options
                .publishing
                .as_ref()
                .map(|publishing| Writing::new(options, publishing)),
        }
    }

    /// Answers one request.
    pub(super) async fn answer_request<B: Body>(&self, request: &Request<B>) -> Response<Content> {
        let asked = Asked::of(request);
        let has_body = !request.body().is_end_stream();
        let route = Route::of(asked.path);
        let inspects = matches!(route, Route::ApiContents(..) | Route::NoSuchFlist);
        if route == Route::ApiMe {
            let response = response::read_only(&asked);
            return if has_body {
                response::and_close(response)
            } else {
                response
            };
        }
        let info = inspects && asked.method.as_str() == "INFO";
        let allowed = if inspects {
            "GET, HEAD, INFO"
        } else {
            "GET, HEAD"
        };
        if !(info || [Method::GET, Method::HEAD].contains(asked.method)) {
            return response::and_close(response::method_not_allowed(&asked, allowed));
        }
        if has_body {
            return response::and_close(response::body_refused(&asked));
        }
        let route = match route {
            Route::ApiContents(repository, name) if info => Route::ApiLight(repository, name),
            route => route,
        };
        let snapshot = self.watch.snapshot().await;
        if route == Route::Health {
            return api::health(&asked, snapshot.as_ref(), self.watch.error().as_deref());
        }
        if route == Route::Metrics && !self.metrics_apart {
            let answered = self.metrics(&asked, snapshot).await;
            return answered.unwrap_or_else(|failure| failed(&asked, &failure));
        }
        let result = match snapshot {
            // People are told so on a page; what is never there is not there now.
            Some(snapshot)
                if snapshot.is_ready()
                    || matches!(route, Route::Home | Route::Metrics | Route::NotFound) =>
            {
                self.answer_from(&asked, &route, snapshot).await
            }
            Some(_) => Err(Failure::NothingYet),
            None => Err(Failure::NoTree),
        };
        result.unwrap_or_else(|failure| failed(&asked, &failure))
    }

    /// What is in the flist `place`, or `INFO` of it: what is asked of one's own repository.
    pub(super) async fn inspect(
        &self,
        asked: &Asked<'_>,
        place: FlistRef,
        info: bool,
    ) -> Response<Content> {
        let FlistRef { repository, name } = place;
        let route = match info {
            true => Route::ApiLight(repository, name),
            false => Route::ApiContents(repository, name),
        };
        let result = match self.watch.snapshot().await {
            Some(snapshot) => self.answer_from(asked, &route, snapshot).await,
            None => Err(Failure::NoTree),
        };
        result.unwrap_or_else(|failure| failed(asked, &failure))
    }

    /// Answers from one snapshot, or from a newer one if the disk has moved on.
    async fn answer_from(
        &self,
        asked: &Asked<'_>,
        route: &Route,
        mut snapshot: Arc<Snapshot>,
    ) -> Result<Response<Content>, Failure> {
        for _ in 1..ATTEMPTS {
            match self.route(asked, route, &snapshot).await {
                Err(Failure::Changed) => {
                    snapshot = self
                        .watch
                        .newer_than(&snapshot)
                        .await
                        .ok_or(Failure::NoTree)?;
                }
                result => return result,
            }
        }
        self.route(asked, route, &snapshot).await
    }

    async fn route(
        &self,
        asked: &Asked<'_>,
        route: &Route,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Response<Content>, Failure> {
        const NO_PAGE: Failure = Failure::NotFound(Missing::Page);
        let rendered = |rendered| Ok(response::rendered(asked, rendered));
        match route {
            Route::ApiRepositories => rendered(&snapshot.repositories),
            Route::ApiFlist => rendered(&snapshot.flist),
            Route::ApiFilesList => rendered(&snapshot.files_list),
            Route::ApiRepository(name) => {
                rendered(snapshot.repository_listing(name).ok_or(NO_PAGE)?)
            }
            Route::ApiTag(name, tag) => {
                let tag = snapshot.tag_of(name, tag).ok_or(NO_PAGE)?;
                Ok(api::listing(asked, &listing::tag(snapshot, name, tag)))
            }
            Route::ApiContents(repository, name) => {
                self.contents(asked, snapshot, repository, name).await
            }
            Route::ApiLight(repository, name) => {
                self.light(asked, snapshot, repository, name).await
            }
            Route::ApiMetadata(repository, name) => {
                self.metadata(asked, snapshot, repository, name).await
            }
            Route::ApiTagLink(repository, name) => {
                Self::tag_link(asked, snapshot, repository, name)
            }
            Route::Download(repository, name) => {
                let reference = FlistRef {
                    repository: repository.clone(),
                    name: name.clone(),
                };
                let found = snapshot.follow(&reference).ok_or(NO_PAGE)?;
                self.download(asked, name.as_str(), &found).await
            }
            Route::TagDownload(repository, tag, name) => {
                let tag = snapshot.tag_of(repository, tag).ok_or(NO_PAGE)?;
                let link = tag.links.get(name).ok_or(NO_PAGE)?;
                let target = link.target.resolve(repository);
                let found = snapshot.follow(&target).ok_or(NO_PAGE)?;
                self.download(asked, name.as_str(), &found).await
            }
            Route::Md5(repository, name) => {
                let reference = FlistRef {
                    repository: repository.clone(),
                    name: name.clone(),
                };
                let found = snapshot.follow(&reference).ok_or(NO_PAGE)?;
                let md5 = self.checksums.of(&found).await?;
                Ok(response::plain_text(asked, format!("{md5}\n")))
            }
            Route::FlistPage(repository, name) => {
                let page = self.flist_page(asked, snapshot, repository, name).await?;
                self.page(asked, move || page.render()).await
            }
            Route::Home | Route::Search | Route::Repository(_) | Route::Tag(..) => {
                let Some(page) = pages::Page::of(self, asked, route, snapshot) else {
                    return Err(NO_PAGE);
                };
                self.page(asked, move || page.render()).await
            }
            Route::NoSuchFlist => Err(Failure::NotFound(NO_SOURCE)),
            Route::NotFound | Route::Health | Route::Metrics | Route::ApiMe => Err(NO_PAGE),
        }
    }

    /// Renders a page off the async threads, for a long listing takes its time.
    async fn page(
        &self,
        asked: &Asked<'_>,
        render: impl FnOnce() -> String + Send + 'static,
    ) -> Result<Response<Content>, Failure> {
        let gzip = asked.wants_gzip();
        let page = move || Rendered::new(HTML, render(), gzip);
        Ok(response::rendered(asked, &self.workers.run(page).await?))
    }
}

fn failed(asked: &Asked<'_>, failure: &Failure) -> Response<Content> {
    match failure {
        Failure::NotFound(Missing::Page) => response::not_found(asked),
        Failure::NotFound(Missing::Json(message)) => {
            response::json_error(asked, StatusCode::NOT_FOUND, message)
        }
        Failure::NotALink => {
            response::json_error(asked, StatusCode::UNAUTHORIZED, &failure.to_string())
        }
        Failure::NoTree | Failure::NothingYet | Failure::Changed => {
            response::unavailable(asked, StatusCode::SERVICE_UNAVAILABLE, &failure.to_string())
        }
        Failure::Damaged { .. } | Failure::Io { .. } | Failure::Unfinished(_) => {
            let reason = std::error::Error::source(failure).map(ToString::to_string);
            tracing::warn!(path = asked.path, %failure, reason, "not answered");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            response::unavailable(asked, status, &failure.to_string())
        }
    }
}
