//! `/api/flist/me/…`: what holders of tokens publish in a hub that stands alone, by the original hub's
//! paths and in its words.
//!
//! - Before anything else, the token: whoever has none learns nothing, not even which paths there are.
//! - A token is good for repositories; "me" is the one, or of several the one that `?repository=` names.
//! - An upload goes into a file of a folder of its own, without the data folder's lock. That is held
//!   for the moment of the write, as is the block store; another writer is waited for a while, and then
//!   the answer is 503.

mod act;
mod options;
mod refusal;
mod route;
mod upload;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bcm_core::names::RepoName;
use bcm_core::serve::path::query_value;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::app::App;
use super::body::Content;
use super::json;
use super::options::ServeOptions;
use super::rendered::JSON;
use super::response::{self, Asked};
use crate::flist::Limits;
use crate::layout::Layout;
use crate::mode::Mode;
use crate::publishing::{PublishingError, Session, Workspace};
use crate::store::BlockStore;
use crate::tokens::{self, Token};

pub use options::{OpenStore, PublishOptions};
use refusal::Refusal;
use route::{Mine, Unknown};

/// What everybody is told whose token is none, is not known, was revoked or is over.
const NO_TOKEN: &str = "no valid token: send `Authorization: bearer TOKEN`";
/// The header that names the repository, beside the query.
const REPOSITORY: &str = "x-repository";
/// The pause before another writer is looked for again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What writes, where the hub stands alone.
#[derive(Debug)]
pub(super) struct Writing {
    layout: Layout,
    limits: Limits,
    options: PublishOptions,
    uploads: Arc<Semaphore>,
    /// Held while this process writes, so that its own requests wait in line.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Made when it is first needed.
    workspace: Mutex<Option<Arc<Workspace>>>,
    /// Counts the uploads, for their names.
    next: AtomicU64,
}

/// A request of somebody who may publish.
struct Authorised {
    token: Token,
    repository: RepoName,
}

impl Writing {
    pub(super) fn new(options: &ServeOptions, publishing: &PublishOptions) -> Self {
        Self {
            layout: options.layout.clone(),
            limits: options.flist_limits.clone(),
            uploads: Arc::new(Semaphore::new(publishing.uploads.max(1))),
            options: publishing.clone(),
            turn: Arc::default(),
            workspace: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// Answers one request below `/api/flist/me`.
    pub(super) async fn answer(&self, app: &App, request: Request<Incoming>) -> Response<Content> {
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        let asked = Asked {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
        };
        let answered = self.answered(app, &asked, &parts, body).await;
        let response = answered.unwrap_or_else(|refusal| {
            // The token is in a header, which is not logged; the path has only names.
            tracing::info!(
                method = %asked.method,
                path = asked.path,
                status = refusal.status.as_u16(),
                refusal.message,
                "not published"
            );
            refusal.into_response(&asked)
        });
        match has_body {
            // Whatever is left of it was not read.
            true => response::and_close(response),
            false => response,
        }
    }

    async fn answered(
        &self,
        app: &App,
        asked: &Asked<'_>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Content>, Refusal> {
        let layout = self.layout.clone();
        // It may have become a mirror again since this process was started.
        let mode = app.workers.run(move || Mode::of(&layout)).await?;
        let mode = mode.map_err(|error| Refusal::inner("what this hub is cannot be told", &error));
        if !mode?.is_writable() {
            return Ok(response::read_only(asked));
        }
        let token = self.token(app, asked).await?;
        let mine = match Mine::of(&parts.method, asked.path) {
            Ok(mine) => mine,
            Err(Unknown::Method(allowed)) => {
                let text = format!("this path answers {allowed}");
                let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text);
                let mut response = refusal.into_response(asked);
                response::set(&mut response, ALLOW, allowed);
                return Ok(response);
            }
            Err(Unknown::Name(error)) => {
                return Err(Refusal::bad(format!("the name is refused: {error}")));
            }
            Err(Unknown::Path) => {
                let text = "there is no such path";
                return Err(Refusal::new(StatusCode::NOT_FOUND, text));
            }
        };
        let repository = repository(&token, asked)?;
        let who = Authorised { token, repository };
        self.act(app, asked, parts, body, who, mine).await
    }

    /// The token of a request.
    async fn token(&self, app: &App, asked: &Asked<'_>) -> Result<Token, Refusal> {
        let refused = || Refusal::new(StatusCode::UNAUTHORIZED, NO_TOKEN);
        let mut values = asked.headers.get_all(AUTHORIZATION).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        let (scheme, text) = value.and_then(|v| v.split_once(' ')).ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") || values.next().is_some() {
            return Err(refused());
        }
        let (layout, text) = (self.layout.clone(), text.trim().to_owned());
        let token = app
            .workers
            .run(move || tokens::check(&layout, &text))
            .await?;
        let token = token.map_err(|error| Refusal::inner("the tokens cannot be read", &error));
        token?.ok_or_else(refused)
    }

    /// Does `work`, which needs no block, while nobody else writes, and lets the next request see it.
    async fn write_names<T: Send + 'static>(
        &self,
        app: &App,
        work: impl FnOnce(&mut Session) -> Result<T, PublishingError> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.locked(app, |_| Ok(()), move |session, ()| work(session))
            .await
    }

    /// Does `work` while nobody else writes, and lets the next request see it.
    async fn write<T: Send + 'static>(
        &self,
        app: &App,
        work: impl FnOnce(&mut Session, &dyn BlockStore) -> Result<T, PublishingError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let open = |open: &OpenStore| Ok((open.0)()?);
        self.locked(app, open, move |session, store| work(session, &*store))
            .await
    }

    async fn locked<S, T: Send + 'static>(
        &self,
        app: &App,
        open: fn(&OpenStore) -> Result<S, PublishingError>,
        work: impl FnOnce(&mut Session, S) -> Result<T, PublishingError> + Send + 'static,
    ) -> Result<T, Refusal>
    where
        S: 'static,
    {
        let busy = || {
            let text = "somebody else writes to this hub just now; try again in a while";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
        };
        let patience = self.options.patience;
        let turn = Arc::clone(&self.turn).lock_owned();
        let turn = tokio::time::timeout(patience, turn).await;
        let turn = turn.map_err(|_| busy())?;
        let (layout, limits) = (self.layout.clone(), self.limits.clone());
        let open_store = self.options.open_store.clone();
        // Goes on to its end also when the client goes away.
        let written = app.workers.run(move || {
            let _turn = turn;
            let deadline = Instant::now() + patience;
            loop {
                let opened = Session::open(&layout, limits.clone(), false)
                    .and_then(|session| Ok((session, open(&open_store)?)));
                match opened {
                    Ok((mut session, store)) => return work(&mut session, store),
                    Err(error) if error.is_busy() && Instant::now() < deadline => {
                        std::thread::sleep(BUSY_PAUSE);
                    }
                    Err(error) => return Err(error),
                }
            }
        });
        let written = written.await??;
        app.watch.refresh().await;
        Ok(written)
    }

    /// A name in the folder of this process for an upload.
    fn workspace(&self) -> Result<(Arc<Workspace>, PathBuf), Refusal> {
        let mut held = self
            .workspace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let workspace = match &*held {
            Some(workspace) => Arc::clone(workspace),
            None => Arc::clone(held.insert(Arc::new(Workspace::new(&self.layout)?))),
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = workspace.path().join(format!("upload-{number}"));
        Ok((workspace, path))
    }
}

/// The repository that "me" means.
fn repository(token: &Token, asked: &Asked<'_>) -> Result<RepoName, Refusal> {
    let header = asked.headers.get(REPOSITORY);
    let header = header.map(|value| value.to_str().unwrap_or_default().to_owned());
    let Some(named) = query_value(asked.query, "repository").or(header) else {
        return match &token.repositories[..] {
            [only] => Ok(only.clone()),
            _ => Err(Refusal::bad(
                "the token is for several repositories: name one with ?repository=NAME",
            )),
        };
    };
    let found = token
        .repositories
        .iter()
        .find(|name| name.as_str() == named);
    found.cloned().ok_or_else(|| {
        let text = "the token is not for that repository";
        Refusal::new(StatusCode::FORBIDDEN, text)
    })
}

/// `{"status": "success"}`, with a payload where there is one.
fn success<T: Serialize>(asked: &Asked<'_>, payload: Option<T>) -> Response<Content> {
    #[derive(Serialize)]
    struct Success<T> {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<T>,
    }
    let value = Success {
        status: "success",
        payload,
    };
    let bytes = json::to_bytes(&value).unwrap_or_default();
    response::text(response::start(StatusCode::OK), asked, JSON, bytes)
}

/// Whether links may be left that lead nowhere.
fn dangling(asked: &Asked<'_>) -> bool {
    query_value(asked.query, "dangling").as_deref() == Some("true")
}

/// Whether the request may have a body.
fn takes_body(mine: &Mine, method: &Method) -> bool {
    let uploads = matches!(mine, Mine::Upload | Mine::UploadFlist | Mine::Merge { .. });
    // A POST in the place of a GET may say that it has nothing to say.
    uploads && method == Method::POST
}
