//! Whether what came can be a kernel.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much of a file's beginning is looked at.
const HEAD: usize = 4096;

/// Why content is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAKernel {
    /// No bytes.
    #[error("it is empty")]
    Empty,
    /// An error page, a log-in page, a captive portal.
    #[error("it is a web page, not a kernel")]
    Page,
    /// A message of a proxy or of a server, a script. A kernel has bytes that no text has.
    #[error("it is text, not a kernel: {0:?}")]
    Text(String),
    /// An EFI program that is shorter than its own table of contents says.
    #[error("it is cut off: its header speaks of {wanted} bytes, and it has {size}")]
    CutOff {
        /// Bytes that there must be.
        wanted: u64,
        /// Bytes that there are.
        size: u64,
    },
}

/// Whether an answer with this `Content-Type` can be a kernel.
#[must_use]
pub fn is_page_type(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml", "application/json"]
        .iter()
        .any(|page| kind.eq_ignore_ascii_case(page))
}

/// Looks at the content of `file`. What is not an EFI program may still be a kernel: the format is not
/// ours to choose. Blocks.
///
/// # Errors
/// It cannot be read.
pub fn check(file: &File) -> io::Result<Result<(), NotAKernel>> {
    let size = file.metadata()?.len();
    let mut head = vec![0; HEAD.min(usize::try_from(size).unwrap_or(HEAD))];
    file.read_exact_at(&mut head, 0)?;
    Ok(check_head(&head, size))
}

fn check_head(head: &[u8], size: u64) -> Result<(), NotAKernel> {
    if size == 0 {
        return Err(NotAKernel::Empty);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    let begins = |start: &str| {
        text.get(..start.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes()))
    };
    if begins("<!doctype") || begins("<html") || begins("<head") || begins("<?xml") {
        return Err(NotAKernel::Page);
    }
    if let Some(text) = as_text(head) {
        let begin = text.trim().chars().take(60).collect();
        return Err(NotAKernel::Text(begin));
    }
    match wanted_by_sections(head) {
        Some(wanted) if wanted > size => Err(NotAKernel::CutOff { wanted, size }),
        _ => Ok(()),
    }
}

/// `head` as text, where it is nothing else. The last character may be cut off.
fn as_text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let odd = |c: char| c.is_control() && !c.is_ascii_whitespace();
    (!text.is_empty() && !text.contains(odd)).then_some(text)
}

/// Where the last section of a PE file ends (Microsoft's PE format: the offset of the header at 0x3c,
/// the section table after the optional header; each section has the size and place of its
/// data at 16 and 20). `None` where it is no such file, or its table is not in `head`.
fn wanted_by_sections(head: &[u8]) -> Option<u64> {
    let at = |offset: usize, bytes: usize| head.get(offset..offset.checked_add(bytes)?);
    let u16_at = |offset| Some(u16::from_le_bytes(at(offset, 2)?.try_into().ok()?));
    let u32_at = |offset| Some(u32::from_le_bytes(at(offset, 4)?.try_into().ok()?));
    if at(0, 2)? != b"MZ" {
        return None;
    }
    let header = usize::try_from(u32_at(0x3c)?).ok()?;
    if at(header, 4)? != b"PE\0\0" {
        return None;
    }
    let sections = usize::from(u16_at(header + 6)?);
    let table = header + 24 + usize::from(u16_at(header + 20)?);
    let mut end = 0;
    for section in 0..sections {
        let entry = table + section * 40;
        let (size, place) = (u32_at(entry + 16)?, u32_at(entry + 20)?);
        end = end.max(u64::from(size) + u64::from(place));
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE header with one section whose data ends at `end`.
    fn pe(end: u32) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..2].copy_from_slice(b"MZ");
        head[0x3c] = 0x40;
        head[0x40..0x44].copy_from_slice(b"PE\0\0");
        head[0x46] = 1;
        let entry = 0x40 + 24;
        head[entry + 16..entry + 20].copy_from_slice(&(end - 512).to_le_bytes());
        head[entry + 20..entry + 24].copy_from_slice(&512_u32.to_le_bytes());
        head
    }

    #[test]
    fn pages_and_nothing_are_refused() {
        assert_eq!(check_head(b"", 0), Err(NotAKernel::Empty));
        for page in [
            "<!DOCTYPE html>\n<html>",
            "  \n<HTML lang=en>",
            "\u{feff}<html>",
            "<?xml version='1.0'?>",
        ] {
            assert_eq!(check_head(page.as_bytes(), 100), Err(NotAKernel::Page));
        }
        for text in [
            "404 page not found\n",
            "<!-- c --><html>",
            "Zu viele Anfragen é",
        ] {
            let refused = check_head(text.as_bytes(), 100);
            assert!(matches!(refused, Err(NotAKernel::Text(_))), "{refused:?}");
        }
        assert_eq!(check_head(b"anything\0else", 13), Ok(()));
        assert_eq!(check_head(b"\x1f\x8b\x08 gzip", 13), Ok(()));
        assert!(is_page_type("Text/HTML; charset=utf-8"));
        assert!(!is_page_type("application/octet-stream") && !is_page_type(""));
    }

    #[test]
    fn an_efi_program_has_all_of_its_sections() {
        assert_eq!(check_head(&pe(4096), 4096), Ok(()));
        assert_eq!(check_head(&pe(4096), 5000), Ok(()));
        let cut = NotAKernel::CutOff {
            wanted: 4096,
            size: 4095,
        };
        assert_eq!(check_head(&pe(4096), 4095), Err(cut));
        // Headers that lie about where things are must not make this fail.
        for at in 0..512 {
            let mut head = pe(4096);
            head[at] = 0xff;
            let _ = check_head(&head, u64::MAX);
            let _ = check_head(&head[..at], u64::MAX);
        }
    }
}
