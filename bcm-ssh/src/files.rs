//! Files of a machine, written atomically and read with a limit.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{Command, FileError, Privilege, Remote, RunError};

/// Writes stdin to a temporary file beside `$1`, with mode `$2` and, if not empty, owner `$3`; moves
/// it into place once all `$4` bytes have come and are on disk. A broken connection ends stdin too,
/// hence the count.
const UPLOAD: &str = r#"umask 077
folder=$(dirname -- "$1")
temporary=$(mktemp "$folder/.bcm-XXXXXXXX")
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$temporary"
size=$(($(wc -c <"$temporary")))
[ "$size" = "$4" ] || { echo "only $size of $4 bytes came" >&2; exit 1; }
[ -z "$3" ] || chown -- "$3" "$temporary"
chmod -- "$2" "$temporary"
sync "$temporary" 2>/dev/null || sync
[ ! -d "$1" ] || { echo "$1 is a folder" >&2; exit 1; }
mv -f -- "$temporary" "$1"
sync "$folder" 2>/dev/null || sync
"#;

/// Status of [`READ`] for a file that is not there.
const ABSENT: i32 = 44;

const READ: &str = r#"[ -e "$1" ] || { ls -d -- "$(dirname -- "$1")" >/dev/null; exit 44; }
exec head -c "$2" -- "$1"
"#;

/// A file to be written.
///
/// It appears under its name at once and whole, with its mode: readers see the old file or the new
/// one, and a broken connection leaves the old.
#[derive(Debug, Clone)]
pub struct Upload {
    path: PathBuf,
    contents: Arc<[u8]>,
    mode: u32,
    owner: Option<String>,
    privilege: Privilege,
    deadline: Duration,
}

impl Upload {
    /// A file at this absolute path with this mode, such as `0o644`, written by the user.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, contents: impl Into<Arc<[u8]>>, mode: u32) -> Self {
        Self {
            path: path.into(),
            contents: contents.into(),
            mode,
            owner: None,
            privilege: Privilege::User,
            deadline: Duration::from_secs(300),
        }
    }

    /// As whom to write it.
    #[must_use]
    pub fn privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// Whose it becomes, `USER` or `USER:GROUP`. Needs [`Privilege::Root`].
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// How long it may take; five minutes unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The contents. A [`Remote`] of a test's own looks at them.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        &self.contents
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }
}

/// A file to be read.
#[derive(Debug, Clone)]
pub struct ReadFile {
    path: PathBuf,
    limit: usize,
    privilege: Privilege,
    deadline: Duration,
}

impl ReadFile {
    /// The file at this absolute path, read by the user, of at most `limit` bytes.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, limit: usize) -> Self {
        Self {
            path: path.into(),
            limit,
            privilege: Privilege::User,
            deadline: Duration::from_secs(60),
        }
    }

    /// As whom to read it.
    #[must_use]
    pub fn privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// How long it may take; a minute unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A path as an argument: absolute, so that no option can be mistaken for it.
fn argument(path: &Path) -> Result<String, FileError> {
    path.to_str()
        .filter(|text| path.is_absolute() && !text.contains('\0'))
        .map(str::to_owned)
        .ok_or_else(|| FileError::Path {
            path: path.to_owned(),
        })
}

pub(crate) async fn upload<R: Remote + ?Sized>(remote: &R, file: Upload) -> Result<(), FileError> {
    let path = argument(&file.path)?;
    let failed = |source| FileError::Run {
        operation: "write",
        host: remote.host().to_owned(),
        path: file.path.clone(),
        source: Box::new(source),
    };
    let command = Command::script(
        UPLOAD,
        [
            path,
            format!("{:o}", file.mode & 0o7777),
            file.owner.clone().unwrap_or_default(),
            file.contents.len().to_string(),
        ],
    )
    .stdin(file.contents.clone())
    .privilege(file.privilege)
    .deadline(file.deadline);
    let output = remote.run(command).await.map_err(failed)?;
    // The script is long, and nobody wants to read it in an error.
    output
        .or_error(remote.host(), &Command::new("write"))
        .map_err(failed)
        .map(|_| ())
}

pub(crate) async fn read<R: Remote + ?Sized>(
    remote: &R,
    file: ReadFile,
) -> Result<Vec<u8>, FileError> {
    let path = argument(&file.path)?;
    let failed = |source: RunError| FileError::Run {
        operation: "read",
        host: remote.host().to_owned(),
        path: file.path.clone(),
        source: Box::new(source),
    };
    let command = Command::script(READ, [path, (file.limit + 1).to_string()])
        .privilege(file.privilege)
        .deadline(file.deadline)
        .output_limit(
            file.limit
                .saturating_add(1)
                .max(Command::DEFAULT_OUTPUT_LIMIT),
        );
    let output = remote.run(command).await.map_err(failed)?;
    if output.status == ABSENT {
        return Err(FileError::NotFound {
            host: remote.host().to_owned(),
            path: file.path,
        });
    }
    let output = output
        .or_error(remote.host(), &Command::new("read"))
        .map_err(failed)?;
    if output.stdout.len() > file.limit {
        return Err(FileError::TooLarge {
            host: remote.host().to_owned(),
            path: file.path,
            limit: file.limit,
        });
    }
    Ok(output.stdout)
}
