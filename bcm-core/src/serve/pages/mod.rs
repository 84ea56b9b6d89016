//! Pages for people: made on the server, without script, readable on a phone and on paper.

pub mod format;

use std::sync::LazyLock;

use hyper::header::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::digest::Sha256;

/// The whole style. Small enough to come with every page, so that a page is one request.
const STYLE: &str = include_str!("style.css");

/// The icon: two sheets, one behind the other.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Crect x='9' y='3' width='19' height='22' rx='3' fill='%237cc7cf'/%3E\
    %3Crect x='4' y='7' width='19' height='22' rx='3' fill='%230b5d66'/%3E%3C/svg%3E";

/// What the pages of one server have in common.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name, which leads to `/`.
    pub name: &'static str,
    /// What the page at `/` lists, where the way to each page begins.
    pub home: &'static str,
    /// What is at the right of the name: a search, or links.
    pub header: Markup,
    /// Where programs find what the pages show: texts and paths.
    pub programs: &'static [(&'static str, &'static str)],
}

/// One step on the way to a page.
#[derive(Debug, Clone)]
pub struct Crumb {
    /// What it says.
    pub text: String,
    /// Where it leads.
    pub href: String,
}

/// A whole page of `site`. `crumbs` lead to it from `/`; `here` is its own last step, empty on pages
/// outside that order.
#[must_use]
pub fn frame(site: &Site, title: &str, crumbs: &[Crumb], here: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · " (site.name) }
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href=(PreEscaped(ICON));
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    div.wrap {
                        a.brand href="/" { (site.name) }
                        (site.header)
                    }
                }
                div.wrap {
                    @if !here.is_empty() {
                        nav.crumbs aria-label="Breadcrumb" {
                            ol {
                                li { a href="/" { (site.home) } }
                                @for crumb in crumbs {
                                    li { a href=(crumb.href) { (crumb.text) } }
                                }
                                li aria-current="page" { (here) }
                            }
                        }
                    }
                    main id="content" { (body) }
                }
                footer {
                    div.wrap {
                        p { "Independent, and served by BCM. Nothing on these pages changes anything." }
                        p {
                            "For programs: "
                            @for (at, (text, path)) in site.programs.iter().enumerate() {
                                @if at > 0 { ", " }
                                a href=(path) { (text) }
                            }
                            "."
                        }
                    }
                }
            }
        }
    }
}

/// What may happen on a page: its own style and icon, and a search.
#[must_use]
pub fn content_security_policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = base64(&Sha256::of(STYLE.as_bytes()).0);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let value = u32::from_be_bytes(padded);
        for place in 0..4 {
            if place <= group.len() {
                let digit = (value >> (18 - 6 * place)) & 63;
                text.push(char::from(DIGITS[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_known_texts() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
