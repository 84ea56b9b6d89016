//! The answers that are not pages: kernels, scripts, media, health and metrics.

use std::pin::Pin;
use std::sync::Arc;

use bcm_core::serve::MetricsSource;
use bcm_core::serve::body::{Content, Pieces};
use bcm_core::serve::condition::Validators;
use bcm_core::serve::file::{self, Download, OpenFile, Source};
use bcm_core::serve::metrics::{self, Kind, Metrics};
use bcm_core::serve::response::{self, Asked};
use hyper::header::{HOST, HeaderName};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::app::{App, not_found};
use super::options::Mac;
use super::pages;
use super::route::{Carries, Refusal, Words};
use super::snapshot::{Found, Snapshot};
use crate::image::{self, Medium, Script};
use crate::ipxe::{self, BootScript, Boots, ServerUrl};
use crate::local;

const BINARY: &str = "application/octet-stream";
/// What a proxy says of the way that a request came.
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The second name of a server that is reached by HTTPS, for who cannot do that.
const UNSECURE: &str = "unsecure.";

/// How often a kernel is looked for again because it was replaced meanwhile.
const ATTEMPTS: usize = 4;

/// Why there is no script.
pub(super) struct NoScript(StatusCode, String);

impl App {
    /// A kernel, under the name that it was asked for. When the file is not the one that `snapshot` saw,
    /// it is looked for again in a newer one.
    pub(super) async fn file(
        &self,
        asked: &Asked<'_>,
        name: &str,
        mut snapshot: Arc<Snapshot>,
        find: impl Fn(&Snapshot) -> Option<Found> + Sync,
    ) -> Response<Content> {
        let mut reason = "it changes all the time".to_owned();
        for _ in 0..ATTEMPTS {
            let Some(found) = find(&snapshot) else {
                return not_found(asked);
            };
            let path = self.watch.layout().kernels().join(&found.path);
            match self.workers.run(move || local::open(&path)).await {
                Ok(Ok((file, identity))) if identity == found.identity => {
                    return file::download(asked, &kernel(name, file, found));
                }
                Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                    reason = error.to_string();
                    break;
                }
                Err(error) => {
                    reason = error.to_string();
                    break;
                }
                // Replaced or removed since the folder was looked at.
                Ok(_) => match self.watch.look(&self.workers).await {
                    Ok(newer) => snapshot = newer,
                    Err(why) => {
                        reason = why;
                        break;
                    }
                },
            }
        }
        tracing::warn!(path = asked.path, reason, "not answered");
        let message = "the kernel cannot be read";
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        response::failed(asked, status, message, || pages::failure(message))
    }

    /// Where a script that is asked for now finds this server.
    pub(super) fn server_url(&self, asked: &Asked<'_>) -> Option<ServerUrl> {
        if let Some(url) = &self.boot_url {
            return Some(url.clone());
        }
        let text = |name| asked.headers.get(name)?.to_str().ok();
        let url = ServerUrl::of_host(text(HOST)?)?;
        let by_tls = text(FORWARDED).is_some_and(|way| way.eq_ignore_ascii_case("https"));
        let host = url.authority();
        if by_tls && !host.starts_with(UNSECURE) && !host.starts_with('[') {
            let host = host.split(':').next().unwrap_or(host);
            return ServerUrl::of_host(&format!("{UNSECURE}{host}"));
        }
        Some(url)
    }

    /// The script of these words.
    pub(super) fn boot_script(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        words: Result<Words, Refusal>,
    ) -> Result<BootScript, NoScript> {
        let no = |status, text: &str| NoScript(status, text.to_owned());
        let unknown = || no(StatusCode::UNAUTHORIZED, "there is no such run mode");
        let missing = || no(StatusCode::NOT_FOUND, "there is no such kernel");
        let words = words.map_err(|refusal| match refusal {
            Refusal::Mode => unknown(),
            Refusal::Kernel => missing(),
            Refusal::Word(why) => NoScript(StatusCode::BAD_REQUEST, why),
            Refusal::Path => no(StatusCode::NOT_FOUND, "there is no such script"),
        })?;
        let title = self.modes.title(&words.mode).ok_or_else(unknown)?;
        let found = match &words.kernel {
            Some(name) => snapshot.kernel(name),
            None => snapshot.mode(&words.mode),
        };
        found.ok_or_else(missing)?;
        let server = self.server_url(asked);
        let no_host = || {
            no(
                StatusCode::BAD_REQUEST,
                "the request does not say a usable host",
            )
        };
        Ok(BootScript {
            server: server.ok_or_else(no_host)?,
            mode: words.mode,
            title: title.to_owned(),
            farm: words.farm,
            extra: words.extra,
            boots: words.kernel.map_or(Boots::RunMode, Boots::Kernel),
        })
    }

    /// `/ipxe/R…`
    pub(super) fn script(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        words: Result<Words, Refusal>,
    ) -> Response<Content> {
        match self.boot_script(asked, snapshot, words) {
            Ok(script) => response::plain_text(asked, script.render()),
            Err(no) => refused(asked, &no),
        }
    }

    /// `/provision/MAC`
    pub(super) fn provisioned(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        mac: Mac,
    ) -> Response<Content> {
        match self.provision.get(&mac) {
            Some(provision) => self.script(asked, snapshot, Ok(provision.0.clone())),
            None => {
                let text = format!("nothing is registered for {mac}");
                refused(asked, &NoScript(StatusCode::NOT_FOUND, text))
            }
        }
    }

    /// A boot medium.
    pub(super) async fn medium(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        medium: Medium,
        carries: Carries,
    ) -> Response<Content> {
        let server = || {
            let text = "the request does not say a usable host".to_owned();
            let no = NoScript(StatusCode::BAD_REQUEST, text);
            self.server_url(asked).ok_or(no)
        };
        let mode = |script: BootScript, text: String| (script.mode.to_string(), text);
        let script = match carries {
            Carries::Script(words) => self.boot_script(asked, snapshot, words).map(|script| {
                let text = script.render();
                mode(script, text)
            }),
            Carries::Debug(words) => self.boot_script(asked, snapshot, words).map(|script| {
                let text = script.render_debug();
                mode(script, text)
            }),
            Carries::Generic => server().map(|server| {
                let text = ipxe::generic(&server, &self.modes);
                ("generic".to_owned(), text)
            }),
            Carries::Provision => {
                server().map(|server| ("provision".to_owned(), ipxe::provision(&server)))
            }
        };
        let (what, text) = match script {
            Ok(script) => script,
            Err(no) => return refused(asked, &no),
        };
        let made_of = format!("{}\n{text}", self.media.version());
        let tag = bcm_core::digest::Md5::of(made_of.as_bytes());
        let made = Script::new(text).and_then(|script| self.media.make(medium, &script));
        let content = match made {
            Ok(content) => content,
            Err(error) => {
                let text = bcm_core::cause::chain(&error);
                tracing::warn!(path = asked.path, error = text, "no boot medium");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return response::failed(asked, status, &text, || pages::failure(&text));
            }
        };
        let name = medium.file_name(&what);
        let download = Download {
            name: &name,
            content_type: BINARY,
            validators: Validators {
                // The same script and iPXE make the same bytes.
                etag: format!("\"{}-{tag}-{:x}\"", medium.name(), content.len()),
                modified: None,
            },
            source: MediumBytes(content),
        };
        file::download(asked, &download)
    }

    /// `/healthz`: the folder can be read, a sync has ended, and every run mode that has a link has a kernel.
    pub(super) fn health(
        &self,
        asked: &Asked<'_>,
        taken: &Result<Arc<Snapshot>, String>,
    ) -> Response<Content> {
        #[derive(Serialize)]
        struct Health<'a> {
            status: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<&'a str>,
            kernels: usize,
            run_modes: Vec<&'a str>,
            last_success: Option<i64>,
        }
        let snapshot = taken.as_ref().ok();
        let dangling = snapshot.is_some_and(|snapshot| {
            let noted = snapshot.manifest.links.keys();
            let mut modes = snapshot.local.links.keys().chain(noted);
            modes.any(|mode| snapshot.mode(mode).is_none())
        });
        let message = match taken {
            Err(message) => Some(message.as_str()),
            Ok(snapshot) if snapshot.unready.is_some() => snapshot.unready,
            Ok(_) if dangling => Some("a run mode leads to a kernel that is not there"),
            Ok(_) => None,
        };
        let health = Health {
            status: if message.is_none() { "ok" } else { "error" },
            message,
            kernels: snapshot.map_or(0, |snapshot| snapshot.local.kernels.len()),
            run_modes: snapshot
                .iter()
                .flat_map(|snapshot| snapshot.local.links.keys())
                .map(crate::run_mode::RunMode::as_str)
                .collect(),
            last_success: snapshot.and_then(|snapshot| snapshot.manifest.last_success),
        };
        let status = match message {
            None => StatusCode::OK,
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let bytes = bcm_core::serve::json::to_bytes(&health).unwrap_or_default();
        response::json_status(asked, status, bytes)
    }

    /// `/metrics`
    pub(super) fn metrics(&self, asked: &Asked<'_>, snapshot: &Snapshot) -> Response<Content> {
        let text = self.all_metrics(snapshot);
        let builder = response::start(StatusCode::OK);
        response::text(builder, asked, metrics::CONTENT_TYPE, text)
    }

    fn all_metrics(&self, snapshot: &Snapshot) -> String {
        let mut all = Metrics::default();
        let kernels = &snapshot.local.kernels;
        all.single(
            "bcm_bootstrap_kernels",
            Kind::Gauge,
            "Kernels held.",
            kernels.len(),
        );
        let bytes: u64 = kernels.values().map(|identity| identity.size).sum();
        let name = "bcm_bootstrap_kernel_bytes";
        all.single(name, Kind::Gauge, "Bytes of all kernels together.", bytes);
        let name = "bcm_bootstrap_run_mode_served";
        all.family(name, Kind::Gauge, "Whether a run mode has a kernel.");
        for (mode, _) in self.modes.iter() {
            let served = u8::from(snapshot.mode(mode).is_some());
            all.sample(name, &[("mode", mode.as_str())], served);
        }
        let times = [
            ("success", snapshot.manifest.last_success),
            ("attempt", snapshot.manifest.last_attempt),
        ];
        let name = "bcm_bootstrap_last_sync_timestamp_seconds";
        all.family(name, Kind::Gauge, "When a sync last ran to its end.");
        for (what, time) in times {
            if let Some(time) = time {
                all.sample(name, &[("outcome", what)], time);
            }
        }
        let name = "bcm_bootstrap_http_requests_total";
        all.family(name, Kind::Counter, "Requests answered.");
        for class in 2..=5 {
            let label = format!("{class}xx");
            all.sample(name, &[("status", &label)], self.requests.of_class(class));
        }
        all.into_text()
    }
}

impl MetricsSource for App {
    fn metrics_text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async {
            match self.watch.snapshot(&self.workers).await {
                Ok(snapshot) => self.all_metrics(&snapshot),
                Err(failure) => {
                    tracing::warn!(%failure, "the kernels' metrics cannot be told");
                    String::new()
                }
            }
        })
    }
}

fn kernel(name: &str, file: std::fs::File, found: Found) -> Download<'_, OpenFile> {
    let identity = found.identity;
    Download {
        name,
        content_type: BINARY,
        validators: Validators {
            etag: found.etag,
            modified: u64::try_from(identity.modified.seconds).ok(),
        },
        source: OpenFile {
            file: Arc::new(file),
            identity,
        },
    }
}

fn refused(asked: &Asked<'_>, no: &NoScript) -> Response<Content> {
    let NoScript(status, text) = no;
    let builder = response::start(*status);
    response::text(builder, asked, "text/plain", format!("{text}\n"))
}

/// The bytes of a medium, put together as they are sent.
struct MediumBytes(image::Content);

impl Source for MediumBytes {
    fn size(&self) -> u64 {
        self.0.len()
    }

    fn part(&self, first: u64, end: u64) -> Content {
        Content::Pieces(Pieces::new(end - first, self.0.range(first, end)))
    }
}
