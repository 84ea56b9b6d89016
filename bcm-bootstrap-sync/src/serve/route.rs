//! From the path of a request to what it asks for. Pure.

use bcm_core::serve::path::segments;

use super::options::Mac;
use crate::image::Medium;
use crate::ipxe::{ExtraArguments, FarmId};
use crate::kernel::{KernelName, LINKS};
use crate::run_mode::RunMode;

/// The checked words of a boot script's path: `R[/FARM[/EXTRA[/KERNEL]]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) mode: RunMode,
    pub(crate) farm: Option<FarmId>,
    pub(crate) extra: ExtraArguments,
    pub(crate) kernel: Option<KernelName>,
}

/// Why words cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The run mode is none: as unknown as one that is not configured.
    Mode,
    /// The kernel's name is none: there is no such kernel.
    Kernel,
    /// Something that must not get into a script, and why.
    Word(String),
    /// Too many parts, or none.
    Path,
}

impl Words {
    pub(crate) fn of(parts: &[&str]) -> Result<Self, Refusal> {
        let [mode, rest @ ..] = parts else {
            return Err(Refusal::Path);
        };
        let mode = RunMode::new(mode).map_err(|_| Refusal::Mode)?;
        let word = |error: crate::ipxe::WordError| Refusal::Word(error.to_string());
        let farm = rest.first().map(|farm| FarmId::new(farm)).transpose();
        let extra = rest.get(1).map(|extra| ExtraArguments::of_segment(extra));
        let kernel = rest.get(2).map(KernelName::new).transpose();
        if rest.len() > 3 {
            return Err(Refusal::Path);
        }
        Ok(Self {
            mode,
            farm: farm.map_err(word)?,
            extra: extra.transpose().map_err(word)?.unwrap_or_default(),
            kernel: kernel.map_err(|_| Refusal::Kernel)?,
        })
    }
}

/// What a boot medium carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carries {
    /// A boot script.
    Script(Result<Words, Refusal>),
    /// The same with a shell where it fails.
    Debug(Result<Words, Refusal>),
    /// A script that asks.
    Generic,
    /// A script that looks for what is registered for the machine.
    Provision,
}

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Home,
    Images,
    Generate,
    Expert,
    Health,
    Metrics,
    ApiImages,
    Kernel(KernelName),
    Link(RunMode),
    Ipxe(Result<Words, Refusal>),
    Provision(Mac),
    Media(Medium, Carries),
    NotFound,
}

impl Route {
    /// Reads the path of a request's target, as it came.
    pub(super) fn of(path: &str) -> Self {
        let Some(segments) = segments(path) else {
            return Self::NotFound;
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Self::find(&segments).unwrap_or(Self::NotFound)
    }

    fn find(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            [] => Self::Home,
            ["images"] => Self::Images,
            ["generate"] => Self::Generate,
            ["expert"] => Self::Expert,
            ["healthz"] => Self::Health,
            ["metrics"] => Self::Metrics,
            ["api", "images"] => Self::ApiImages,
            ["kernel", LINKS, link] => Self::Link(RunMode::of_link(link)?),
            ["kernel", name] => Self::Kernel(KernelName::new(name).ok()?),
            ["ipxe", words @ ..] => Self::Ipxe(Words::of(words)),
            ["provision", mac] => Self::Provision(mac.parse().ok()?),
            ["debug", words @ ..] => Self::Media(Medium::Iso, Carries::Debug(Words::of(words))),
            [first] => match first.rsplit_once('-')? {
                (form, "generic") => Self::Media(Medium::from_name(form)?, Carries::Generic),
                (form, "provision") => Self::Media(Medium::from_name(form)?, Carries::Provision),
                _ => return None,
            },
            [form, words @ ..] => {
                Self::Media(Medium::from_name(form)?, Carries::Script(Words::of(words)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(parts: &[&str]) -> Words {
        Words::of(parts).unwrap()
    }

    #[test]
    fn every_kind_of_path_is_known() {
        let prod = || Ok(words(&["prod", "42", "a=___b", "k.efi"]));
        for (path, route) in [
            ("/", Route::Home),
            ("/images", Route::Images),
            ("/api/images", Route::ApiImages),
            (
                "/kernel/k.efi",
                Route::Kernel(KernelName::new("k.efi").unwrap()),
            ),
            (
                "/kernel/net/prod.efi",
                Route::Link(RunMode::new("prod").unwrap()),
            ),
            ("/ipxe/prod/42/a%3D___b/k.efi", Route::Ipxe(prod())),
            (
                "/iso/prod/42/a=___b/k.efi",
                Route::Media(Medium::Iso, Carries::Script(prod())),
            ),
            (
                "/uefi-generic",
                Route::Media(Medium::Uefi, Carries::Generic),
            ),
            (
                "/krn-provision",
                Route::Media(Medium::Krn, Carries::Provision),
            ),
            (
                "/provision/52:54:00:12:34:56",
                Route::Provision("52:54:00:12:34:56".parse().unwrap()),
            ),
            ("/ipxe/prod/", Route::Ipxe(Ok(words(&["prod"])))),
            ("/ipxe/Prod", Route::Ipxe(Err(Refusal::Mode))),
            ("/ipxe/prod/1/a/../x", Route::Ipxe(Err(Refusal::Path))),
            ("/ipxe/prod/1/a/net", Route::Ipxe(Err(Refusal::Kernel))),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
        for path in [
            "/../x",
            "/kernel/..%2fx",
            "/kernel/net",
            "/kernel/net/../x",
            "/kernel/net/prod",
            "/kernel/%00",
            "/other",
            "/x-generic",
            "/provision/1",
            "/kernel/a/b/c",
        ] {
            assert_eq!(Route::of(path), Route::NotFound, "{path}");
        }
    }

    #[test]
    fn nothing_hostile_gets_through_a_path() {
        for path in [
            "/ipxe/prod/1%0Ashell",
            "/ipxe/prod/%24%7Bip%7D",
            "/ipxe/prod/1/%22",
            "/ipxe/prod/1/a%20%23",
            "/ipxe/prod/1/%26%26%20shell",
            "/ipxe/prod/1/%0a",
        ] {
            let Route::Ipxe(Err(Refusal::Word(_))) = Route::of(path) else {
                panic!("{path}: {:?}", Route::of(path));
            };
        }
    }
}
