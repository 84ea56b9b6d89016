//! How much an flist may ask for.

/// What an flist may cost before it is refused. An flist comes from upstream, so each of its
/// layers (gzip, tar, SQLite, Cap'n Proto, the tree itself) may be a bomb.
///
/// The defaults are far above every flist that is known to be in use, and low enough that the
/// worst one costs a mirror seconds and not its disk.
///
/// ```
/// use bcm_hub_sync::flist::Limits;
///
/// let small = Limits { unpacked_bytes: 64 << 20, ..Limits::default() };
/// assert_eq!(small.depth, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the `.flist` file itself. Default: 512 MiB.
    pub compressed_bytes: u64,
    /// Bytes that it may unpack to. Default: 4 GiB.
    pub unpacked_bytes: u64,
    /// How many times its own size it may unpack to; looked at only beyond 16 MiB, for the empty
    /// pages of a small database compress well. Default: 200.
    pub ratio: u64,
    /// Steps of SQLite's virtual machine for one query; reading a value takes a few dozen.
    /// Default: 1,000,000.
    pub query_steps: u64,
    /// Bytes of one value in the database: a directory with all its files. Default: 128 MiB.
    pub value_bytes: u32,
    /// How many times its own size a Cap'n Proto message may make its reader look at, which
    /// stops messages that point to the same bytes again and again. Default: 4.
    pub message_ratio: u32,
    /// Rows of metadata. Default: 1,024.
    pub metadata_rows: u32,
    /// Bytes of one row of metadata. Default: 1 MiB.
    pub metadata_bytes: u32,
    /// Files, folders, links and all else in the tree. Default: 10,000,000.
    pub entries: u64,
    /// References to blocks in all files. Default: 64 Mi, which is 32 TiB of files.
    pub blocks: u64,
    /// Folders inside folders. Default: 256.
    pub depth: u32,
    /// Bytes of one path in the tree. Default: 4,096, as for Linux.
    pub path_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compressed_bytes: 512 << 20,
            unpacked_bytes: 4 << 30,
            ratio: 200,
            query_steps: 1_000_000,
            value_bytes: 128 << 20,
            message_ratio: 4,
            metadata_rows: 1024,
            metadata_bytes: 1 << 20,
            entries: 10_000_000,
            blocks: 64 << 20,
            depth: 256,
            path_bytes: 4096,
        }
    }
}
