//! Public keys that may log in.

use std::io;
use std::path::{Path, PathBuf};

use bcm_core::login::{InvalidKey, PublicKey};

use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::environment;
use crate::exit_code::ExitCode;

/// No key can be read.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error("there is no public key in {}", .0.display())]
    None(PathBuf),
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Invalid { path: PathBuf, source: InvalidKey },
}

/// The keys of these files; without any, the user's own.
pub(super) fn keys(context: &Context, files: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    read_keys(context, files).map_err(|error| {
        Failure::new(error)
            .with_hint(
                "`ssh-keygen -t ed25519` makes a key; --key names the file with its public half",
            )
            .with_code(ExitCode::Usage)
    })
}

fn read_keys(context: &Context, files: &[PathBuf]) -> Result<Vec<PublicKey>, KeyError> {
    let environment = context.settings.environment();
    if !files.is_empty() {
        let files = files.iter().map(|file| environment.folder.join(file));
        return files.map(|file| read_key(&file)).collect();
    }
    let folder = environment
        .variable("HOME")
        .map_or_else(|| PathBuf::from("/"), PathBuf::from)
        .join(".ssh");
    let first = environment::public_keys(&folder).next();
    match first {
        Some(path) => Ok(vec![read_key(&path)?]),
        None => Err(KeyError::None(folder)),
    }
}

fn read_key(path: &Path) -> Result<PublicKey, KeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeyError::Read {
        path: path.to_owned(),
        source,
    })?;
    text.trim().parse().map_err(|source| KeyError::Invalid {
        path: path.to_owned(),
        source,
    })
}
