//! Downloads one file: resumed where it was cut off, checked, and synced to the disk.

use std::fs::{self, File};
use std::path::PathBuf;

use bcm_core::cause::chain;
use bcm_core::digest::{Sha256, Sha256Hasher};
use bcm_core::http::{ContentRange, HttpError, Request, Response, StatusCode, Validators, header};
use bcm_core::progress::{Progress, TaskId};

use super::error::{SyncError, is_full};
use super::staged::{Begun, Note, Staged};
use super::writing::{Writing, Written};
use crate::content;
use crate::layout::Layout;
use crate::local::{self, LocalError};
use crate::upstream::Upstreams;

/// From so much progress on, a connection that broke does not count as a failure.
const PROGRESS: u64 = 1 << 20;

/// What is to be downloaded.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// Its path upstream.
    pub(super) segments: &'a [&'a str],
    /// What its files in the staging folder begin with.
    pub(super) staged: &'a str,
    /// Where it goes. What is there may be what an earlier sync published and could not note.
    pub(super) place: Option<PathBuf>,
    /// What is known of the version here, from this upstream: it is not fetched again.
    pub(super) known: Option<(&'a str, &'a Validators)>,
    /// The largest size.
    pub(super) most: u64,
}

/// What upstream has.
#[derive(Debug)]
pub(super) enum Got {
    /// The version that is known.
    Unchanged,
    /// One whose content need not be fetched, for the caller recognised it by its head.
    Recognised { source: String, head: Head },
    /// A whole and checked file.
    File(Fetched),
    /// Nothing: 404.
    Missing,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) validators: Validators,
    pub(super) size: Option<u64>,
}

/// A file that was downloaded whole.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// In the staging folder; `None` where it is already in its place.
    pub(super) path: Option<PathBuf>,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
    pub(super) validators: Validators,
    pub(super) source: String,
    /// Bytes that were fetched now, and before.
    pub(super) bytes: u64,
    pub(super) resumed: u64,
}

/// Why there is no file.
#[derive(Debug)]
pub(super) enum Failed {
    /// This one is refused, for this reason.
    Entry(String),
    /// The sync cannot go on.
    All(SyncError),
}

impl From<LocalError> for Failed {
    fn from(error: LocalError) -> Self {
        Self::All(error.into())
    }
}

/// What went wrong with one attempt.
enum Attempt {
    Http(HttpError),
    /// It changed while it was fetched; from the beginning, then.
    Changed(&'static str),
    Entry(String),
    All(SyncError),
}

impl From<HttpError> for Attempt {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<LocalError> for Attempt {
    fn from(error: LocalError) -> Self {
        Self::All(error.into())
    }
}

/// Downloads files into one staging folder.
pub(super) struct Downloader<'a> {
    pub(super) layout: &'a Layout,
    pub(super) upstreams: &'a Upstreams,
    pub(super) progress: &'a dyn Progress,
    pub(super) task: TaskId,
}

impl Downloader<'_> {
    /// Gets what is `wanted` from `first` or, where that fails, from the other upstreams.
    /// `recognise` may say of a head that its content is known.
    pub(super) async fn get(
        &self,
        first: usize,
        wanted: &Wanted<'_>,
        recognise: &(dyn Fn(&Head) -> bool + Sync),
    ) -> Result<Got, Failed> {
        let count = self.upstreams.count();
        let mut reason = None;
        for turn in 0..count {
            match self
                .get_from((first + turn) % count, wanted, recognise)
                .await
            {
                // Another upstream may have what this one has lost.
                Ok(Got::Missing) if turn + 1 < count => {}
                Ok(Got::Missing) if reason.is_none() => return Ok(Got::Missing),
                Ok(Got::Missing) => {}
                Ok(got) => return Ok(got),
                Err(Failed::Entry(why)) => {
                    reason.get_or_insert(why);
                }
                Err(failed) => return Err(failed),
            }
        }
        match reason {
            Some(reason) => Err(Failed::Entry(reason)),
            None => Ok(Got::Missing),
        }
    }

    async fn get_from(
        &self,
        upstream: usize,
        wanted: &Wanted<'_>,
        recognise: &(dyn Fn(&Head) -> bool + Sync),
    ) -> Result<Got, Failed> {
        let mut failures = 0;
        let mut before = 0;
        loop {
            let (reason, again) = match self.attempt(upstream, wanted, recognise).await {
                Ok(got) => return Ok(got),
                Err(Attempt::All(error)) => return Err(Failed::All(error)),
                Err(Attempt::Entry(reason)) => (reason, false),
                Err(Attempt::Changed(reason)) => (reason.to_owned(), true),
                Err(Attempt::Http(error)) if is_full(&error) => {
                    return Err(Failed::All(SyncError::Full {
                        path: self.layout.root().to_owned(),
                        source: Box::new(error),
                    }));
                }
                Err(Attempt::Http(error)) => (chain(&error), error.is_transient()),
            };
            let here = fs::metadata(self.staged(wanted).part).map_or(0, |part| part.len());
            if here >= before + PROGRESS {
                failures = 0;
            }
            before = here;
            failures += 1;
            match self.upstreams.retry().delay_after(failures) {
                Some(delay) if again => tokio::time::sleep(delay).await,
                _ => return Err(Failed::Entry(reason)),
            }
        }
    }

    fn staged(&self, wanted: &Wanted<'_>) -> Staged {
        let path = |end: &str| {
            self.layout
                .staging()
                .join(format!("{}{end}", wanted.staged))
        };
        Staged {
            part: path(".part"),
            note: path(".json"),
        }
    }

    async fn attempt(
        &self,
        upstream: usize,
        wanted: &Wanted<'_>,
        recognise: &(dyn Fn(&Head) -> bool + Sync),
    ) -> Result<Got, Attempt> {
        let source = self.upstreams.name(upstream);
        let staged = self.staged(wanted);
        let mut begun = Begun::find(&staged, wanted.place.as_deref(), &source).await?;
        let plain = Request::get(self.upstreams.url(upstream, wanted.segments));
        let request = match &begun {
            Begun::Whole(fetched) => fetched.validators.unless_unchanged(plain),
            Begun::Part { note, have, .. } => note
                .validators
                .from_byte(plain.clone(), *have)
                .unwrap_or(plain),
            Begun::Nothing => match wanted.known {
                Some((known_source, known)) if known_source == source => {
                    known.unless_unchanged(plain)
                }
                _ => plain,
            },
        };
        let response = self.upstreams.client().send(request).await?;
        let validators = Validators::of(&response);
        match response.status() {
            StatusCode::NOT_MODIFIED => {
                return match begun {
                    Begun::Whole(fetched) => Ok(Got::File(*fetched)),
                    Begun::Nothing if wanted.known.is_some() => Ok(Got::Unchanged),
                    _ => Err(Attempt::Changed(
                        "it is said to be unchanged, which was not asked",
                    )),
                };
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Got::Missing),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                staged.discard()?;
                return Err(Attempt::Changed("it became shorter while it was fetched"));
            }
            _ => {}
        }
        let response = response.success()?;
        let kind = response.header(header::CONTENT_TYPE).unwrap_or_default();
        if content::is_page_type(kind) {
            let kind: String = kind.chars().take(60).collect();
            return Err(Attempt::Entry(format!("it is {kind:?}, not a kernel")));
        }
        if !response.has_an_end() {
            return Err(Attempt::Entry(
                "upstream does not say how long it is, so a part could be taken for the whole"
                    .to_owned(),
            ));
        }
        let size = match ContentRange::of(&response) {
            Some(range) => {
                let Begun::Part { note, have, .. } = &begun else {
                    return Err(Attempt::Changed("a part of it came that was not asked for"));
                };
                let right = range.first == *have
                    && range.size.is_none_or(|size| range.last + 1 == size)
                    && (note.size.is_none() || range.size.is_none() || note.size == range.size);
                if !right || note.validators.contradict(&validators) {
                    staged.discard()?;
                    return Err(Attempt::Changed("it changed between two parts of it"));
                }
                range.size.or(note.size).or(Some(range.last + 1))
            }
            None if response.status() == StatusCode::PARTIAL_CONTENT => {
                staged.discard()?;
                return Err(Attempt::Changed("a part came without saying which"));
            }
            None => {
                // All of it, from the beginning.
                let head = Head {
                    validators: validators.clone(),
                    size: response.content_length(),
                };
                if recognise(&head) {
                    staged.discard()?;
                    return Ok(Got::Recognised { source, head });
                }
                let note = Note {
                    source: source.clone(),
                    validators: validators.clone(),
                    size: response.content_length(),
                    sha256: None,
                };
                begun = Begun::start(&staged, &note)?;
                note.size
            }
        };
        let Begun::Part {
            file,
            hasher,
            have,
            mut note,
        } = begun
        else {
            return Err(Attempt::Changed("its parts do not fit"));
        };
        note.size = size;
        if size.is_some_and(|size| size > wanted.most) {
            staged.discard()?;
            return Err(Attempt::Entry(too_large(wanted.most)));
        }
        self.receive(response, wanted, &staged, file, hasher, have, note)
            .await
    }

    /// Reads the body to its end and checks the file.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one download under way"
    )]
    async fn receive(
        &self,
        response: Response,
        wanted: &Wanted<'_>,
        staged: &Staged,
        file: File,
        hasher: Sha256Hasher,
        have: u64,
        mut note: Box<Note>,
    ) -> Result<Got, Attempt> {
        let writing = Writing::start(file, hasher, have);
        let received = self
            .read(response, wanted, staged, &writing, have, note.size)
            .await;
        // Also where the connection broke: what came is what the next attempt goes on from.
        let panicked = |error| Attempt::All(SyncError::Panicked(error));
        let failed = |error| LocalError::new("write", &staged.part, error);
        let written = writing.finish().await.map_err(panicked)?.map_err(failed)?;
        let size = received?;
        let Written { file, sha256 } = written;
        let part = staged.part.clone();
        let checked = tokio::task::spawn_blocking(move || {
            file.sync_all()?;
            // It was opened for writing; what is checked is what others will read.
            content::check(&File::open(&part)?)
        });
        let checked = checked.await.map_err(panicked)?;
        if let Err(error) = checked.map_err(failed)? {
            staged.discard()?;
            return Err(Attempt::Entry(error.to_string()));
        }
        note.sha256 = Some(sha256);
        note.size = Some(size);
        staged.write(&note)?;
        Ok(Got::File(Fetched {
            path: Some(staged.part.clone()),
            size,
            sha256,
            validators: note.validators,
            source: note.source,
            bytes: size - have,
            resumed: have,
        }))
    }

    /// Reads the body to its end; returns the size of the whole. `all` is what upstream says of it.
    async fn read(
        &self,
        mut response: Response,
        wanted: &Wanted<'_>,
        staged: &Staged,
        writing: &Writing,
        have: u64,
        all: Option<u64>,
    ) -> Result<u64, Attempt> {
        let mut size = have;
        while let Some(piece) = response.chunk().await? {
            let count = piece.len() as u64;
            size += count;
            if size > wanted.most || all.is_some_and(|all| size > all) {
                staged.discard()?;
                return Err(match all {
                    Some(_) => Attempt::Changed("more of it came than there is"),
                    None => Attempt::Entry(too_large(wanted.most)),
                });
            }
            if !writing.write(piece).await {
                break;
            }
            self.progress.advanced(self.task, count, 0);
        }
        if all.is_some_and(|all| size != all) {
            return Err(Attempt::Changed("it ended before its end"));
        }
        Ok(size)
    }

    /// Forgets a download that was published.
    pub(super) fn done(&self, staged: &str) -> Result<(), LocalError> {
        local::remove(&self.layout.staging().join(format!("{staged}.part")))?;
        local::remove(&self.layout.staging().join(format!("{staged}.json")))
    }
}

fn too_large(most: u64) -> String {
    format!("it is larger than {most} bytes")
}
