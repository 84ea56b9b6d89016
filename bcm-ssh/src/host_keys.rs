//! Whose host key is believed.

use std::fmt;

/// What to do about the key that a host shows. There is no default: the caller has to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// Only keys that are known already, from the user's or the system's `known_hosts`.
    Strict,
    /// A key that was never seen is added to `known_hosts`; a changed one stops everything. Show
    /// [`Ssh::host_key`](crate::Ssh::host_key) to the user.
    AcceptNew,
    /// This key and no other, whatever `known_hosts` says.
    Pinned(PinnedKey),
}

/// The one key that a host may show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinnedKey {
    /// A public key: `ssh-ed25519 AAAA…`, as in the host's `/etc/ssh/ssh_host_ed25519_key.pub`.
    Public(String),
    /// A fingerprint: `SHA256:…`, as `ssh-keygen -l` prints it.
    ///
    /// A host with keys of several kinds shows the one that `ssh` prefers (ed25519, unless
    /// `known_hosts` or the configuration says otherwise): take that one's.
    Fingerprint(String),
}

impl PinnedKey {
    /// Whether it has the form of a key or fingerprint, with nothing in it that `ssh` or a shell
    /// could take for anything else.
    pub(crate) fn is_valid(&self) -> bool {
        let base64 = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))
        };
        match self {
            Self::Fingerprint(text) => text.strip_prefix("SHA256:").is_some_and(base64),
            Self::Public(text) => {
                let mut fields = text.split(' ');
                let kind = fields.next().unwrap_or_default();
                !kind.is_empty()
                    && kind
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '@' | '.'))
                    && fields.next().is_some_and(base64)
                    && !text.contains(['\n', '\r'])
            }
        }
    }

    /// The algorithm and the key without a comment, of a public key.
    pub(crate) fn public(&self) -> Option<(&str, &str)> {
        match self {
            Self::Public(text) => {
                let mut fields = text.split(' ');
                Some((fields.next()?, fields.next()?))
            }
            Self::Fingerprint(_) => None,
        }
    }
}

impl fmt::Display for PinnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(text) | Self::Fingerprint(text) => f.write_str(text),
        }
    }
}

/// The key that a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Its algorithm, such as `ssh-ed25519`.
    pub algorithm: String,
    /// Its fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// Whether it was added to `known_hosts` for this connection ([`HostKeyPolicy::AcceptNew`]).
    pub added: bool,
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_can_be_pinned() {
        let valid = |key: PinnedKey| key.is_valid();
        assert!(valid(PinnedKey::Fingerprint("SHA256:abc+/0".into())));
        assert!(valid(PinnedKey::Public(
            "ssh-ed25519 AAAAC3Nz root@node1".into()
        )));
        assert!(valid(PinnedKey::Public(
            "sk-ssh-ed25519@openssh.com AAAA".into()
        )));
        for bad in ["", "SHA256:", "MD5:aa:bb", "SHA256:x'y", "SHA256:a b"] {
            assert!(!valid(PinnedKey::Fingerprint(bad.into())), "{bad}");
        }
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 ",
            "ssh-ed25519 AA\n* ssh-rsa BB",
            "x;y AAAA",
        ] {
            assert!(!valid(PinnedKey::Public(bad.into())), "{bad}");
        }
    }
}
