//! Who may publish over the network: tokens, of which only hashes are kept.
//!
//! A token is `bcm_ID_SECRET`: the first names it, the second is 32 bytes by chance. `hub/tokens.json`
//! (mode 0600) has the SHA-256 of the secret, for which repositories it is good, and until when. A
//! secret of 256 bits cannot be guessed, so a plain hash is as good as a slow one.
//!
//! The file has a lock of its own: a token can be revoked while something is being published.

use std::fs;
use std::io;
use std::path::PathBuf;

use bcm_core::atomic_file::{self, AtomicFileError};
use bcm_core::digest::{self, Sha256};
use bcm_core::lock::{FolderLock, LockError};
use bcm_core::names::RepoName;
use bcm_core::redact::Secret;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::layout::Layout;
use crate::mode::{Mode, ModeFileError};
use crate::sync::now;

/// The format that this version writes.
const VERSION: u32 = 1;
/// What all tokens begin with, so that they are recognised where they should not be.
const PREFIX: &str = "bcm";
/// Bytes of a token's name.
const ID_BYTES: usize = 4;
/// Bytes of its secret.
const SECRET_BYTES: usize = 32;
/// The longest label, in bytes.
const LABEL_BYTES: usize = 200;

/// What is known of a token, without what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its name: 8 hex digits.
    pub id: String,
    /// What its maker calls it.
    pub label: String,
    /// The repositories that it may publish into.
    pub repositories: Vec<RepoName>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it ends, in seconds since 1970; `None`: never.
    pub expires: Option<i64>,
    /// Whether that is over.
    pub expired: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    id: String,
    label: String,
    repositories: Vec<RepoName>,
    created: i64,
    expires: Option<i64>,
    hash: Sha256,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    tokens: Vec<Kept>,
}

/// Tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is a mirror.
    #[error("{} is a mirror: it takes nothing from the network, with a token or without", path.display())]
    Mirror {
        /// The data folder.
        path: PathBuf,
    },
    /// What the hub is cannot be told.
    #[error("what this hub is cannot be told")]
    Mode(#[from] ModeFileError),
    /// A token for nothing.
    #[error("a token is for at least one repository")]
    NoRepository,
    /// A label that cannot be shown in a line.
    #[error("a token's name has at most 200 bytes and no control characters")]
    Label,
    /// There is none of that name.
    #[error("there is no token {id:?}")]
    Unknown {
        /// The name.
        id: String,
    },
    /// Somebody else changes them just now.
    #[error("the tokens could not be locked")]
    Lock(#[from] LockError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{} is damaged; without it, no token is good, and new ones can be made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer version of this program wrote it.
    #[error("{} has the format {version}, and this version knows {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// The file could not be written.
    #[error("the tokens could not be written down")]
    Write(#[from] AtomicFileError),
}

type Result<T> = std::result::Result<T, TokenError>;

/// Makes a token for `repositories`, good for `seconds` (`None`: for ever). Answers with what is known of
/// it and the token itself, which nobody can tell again.
///
/// # Errors
/// The hub is a mirror, no repository is given, or the tokens cannot be written.
pub fn create(
    layout: &Layout,
    repositories: &[RepoName],
    label: &str,
    seconds: Option<u64>,
) -> Result<(Token, Secret)> {
    if !Mode::of(layout)?.is_writable() {
        let path = layout.root().to_owned();
        return Err(TokenError::Mirror { path });
    }
    if repositories.is_empty() {
        return Err(TokenError::NoRepository);
    }
    if label.len() > LABEL_BYTES || label.chars().any(char::is_control) {
        return Err(TokenError::Label);
    }
    let _lock = FolderLock::acquire(&layout.tokens_lock())?;
    let mut tokens = read(layout)?;
    let id = loop {
        let id = digest::to_hex(&random::<ID_BYTES>()?);
        if tokens.iter().all(|token| token.id != id) {
            break id;
        }
    };
    let secret = digest::to_hex(&random::<SECRET_BYTES>()?);
    let mut repositories = repositories.to_vec();
    repositories.sort();
    repositories.dedup();
    let created = now();
    let kept = Kept {
        hash: Sha256::of(secret.as_bytes()),
        label: label.to_owned(),
        repositories,
        created,
        expires: seconds
            .map(|seconds| created.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))),
        id,
    };
    let shown = Secret::new(format!("{PREFIX}_{}_{secret}", kept.id));
    let token = known(&kept);
    tokens.push(kept);
    write(layout, tokens)?;
    Ok((token, shown))
}

/// All tokens, the oldest first.
///
/// # Errors
/// They cannot be read.
pub fn list(layout: &Layout) -> Result<Vec<Token>> {
    Ok(read(layout)?.iter().map(known).collect())
}

/// Makes the token `id` good for nothing, at once.
///
/// # Errors
/// There is no such token, or the tokens cannot be written.
pub fn revoke(layout: &Layout, id: &str) -> Result<Token> {
    let unknown = || TokenError::Unknown { id: id.to_owned() };
    if !layout.tokens().exists() {
        return Err(unknown());
    }
    let _lock = FolderLock::acquire(&layout.tokens_lock())?;
    let mut tokens = read(layout)?;
    let place = tokens.iter().position(|token| token.id == id);
    let revoked = tokens.remove(place.ok_or_else(unknown)?);
    write(layout, tokens)?;
    Ok(known(&revoked))
}

/// What the token `text` is good for; `None` where it is none, is not known, was revoked or is over. It
/// takes as long to find out however much of the secret is right.
///
/// # Errors
/// The tokens cannot be read.
pub fn check(layout: &Layout, text: &str) -> Result<Option<Token>> {
    let tokens = read(layout)?;
    let mut parts = text.splitn(3, '_');
    let (prefix, id, secret) = (parts.next(), parts.next(), parts.next());
    let kept = tokens.iter().find(|token| Some(token.id.as_str()) == id);
    // Where there is none, one that nothing hashes to is compared with.
    let wanted = kept.map_or([0; 32], |token| token.hash.0);
    let found = Sha256::of(secret.unwrap_or_default().as_bytes());
    let same: bool = found.0.ct_eq(&wanted).into();
    let known = kept.map(known);
    Ok(known.filter(|token| same && prefix == Some(PREFIX) && !token.expired))
}

fn known(kept: &Kept) -> Token {
    Token {
        id: kept.id.clone(),
        label: kept.label.clone(),
        repositories: kept.repositories.clone(),
        created: kept.created,
        expires: kept.expires,
        expired: kept.expires.is_some_and(|end| end <= now()),
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
    Ok(bytes)
}

fn read(layout: &Layout) -> Result<Vec<Kept>> {
    let path = layout.tokens();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TokenError::Io { path, source }),
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice(&text) {
        Ok(Version { version }) if version > VERSION => {
            return Err(TokenError::Newer { path, version });
        }
        Ok(_) => {}
        Err(source) => return Err(TokenError::Damaged { path, source }),
    }
    match serde_json::from_slice::<Stored>(&text) {
        Ok(stored) => Ok(stored.tokens),
        Err(source) => Err(TokenError::Damaged { path, source }),
    }
}

fn write(layout: &Layout, tokens: Vec<Kept>) -> Result<()> {
    let stored = Stored {
        version: VERSION,
        tokens,
    };
    // Texts and numbers cannot fail to be written.
    let text = serde_json::to_vec_pretty(&stored).unwrap_or_default();
    Ok(atomic_file::write(&layout.tokens(), &text, 0o600)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn hub() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        crate::mode::standalone(&layout, false).unwrap();
        (folder, layout)
    }

    fn repositories(names: &[&str]) -> Vec<RepoName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_token_is_good_until_it_is_revoked_and_its_secret_is_kept_nowhere() {
        let (_folder, layout) = hub();
        let (token, secret) =
            create(&layout, &repositories(&["b", "a", "b"]), "ci", Some(60)).unwrap();
        assert_eq!(token.repositories, repositories(&["a", "b"]));
        let found = check(&layout, secret.reveal()).unwrap().unwrap();
        assert_eq!(found, token);
        let text = fs::read_to_string(layout.tokens()).unwrap();
        let own = secret.reveal().rsplit('_').next().unwrap();
        assert_eq!(own.len(), 64);
        assert!(!text.contains(own));
        assert!(!format!("{secret:?} {secret} {:?}", list(&layout)).contains(own));
        let mode = fs::metadata(layout.tokens()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(revoke(&layout, &token.id).unwrap().id, token.id);
        assert_eq!(check(&layout, secret.reveal()).unwrap(), None);
        assert!(matches!(
            revoke(&layout, &token.id),
            Err(TokenError::Unknown { .. })
        ));
    }

    #[test]
    fn what_is_not_the_very_token_is_good_for_nothing() {
        let (_folder, layout) = hub();
        let (token, secret) = create(&layout, &repositories(&["a"]), "", None).unwrap();
        let text = secret.reveal();
        let other = create(&layout, &repositories(&["a"]), "", None).unwrap().1;
        let mixed = format!(
            "bcm_{}_{}",
            token.id,
            other.reveal().rsplit('_').next().unwrap()
        );
        for wrong in [
            "",
            "bcm",
            "bcm__",
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replacen("bcm", "xyz", 1),
            &mixed,
            &format!("bcm_{}_", token.id),
        ] {
            assert_eq!(check(&layout, wrong).unwrap(), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_token_ends_at_its_time() {
        let (_folder, layout) = hub();
        let (_, secret) = create(&layout, &repositories(&["a"]), "", Some(0)).unwrap();
        assert_eq!(check(&layout, secret.reveal()).unwrap(), None);
        assert!(list(&layout).unwrap()[0].expired);
        let (token, secret) = create(&layout, &repositories(&["a"]), "", Some(u64::MAX)).unwrap();
        assert!(!token.expired && check(&layout, secret.reveal()).unwrap().is_some());
    }

    #[test]
    fn a_mirror_has_no_tokens_and_a_damaged_file_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Layout::new(folder.path());
        let made = create(&mirror, &repositories(&["a"]), "", None);
        assert!(matches!(made, Err(TokenError::Mirror { .. })));
        let (_folder, layout) = hub();
        let made = create(&layout, &[], "", None);
        assert!(matches!(made, Err(TokenError::NoRepository)));
        let made = create(&layout, &repositories(&["a"]), "a\nb", None);
        assert!(matches!(made, Err(TokenError::Label)));
        fs::write(layout.tokens(), "{").unwrap();
        assert!(matches!(
            check(&layout, "bcm_0_0"),
            Err(TokenError::Damaged { .. })
        ));
    }
}
