//! `/images`, the page of upstreams that have no JSON: every link to `/kernel/NAME` is a kernel.

use bcm_core::serve::path::segments;

use super::index::{Index, IndexError};
use crate::kernel::LINKS;

/// Reads the page. It says no times that can be relied on; the files themselves do.
pub(super) fn index(page: &str) -> Result<Index, IndexError> {
    let mut index = Index::default();
    let mut links = false;
    for href in hrefs(page) {
        let path = match href.find("/kernel/") {
            Some(at) if href[..at].is_empty() || href.contains("://") => &href[at..],
            _ => continue,
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let segments = segments(path).unwrap_or_default();
        match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            // The links of run modes are asked for by name.
            ["kernel", LINKS] | ["kernel", LINKS, ..] => links = true,
            ["kernel", name] => {
                links = true;
                index.add(name, None);
            }
            // Names that cannot be decoded are named as they are, to be refused.
            _ => index.add(path, None),
        }
    }
    match links || index.refused_total > 0 {
        true => Ok(index),
        false => Err(IndexError::NoLinks),
    }
}

/// The values of all `href` attributes, with what HTML escapes in them.
fn hrefs(page: &str) -> impl Iterator<Item = String> {
    let starts = page
        .match_indices("href")
        .map(|(at, found)| at + found.len());
    starts.filter_map(|at| {
        let rest = page[at..].trim_start().strip_prefix('=')?.trim_start();
        let value = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
            _ => rest.split([' ', '>', '\t', '\n']).next()?,
        };
        let escapes = [("&#x2F;", "/"), ("&#47;", "/"), ("&amp;", "&")];
        let unescaped = escapes
            .iter()
            .fold(value.to_owned(), |text, (escape, plain)| {
                text.replace(escape, plain)
            });
        Some(unescaped.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_kernels_are_found() {
        let page = r#"<a href="/">home</a> <a class=x href='/kernel/a.efi'>a</a>
            <A href=/kernel/b.efi?x=1>b</A> <a href="https://up.test/kernel/c%2B1.efi">c</a>
            <a href = "/kernel/net/prod.efi">prod</a> <a href="&#x2F;kernel/d.efi">d</a>
            <a href="/kernel/..%2fetc">evil</a> <a href="/other/kernel/z.efi">no</a>"#;
        let index = index(page).unwrap();
        let names: Vec<_> = index.kernels.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["a.efi", "b.efi", "c+1.efi", "d.efi"]);
        assert_eq!(index.refused_total, 1);
    }

    #[test]
    fn another_page_is_no_list() {
        assert!(index("<html><a href=/login>log in</a></html>").is_err());
        assert!(index("").is_err());
    }
}
