//! `bcm flist ls`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bcm_hub_sync::flist::{Acl, Device, Flist, FlistError, Inode, Kind, Step};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::{open, show};
use crate::args::flist::LsCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// Lists an flist.
pub(super) fn run(context: &Context, args: &LsCommand) -> Result<ExitCode, Failure> {
    let flist = open(&args.flist)?;
    let below = match &args.path {
        Some(path) => Path::new("/").join(path),
        None => PathBuf::from("/"),
    };
    // Read to its end first: half of a listing would look like a whole one.
    let mut widths = Widths::default();
    let mut found = below == Path::new("/");
    for row in rows(&flist, &below) {
        let row = row.map_err(Failure::new)?;
        widths.user = widths.user.max(row.acl.user.chars().count());
        widths.group = widths.group.max(row.acl.group.chars().count());
        widths.size = widths.size.max(row.size().len());
        found = true;
    }
    if !found {
        return Err(Failure::usage(format!(
            "there is no {} in {}",
            show::path(&below),
            args.flist.flist.display()
        )));
    }
    context.printer.show(&Listing {
        flist: &flist,
        below,
        widths,
    })?;
    Ok(ExitCode::Done)
}

/// A listing that is written while the flist is read, so that memory does not grow with it.
struct Listing<'a> {
    flist: &'a Flist,
    below: PathBuf,
    widths: Widths,
}

#[derive(Debug, Default)]
struct Widths {
    user: usize,
    group: usize,
    size: usize,
}

/// One line.
struct Row {
    path: PathBuf,
    inode: Inode,
    acl: Acl,
    device: Option<Device>,
}

fn rows<'a>(
    flist: &'a Flist,
    below: &'a Path,
) -> impl Iterator<Item = Result<Row, FlistError>> + 'a {
    flist.walk().filter_map(move |step| {
        let (path, inode) = match step {
            Ok(Step::Entry { path, inode }) if path.starts_with(below) => (path, inode),
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
        Some(flist.acl(&inode, &path).map(|acl| Row {
            device: match &inode.kind {
                Kind::Special(special) => special.device(&inode.name),
                _ => None,
            },
            path,
            inode,
            acl,
        }))
    })
}

impl Row {
    /// Bytes, or a device's numbers.
    fn size(&self) -> String {
        match self.device {
            Some(Device::Block { major, minor } | Device::Character { major, minor }) => {
                format!("{major}, {minor}")
            }
            _ => self.inode.size.to_string(),
        }
    }
}

impl Show for Listing<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Widths { user, group, size } = self.widths;
        for row in rows(self.flist, &self.below) {
            let row = row.map_err(io::Error::other)?;
            write!(
                out,
                "{}{} {:user$} {:group$} {:>size$} {} {}",
                show::letter(&row.inode.kind, row.device),
                show::permissions(row.acl.mode),
                show::text(&row.acl.user),
                show::text(&row.acl.group),
                row.size(),
                show::time(row.inode.modified),
                show::path(&row.path),
            )?;
            match &row.inode.kind {
                Kind::Link(target) => writeln!(out, " -> {}", show::path(Path::new(target)))?,
                _ => writeln!(out)?,
            }
        }
        Ok(())
    }
}

/// A row as JSON has it. Paths that are not UTF-8 have their odd bytes replaced.
#[derive(Debug, Serialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Octal.
    mode: String,
    user: String,
    group: String,
    uid: i64,
    gid: i64,
    size: u64,
    modified: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[u32; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<usize>,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        let (kind, device) = match (&row.inode.kind, row.device) {
            (Kind::Directory(_), _) => ("directory", None),
            (Kind::File(_), _) => ("file", None),
            (Kind::Link(_), _) => ("symlink", None),
            (_, Some(Device::Fifo)) => ("fifo", None),
            (_, Some(Device::Block { major, minor })) => ("block", Some([major, minor])),
            (_, Some(Device::Character { major, minor })) => ("character", Some([major, minor])),
            (_, None) => ("unknown", None),
        };
        Self {
            path: row.path.to_string_lossy().into_owned(),
            kind,
            mode: format!("{:04o}", row.acl.mode),
            user: row.acl.user,
            group: row.acl.group,
            uid: row.acl.uid,
            gid: row.acl.gid,
            size: row.inode.size,
            modified: row.inode.modified,
            target: match &row.inode.kind {
                Kind::Link(target) => Some(target.to_string_lossy().into_owned()),
                _ => None,
            },
            device,
            blocks: match &row.inode.kind {
                Kind::File(chunks) => Some(chunks.len()),
                _ => None,
            },
        }
    }
}

impl Serialize for Listing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut entries = serializer.serialize_seq(None)?;
        for row in rows(self.flist, &self.below) {
            entries.serialize_element(&Entry::from(row.map_err(S::Error::custom)?))?;
        }
        entries.end()
    }
}
