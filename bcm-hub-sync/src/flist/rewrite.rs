//! The same flist with another backend.

use std::path::Path;

use super::error::FlistError;
use super::limits::Limits;
use super::metadata::{BACKEND, Backend};
use super::reader::Flist;
use super::writer::{Writer, WrittenFlist};

/// Writes the flist `input` to `output` with `backend` as the place of its blocks, so that nodes
/// fetch them there. Everything else stays as it is. The result depends on the content of `input`
/// and on `backend` alone. `output` is replaced whole or not at all; `scratch` is a folder for
/// temporary files.
///
/// # Errors
/// `input` is not an flist or exceeds `limits`; `output` cannot be written.
pub fn rewrite_backend(
    input: &Path,
    output: &Path,
    backend: &Backend,
    limits: &Limits,
    scratch: &Path,
) -> Result<WrittenFlist, FlistError> {
    let flist = Flist::open(input, limits, scratch)?;
    let writer = Writer::new(output, scratch)?;
    flist
        .database()
        .for_each_entry(|key, value| writer.entry(key, value))?;
    let json = backend.to_json();
    for (key, value) in flist.metadata().iter() {
        writer.metadata(key, if key == BACKEND { &json } else { value })?;
    }
    if flist.metadata().get(BACKEND).is_none() {
        writer.metadata(BACKEND, &json)?;
    }
    writer.finish()
}
