//! A FAT16 volume with a few files, as firmware reads it: an EFI System Partition.
//!
//! The format is Microsoft's "FAT32 File System Specification" 1.03, which has FAT16 too. The volume is
//! written once and in order: every folder and file has its clusters next to each other. Times are the
//! format's first, 1980-01-01, so that the same files make the same bytes.

use super::Content;

const SECTOR: u64 = 512;
/// Sectors before the first table: the boot sector alone.
const RESERVED: u64 = 1;
/// Entries of the root folder, of 32 bytes each.
const ROOT_ENTRIES: u64 = 512;
/// What makes it FAT16 is the number of clusters and nothing else: at least this many (with a margin that
/// the specification recommends).
const FEWEST_CLUSTERS: u64 = 4085 + 16;
/// 1980-01-01.
const DATE: u16 = (1 << 5) | 1;

const FOLDER: u8 = 0x10;
const FILE: u8 = 0x20;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;

/// A file and where it goes.
pub(crate) struct File {
    /// Folders from the root on, each a name of at most eight capitals and digits.
    pub(crate) folders: &'static [&'static str],
    /// Its name: eight and three capitals and digits, or else at most 13 characters of ASCII.
    pub(crate) name: &'static str,
    /// Its bytes.
    pub(crate) content: Content,
}

/// What is in a folder, by cluster.
struct Entry {
    name: &'static str,
    kind: u8,
    cluster: u64,
    len: u64,
}

/// A volume with `files`, in a partition that begins `offset` bytes into its disk. `serial` is the
/// volume's number, `label` its name of at most 11 characters.
pub(crate) fn volume(files: Vec<File>, offset: u64, serial: u32, label: &str) -> Content {
    let mut layout = Layout::default();
    let root = layout.folder(&[], files, 0);
    let clusters = layout.next.max(FEWEST_CLUSTERS);
    let table_sectors = ((clusters + 2) * 2).div_ceil(SECTOR);
    let data_at = RESERVED + 2 * table_sectors + ROOT_ENTRIES * 32 / SECTOR;
    let sectors = data_at + clusters;

    let mut volume = Content::new();
    volume.push(boot_sector(
        sectors,
        table_sectors,
        offset / SECTOR,
        serial,
        label,
    ));
    let table: Vec<u8> = layout
        .table
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    for copy in 1..=2 {
        volume.push(table.clone());
        volume.pad_to((RESERVED + copy * table_sectors) * SECTOR);
    }
    let mut entries = Vec::new();
    let mut name = [b' '; 11];
    name[..label.len()].copy_from_slice(label.as_bytes());
    put_entry(&mut entries, name, LABEL, 0, 0);
    entries.extend(folder_bytes(&root));
    volume.push(entries);
    volume.pad_to(data_at * SECTOR);
    for piece in layout.data {
        volume.append(piece);
        volume.align(SECTOR);
    }
    volume.pad_to(sectors * SECTOR);
    volume
}

/// Clusters as they are given out. A cluster is a sector.
struct Layout {
    /// Clusters given out so far.
    next: u64,
    table: Vec<u16>,
    data: Vec<Content>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            next: 0,
            table: vec![0xfff8, 0xffff],
            data: Vec::new(),
        }
    }
}

impl Layout {
    /// Gives `len` bytes their clusters and says which is the first. Nothing gets none, and cluster 0.
    fn take(&mut self, len: u64) -> u64 {
        let count = len.div_ceil(SECTOR);
        if count == 0 {
            return 0;
        }
        let first = self.next + 2;
        for cluster in first + 1..first + count {
            self.table.push(u16::try_from(cluster).unwrap_or(0));
        }
        self.table.push(0xffff);
        self.next += count;
        first
    }

    /// Lays out what is in the folder `path`, whose own cluster is `own` (0 for the root).
    fn folder(&mut self, path: &[&'static str], files: Vec<File>, own: u64) -> Vec<Entry> {
        let depth = path.len();
        let (here, deeper): (Vec<File>, Vec<File>) = files
            .into_iter()
            .partition(|file| file.folders.len() == depth);
        let mut names: Vec<&'static str> = deeper.iter().map(|file| file.folders[depth]).collect();
        names.dedup();
        let mut deeper = deeper.into_iter().peekable();
        let mut entries = Vec::new();
        for name in names {
            let mut inside = Vec::new();
            while let Some(file) = deeper.next_if(|file| file.folders[depth] == name) {
                inside.push(file);
            }
            // One cluster is enough for 16 entries, and the first two are . and ..
            let cluster = self.take(SECTOR);
            let at = self.data.len();
            self.data.push(Content::new());
            let path = [path, &[name]].concat();
            let list = self.folder(&path, inside, cluster);
            let mut bytes = Vec::new();
            put_entry(&mut bytes, *b".          ", FOLDER, cluster, 0);
            put_entry(&mut bytes, *b"..         ", FOLDER, own, 0);
            bytes.extend(folder_bytes(&list));
            self.data[at].push(bytes);
            entries.push(Entry {
                name,
                kind: FOLDER,
                cluster,
                len: 0,
            });
        }
        for file in here {
            let len = file.content.len();
            let cluster = self.take(len);
            self.data.push(file.content);
            entries.push(Entry {
                name: file.name,
                kind: FILE,
                cluster,
                len,
            });
        }
        entries
    }
}

fn folder_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let (short, needs_long) = short_name(entry.name, number);
        if needs_long {
            put_long_name(&mut bytes, entry.name, &short);
        }
        put_entry(&mut bytes, short, entry.kind, entry.cluster, entry.len);
    }
    bytes
}

/// The name of eight and three characters, and whether the real name is another. `number` tells apart
/// those that are made up.
fn short_name(name: &str, number: usize) -> ([u8; 11], bool) {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let mut short = [b' '; 11];
    let fits = base.len() <= 8 && extension.len() <= 3 && plain(base) && plain(extension);
    let cut = if fits { 8 } else { 6 };
    for (to, from) in short.iter_mut().zip(base.bytes().take(cut)) {
        *to = from.to_ascii_uppercase();
    }
    if !fits {
        short[6] = b'~';
        short[7] = b'1' + u8::try_from(number).unwrap_or(0);
    }
    for (to, from) in short[8..].iter_mut().zip(extension.bytes()) {
        *to = from.to_ascii_uppercase();
    }
    (short, !fits)
}

/// The entry before a short one that has the real name, of up to 13 characters.
fn put_long_name(out: &mut Vec<u8>, name: &str, short: &[u8; 11]) {
    let sum = short
        .iter()
        .fold(0_u8, |sum, b| sum.rotate_right(1).wrapping_add(*b));
    // A name ends with a zero where there is room, and then with ones.
    let mut letters: Vec<u16> = name.encode_utf16().take(13).collect();
    if letters.len() < 13 {
        letters.push(0);
    }
    letters.resize(13, 0xffff);
    let letters: Vec<[u8; 2]> = letters.into_iter().map(u16::to_le_bytes).collect();
    out.push(0x41); // the first and the last
    out.extend(letters[..5].as_flattened());
    out.extend([LONG_NAME, 0, sum]);
    out.extend(letters[5..11].as_flattened());
    out.extend([0, 0]);
    out.extend(letters[11..].as_flattened());
}

fn put_entry(out: &mut Vec<u8>, name: [u8; 11], kind: u8, cluster: u64, len: u64) {
    out.extend(name);
    out.extend([kind, 0, 0]);
    for field in [0, DATE, DATE, 0, 0, DATE] {
        out.extend(field.to_le_bytes());
    }
    out.extend(&cluster.to_le_bytes()[..2]);
    out.extend(&len.to_le_bytes()[..4]);
}

fn boot_sector(sectors: u64, table: u64, hidden: u64, serial: u32, label: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend([0xeb, 0x3c, 0x90]);
    out.extend(b"BCM     ");
    out.extend(&SECTOR.to_le_bytes()[..2]);
    out.push(1); // sectors in a cluster
    out.extend(&RESERVED.to_le_bytes()[..2]);
    out.push(2); // tables
    out.extend(&ROOT_ENTRIES.to_le_bytes()[..2]);
    let few = sectors <= u64::from(u16::MAX);
    out.extend(&(if few { sectors } else { 0 }).to_le_bytes()[..2]);
    out.push(0xf8); // a hard disk
    out.extend(&table.to_le_bytes()[..2]);
    out.extend([63, 0, 255, 0]); // sectors in a track, heads
    out.extend(&hidden.to_le_bytes()[..4]);
    out.extend(&(if few { 0 } else { sectors }).to_le_bytes()[..4]);
    out.extend([0x80, 0, 0x29]);
    out.extend(serial.to_le_bytes());
    out.extend(format!("{label:11.11}").bytes());
    out.extend(b"FAT16   ");
    // Who starts it as a disk: the firmware's next device, INT 18h.
    out.extend([0xcd, 0x18, 0xeb, 0xfe]);
    out.resize(510, 0);
    out.extend([0x55, 0xaa]);
    out
}
