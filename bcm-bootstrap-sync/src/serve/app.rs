//! From a request to its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bcm_core::serve::body::Content;
use bcm_core::serve::rendered::{HTML, Rendered};
use bcm_core::serve::response::{self, Asked};
use bcm_core::serve::workers::Workers;
use hyper::{Method, Request, Response, StatusCode};

use super::options::{Mac, Provision, ServeOptions};
use super::pages;
use super::route::Route;
use super::snapshot::{Snapshot, Watch};
use crate::image::{Media, Prebuilt};
use crate::ipxe::ServerUrl;
use crate::run_mode::RunModes;

/// Folders and files looked at at the same time.
const WORKERS: usize = 16;
/// What this server answers.
pub(super) const METHODS: &str = "GET, HEAD";

/// Everything that answers need.
#[derive(Debug)]
pub(super) struct App {
    pub(super) watch: Watch,
    pub(super) workers: Workers,
    pub(super) modes: RunModes,
    pub(super) boot_url: Option<ServerUrl>,
    pub(super) provision: BTreeMap<Mac, Provision>,
    pub(super) upstream: Option<String>,
    pub(super) media: Media,
    pub(super) metrics_apart: bool,
    pub(super) requests: Requests,
}

/// How many requests there were, by the first digit of their answers' status.
#[derive(Debug, Default)]
pub(super) struct Requests([AtomicU64; 6]);

impl Requests {
    fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).min(5);
        self.0[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn of_class(&self, class: usize) -> u64 {
        self.0[class.min(5)].load(Ordering::Relaxed)
    }
}

impl App {
    /// Blocks.
    pub(super) fn new(options: ServeOptions) -> Self {
        Self {
            watch: Watch::new(options.layout, options.refresh),
            workers: Workers::new(WORKERS),
            modes: options.modes,
            boot_url: options.boot_url,
            provision: options.provision,
            upstream: options.upstream,
            metrics_apart: options.metrics_apart,
            media: Media::new(Prebuilt::read(&options.ipxe)),
            requests: Requests::default(),
        }
    }

    /// Answers one request.
    pub(super) async fn answer_request<B>(
        &self,
        request: &Request<B>,
        has_body: bool,
    ) -> Response<Content> {
        let asked = Asked::of(request);
        let response = if ![Method::GET, Method::HEAD].contains(asked.method) {
            response::and_close(response::method_not_allowed(&asked, METHODS))
        } else if has_body {
            response::and_close(response::body_refused(&asked))
        } else {
            self.answer_from(&asked).await
        };
        self.requests.count(response.status());
        response
    }

    async fn answer_from(&self, asked: &Asked<'_>) -> Response<Content> {
        let route = Route::of(asked.path);
        let taken = self.watch.snapshot(&self.workers).await;
        if route == Route::Health {
            return self.health(asked, &taken);
        }
        let snapshot = match taken {
            Ok(snapshot) => snapshot,
            Err(message) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return response::failed(asked, status, &message, || pages::failure(&message));
            }
        };
        if let (Some(message), Route::ApiImages | Route::Images) = (snapshot.unready, &route) {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return response::failed(asked, status, message, || pages::failure(message));
        }
        match route {
            Route::ApiImages => response::rendered(asked, &snapshot.images),
            Route::Metrics if !self.metrics_apart => self.metrics(asked, &snapshot),
            Route::Kernel(name) => {
                self.file(asked, name.as_str(), snapshot, |now| now.kernel(&name))
                    .await
            }
            Route::Link(mode) => {
                self.file(asked, &mode.link(), snapshot, |now| now.mode(&mode))
                    .await
            }
            Route::Ipxe(words) => self.script(asked, &snapshot, words),
            Route::Provision(mac) => self.provisioned(asked, &snapshot, mac),
            Route::Media(medium, carries) => self.medium(asked, &snapshot, medium, carries).await,
            Route::Home | Route::Images | Route::Generate | Route::Expert => {
                self.page(asked, &route, &snapshot)
            }
            Route::NotFound | Route::Health | Route::Metrics => not_found(asked),
        }
    }

    fn page(
        &self,
        asked: &Asked<'_>,
        route: &Route,
        snapshot: &Arc<Snapshot>,
    ) -> Response<Content> {
        let page = match route {
            Route::Images => pages::images(snapshot, &self.modes),
            Route::Generate => pages::generate::page(self, asked, snapshot, false),
            Route::Expert => pages::generate::page(self, asked, snapshot, true),
            _ => pages::home(snapshot, &self.modes, self.upstream.as_deref()),
        };
        let page = Rendered::new(HTML, page, asked.wants_gzip());
        response::rendered(asked, &page)
    }
}

/// 404.
pub(super) fn not_found(asked: &Asked<'_>) -> Response<Content> {
    response::not_found(asked, || pages::not_found(asked.path))
}
