//! Why a request gets no answer from the tree.

use std::io;

use super::workers::Unfinished;
use crate::catalog::FlistRef;
use crate::flist::FlistError;

/// What kind of answer the other end expects when there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// A page.
    Page,
    /// JSON that says so: the inspecting routes.
    Json(&'static str),
}

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("there is no such thing")]
    NotFound(Missing),
    /// The caller takes a new snapshot and asks again.
    #[error("the file on the disk is another one now")]
    Changed,
    /// Not a link to a tag, though there is such an entry.
    #[error("could not read tag link")]
    NotALink,
    #[error("the tree cannot be read")]
    NoTree,
    #[error("nothing has been mirrored yet")]
    NothingYet,
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    #[error("{reference} cannot be read")]
    Io {
        reference: FlistRef,
        source: io::Error,
    },
    /// The file is no flist, or a damaged one.
    #[error("{reference} cannot be read as an flist")]
    Damaged {
        reference: FlistRef,
        /// Names paths of this machine, so it is for the log only.
        source: Box<FlistError>,
    },
}

impl Failure {
    /// The file could not be opened. One that is gone was there when the snapshot was taken.
    pub(super) fn opening(reference: &FlistRef, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Changed
        } else {
            Self::reading(reference, error)
        }
    }

    pub(super) fn reading(reference: &FlistRef, source: io::Error) -> Self {
        Self::Io {
            reference: reference.clone(),
            source,
        }
    }
}
