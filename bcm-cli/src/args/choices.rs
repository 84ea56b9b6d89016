//! Values of which there are a few.

use clap::ValueEnum;
use serde::Serialize;

/// How results and messages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document on stdout, one JSON event a line on stderr.
    Json,
}

/// A ready-made selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// The smallest that Zero-OS nodes boot and run from.
    Zos,
}

/// Which blocks are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Blocks {
    /// Every block that the mirrored flists name.
    Closure,
    /// Every block of the upstream's namespace.
    All,
    /// None.
    None,
}

/// How flists are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flists {
    /// As they are upstream.
    Verbatim,
    /// With their backend pointing at this mirror.
    Rewritten,
}

/// Where certificates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Certificates {
    /// A public authority, by ACME.
    Automatic,
    /// An authority of Caddy's own.
    Internal,
    /// Files that are given.
    Files,
}

/// What the Hub of a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HubIs {
    /// A mirror, which follows its upstream
    Mirror,
    /// Cut off from its upstream once it was synced, and published into
    Detached,
    /// Empty at first, and published into
    Standalone,
}
