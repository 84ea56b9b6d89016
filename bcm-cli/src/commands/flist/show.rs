//! How parts of flists are written for people.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use bcm_hub_sync::flist::{Backend, Device, Kind, Skipped, TreeCounts};
use indicatif::{HumanBytes, HumanCount};

/// A path without what would move a terminal's cursor or colour it.
pub(super) fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}

/// A text from an flist without what would move a terminal's cursor or colour it.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The type as the first letter of `ls -l` has it.
pub(super) fn letter(kind: &Kind, device: Option<Device>) -> char {
    match (kind, device) {
        (Kind::Directory(_), _) => 'd',
        (Kind::File(_), _) => '-',
        (Kind::Link(_), _) => 'l',
        (Kind::Special(_), Some(Device::Fifo)) => 'p',
        (Kind::Special(_), Some(Device::Block { .. })) => 'b',
        (Kind::Special(_), Some(Device::Character { .. })) => 'c',
        (Kind::Special(_), None) => '?',
    }
}

/// Permission bits as `ls -l` writes them, such as `rwsr-xr-x`.
pub(super) fn permissions(mode: u16) -> String {
    let mut text = String::with_capacity(9);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A time in seconds since 1970 as `2023-11-14 22:13`, in UTC.
pub(crate) fn time(seconds: u32) -> String {
    let days = i64::from(seconds / 86_400);
    let minutes = seconds % 86_400 / 60;
    // Days from civil dates, counted in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}",
        minutes / 60,
        minutes % 60
    )
}

/// A backend as an address, without its password.
pub(super) fn backend(backend: &Backend) -> String {
    let mut shown = String::from("zdb://");
    if backend.password.is_some() {
        shown.push_str("***@");
    }
    let host = text(&backend.host);
    // An IPv6 address stands in brackets.
    let _ = match host.contains(':') {
        true => write!(shown, "[{host}]"),
        false => write!(shown, "{host}"),
    };
    let _ = write!(shown, ":{}/{}", backend.port, text(&backend.namespace));
    shown
}

/// Names what was left out, a line each.
pub(super) fn skipped(out: &mut dyn Write, what: &str, skipped: &Skipped) -> io::Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    writeln!(out, "{what}: {}", HumanCount(skipped.count))?;
    for one in &skipped.first {
        writeln!(out, "  {}: {}", path(&one.path), text(&one.reason))?;
    }
    match skipped.count - skipped.first.len() as u64 {
        0 => Ok(()),
        more => writeln!(out, "  and {} more", HumanCount(more)),
    }
}

/// What a tree holds, in one line.
pub(super) fn tree(tree: &TreeCounts) -> String {
    format!(
        "{} ({}), {}, {}, {}",
        counted(tree.files, "file", "files"),
        HumanBytes(tree.bytes),
        counted(tree.directories, "folder", "folders"),
        counted(tree.links, "link", "links"),
        counted(tree.specials, "special file", "special files"),
    )
}

/// `1 file`, `2 files`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        HumanCount(count),
        if count == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_times_look_as_those_of_ls() {
        assert_eq!(permissions(0o755), "rwxr-xr-x");
        assert_eq!(permissions(0o4755), "rwsr-xr-x");
        assert_eq!(permissions(0o6644), "rwSr-Sr--");
        assert_eq!(permissions(0o1777), "rwxrwxrwt");
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!(time(951_782_399), "2000-02-28 23:59");
        assert_eq!(time(951_782_400), "2000-02-29 00:00");
        assert_eq!(time(1_700_000_000), "2023-11-14 22:13");
        assert_eq!(time(u32::MAX), "2106-02-07 06:28");
    }

    #[test]
    fn a_name_cannot_play_with_the_terminal() {
        assert_eq!(path(Path::new("/a\n\x1b[31mb")), "/a\\n\\u{1b}[31mb");
        assert_eq!(path(Path::new("/naïve – 文件")), "/naïve – 文件");
    }

    #[test]
    fn a_backend_hides_its_password() {
        let hidden = Backend::from_json(r#"{"host": "::1", "password": "secret"}"#).unwrap();
        assert_eq!(backend(&hidden), "zdb://***@[::1]:9900/default");
    }
}
