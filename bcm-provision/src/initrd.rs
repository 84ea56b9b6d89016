//! Initial RAM file systems that are loaded after another one: their files appear beside those of the first.
//!
//! The kernel takes several archives one after the other, each by itself compressed or not (the kernel's
//! documentation, "initramfs buffer format"). The archive's form is cpio's `newc`, as it is described there.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

/// A compressed archive with `files` (name, permission bits, content) at its root. The same input gives the
/// same bytes. Because it is compressed, it can be put after another one without padding.
///
/// # Errors
///
/// When a file is 4 GiB or longer, which the form has no room for.
pub fn overlay(files: &[(&str, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut out = GzBuilder::new().write(Vec::new(), Compression::best());
    let mut archive = Vec::new();
    for (number, (name, mode, content)) in (1..).zip(files) {
        member(
            &mut archive,
            name,
            number,
            REGULAR | (mode & 0o7777),
            content,
        )?;
    }
    member(&mut archive, "TRAILER!!!", 0, 0, &[])?;
    out.write_all(&archive)?;
    out.finish()
}

/// The type of a regular file, of `st_mode`.
const REGULAR: u32 = 0o100_000;

/// Header, name and content; each of the latter two is filled up to a multiple of four.
fn member(out: &mut Vec<u8>, name: &str, number: u32, mode: u32, content: &[u8]) -> io::Result<()> {
    let length = |length: usize| u32::try_from(length).map_err(io::Error::other);
    // Inode, mode, user, group, links, time, size, device (2), special device (2), name's size, checksum.
    let fields = [
        number,
        mode,
        0,
        0,
        1,
        0,
        length(content.len())?,
        0,
        0,
        0,
        0,
        length(name.len() + 1)?,
        0,
    ];
    out.extend(b"070701");
    for field in fields {
        write!(out, "{field:08x}")?;
    }
    out.extend(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(content);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn it_holds_the_files_at_multiples_of_four() {
        let made = overlay(&[("a", 0o600, b"hello"), ("preseed.cfg", 0o644, b"x\n")]).unwrap();
        assert_eq!(
            made,
            overlay(&[("a", 0o600, b"hello"), ("preseed.cfg", 0o644, b"x\n")]).unwrap()
        );
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&made[..])
            .read_to_end(&mut plain)
            .unwrap();
        let mut at = 0;
        let mut found = Vec::new();
        loop {
            assert_eq!(&plain[at..at + 6], b"070701");
            let field = |n: usize| {
                let from = at + 6 + 8 * n;
                usize::from_str_radix(std::str::from_utf8(&plain[from..from + 8]).unwrap(), 16)
                    .unwrap()
            };
            let (mode, size, name) = (field(1), field(6), field(11));
            let name = &plain[at + 110..at + 110 + name - 1];
            let content = (at + 110 + name.len() + 1).next_multiple_of(4);
            if name == b"TRAILER!!!" {
                break;
            }
            found.push((name.to_vec(), mode, plain[content..content + size].to_vec()));
            at = (content + size).next_multiple_of(4);
        }
        assert_eq!(
            found,
            [
                (b"a".to_vec(), 0o100_600, b"hello".to_vec()),
                (b"preseed.cfg".to_vec(), 0o100_644, b"x\n".to_vec()),
            ]
        );
    }
}
