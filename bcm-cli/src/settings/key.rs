//! Every setting: its name in `bcm.toml`, what it takes, its default.
//!
//! A setting `hub.delete-after` is the flag `--delete-after` of the commands under `bcm hub`, the
//! variable `BCM_HUB_DELETE_AFTER`, and the key `delete-after` of `[hub]` in `bcm.toml`. The three
//! are read by the same function. What means something for one run only (`--dry-run`, `--once`)
//! is a flag and nothing else.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bcm_bootstrap_sync::ipxe::ServerUrl;
use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::run_mode::RunMode;
use bcm_bootstrap_sync::serve::{Mac, Provision};
use bcm_core::http::Url;
use bcm_hub_sync::flist::Backend;
use bcm_hub_sync::store::routed::Route;
use bcm_hub_sync::zdb::ZdbAddress;
use bcm_stack::caddy::Mail;
use bcm_stack::domain::Domain;

use super::value::{self, DeleteAfter, Listen, Window};
use crate::args::choices::{Blocks, Certificates, Flists, Output, Profile};

/// What a key takes in `bcm.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// An array of strings, or one string alone.
    Texts,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Switch,
    /// A string such as `"20%"`, or a number.
    Share,
}

impl Kind {
    /// For messages: "expected …".
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "an array of strings",
            Self::Count => "a whole number",
            Self::Switch => "true or false",
            Self::Share => "a string such as \"20%\" or a number",
        }
    }
}

/// What is known of a setting without its type.
#[derive(Debug)]
pub(crate) struct Meta {
    /// Its name: `hub.delete-after`.
    pub(crate) name: &'static str,
    /// What it takes in the file.
    pub(crate) kind: Kind,
    /// Its default, as it would be typed. Empty: nothing, or found out when it runs.
    pub(crate) default: &'static [&'static str],
    /// Where the default is not a constant: what it is, for people.
    pub(crate) default_text: &'static str,
    /// The flag, without its dashes.
    pub(crate) flag: &'static str,
    /// What it does, in a sentence for the reference.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "a test compares it with the README's reference")
    )]
    pub(crate) about: &'static str,
}

impl Meta {
    /// The environment variable: `BCM_HUB_DELETE_AFTER`.
    pub(crate) fn variable(&self) -> String {
        let name = self.name.replace(['.', '-'], "_").to_uppercase();
        format!("{}{name}", crate::environment::PREFIX)
    }

    /// The default for people.
    pub(crate) fn default_for_people(&self) -> String {
        match self.default_text {
            "" => self.default.join(", "),
            text => text.to_owned(),
        }
    }
}

/// A setting with its type.
#[derive(Debug)]
pub(crate) struct Key<T> {
    pub(crate) meta: Meta,
    /// Reads one value.
    pub(crate) parse: fn(&str) -> Result<T, String>,
}

/// A setting whose type does not matter: for checking `bcm.toml`, `config get` and the reference.
pub(crate) trait AnyKey: Sync {
    /// What is known of it.
    fn meta(&self) -> &Meta;
    /// Whether `text` is one of its values.
    fn check(&self, text: &str) -> Result<(), String>;
}

impl<T> AnyKey for Key<T> {
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn check(&self, text: &str) -> Result<(), String> {
        (self.parse)(text).map(drop)
    }
}

fn from_str<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

fn choice<T: clap::ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|variant| Some(variant.to_possible_value()?.get_name().to_owned()))
            .collect();
        format!("{text:?} is not one of: {}", names.join(", "))
    })
}

pub(crate) fn zdb_address(text: &str) -> Result<ZdbAddress, String> {
    text.parse()
        .map_err(|error: bcm_hub_sync::zdb::address::InvalidAddress| error.to_string())
}

/// The address of a bootstrap server, as boot scripts have it.
pub(crate) fn server_url(text: &str) -> Result<ServerUrl, String> {
    ServerUrl::new(text).map_err(|error| error.to_string())
}

/// A 0-db that keeps blocks, and which.
pub(crate) fn route(text: &str) -> Result<Route, String> {
    text.parse()
        .map_err(|error: bcm_hub_sync::store::routed::InvalidRoute| error.to_string())
}

/// The domain of a mirror.
pub(crate) fn domain(text: &str) -> Result<Domain, String> {
    Domain::new(text).map_err(|error| error.to_string())
}

/// A public address of a mirror.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an address of IPv4 or IPv6"))
}

/// Where a certificate authority writes to.
pub(crate) fn mail(text: &str) -> Result<Mail, String> {
    Mail::new(text).map_err(|error| error.to_string())
}

/// The name of a kernel.
pub(crate) fn kernel_name(text: &str) -> Result<KernelName, String> {
    KernelName::new(text).map_err(|error| error.to_string())
}

/// The URL of a Bootstrap to mirror.
pub(crate) fn bootstrap_url(text: &str) -> Result<Url, String> {
    hub_url(text)
}

/// An upstream hub's URL.
pub(crate) fn hub_url(text: &str) -> Result<Url, String> {
    let shown = bcm_core::redact::url(text);
    let url: Url = text
        .parse()
        .map_err(|error| format!("{shown:?} is not a URL ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{shown:?} does not begin with http:// or https://"));
    }
    Ok(url)
}

macro_rules! keys {
    ($($(#[doc = $about:literal])+ $ident:ident: $type:ty = $name:literal, $flag:literal, $kind:ident, [$($default:literal),*] $(($text:literal))?, $parse:expr;)*) => {
        $(
            $(#[doc = $about])+
            pub(crate) static $ident: Key<$type> = Key {
                meta: Meta {
                    name: $name,
                    flag: $flag,
                    kind: Kind::$kind,
                    default: &[$($default),*],
                    default_text: concat!($($text)?),
                    about: concat!($($about),+),
                },
                parse: $parse,
            };
        )*
        /// All settings, in the order of the reference.
        pub(crate) static ALL: &[&dyn AnyKey] = &[$(&$ident),*];
    };
}

keys! {
    /// The data folder. In `bcm.toml`, a relative path starts from the file's folder.
    DATA: PathBuf = "data", "data", Text, [] ("`/var/lib/bcm` as root, else `$XDG_DATA_HOME/bcm`"), value::path;
    /// How results and messages are written: `text` or `json`.
    OUTPUT: Output = "output", "output", Text, ["text"], choice;
    /// Only warnings and errors on stderr.
    QUIET: bool = "quiet", "quiet", Switch, ["false"], value::switch;
    /// Where `/metrics` is answered instead, for all that this process serves: `127.0.0.1:9100`. The public servers have no such path then.
    METRICS: Listen = "metrics", "metrics", Texts, [] ("the servers' own addresses"), from_str;
    /// Where blocks are kept instead of the data folder: a 0-db, or several by the first byte of the keys (`00-7f=zdb://A`, `80-ff=zdb://B`). Ranges that overlap are replicas.
    STORE: Route = "hub.store", "store", Texts, [] ("the data folder"), route;
    /// The hubs to mirror, in the order they are tried: the next one is asked when one fails.
    UPSTREAM: Url = "hub.upstream", "upstream", Texts, ["https://hub.grid.tf", "https://hub.threefold.me"], hub_url;
    /// The 0-dbs to fetch blocks from, in the order they are tried: `zdb://[[USER]:PASSWORD@]HOST[:PORT][/NAMESPACE]`.
    UPSTREAM_ZDB: ZdbAddress = "hub.upstream-zdb", "upstream-zdb", Texts, [] ("each hub's host, port 9900, namespace `default`"), zdb_address;
    /// Mirror only repositories whose name matches one of these globs.
    REPO: String = "hub.repo", "repo", Texts, [] ("all"), value::glob;
    /// Mirror only entries whose name matches one of these globs.
    NAME: String = "hub.name", "name", Texts, [] ("all"), value::glob;
    /// A ready-made selection. `zos`: the smallest that Zero-OS nodes boot and run from.
    PROFILE: Profile = "hub.profile", "profile", Text, [] ("none"), choice;
    /// How long an entry that is gone upstream is kept here: `90s`, `12h`, `7d`, `2w`, or `never` deleted.
    DELETE_AFTER: DeleteAfter = "hub.delete-after", "delete-after", Text, ["7d"], from_str;
    /// Delete nothing when more than this share of the mirror is missing upstream at once.
    MAX_DELETE: f64 = "hub.max-delete", "max-delete", Share, ["20%"], value::share;
    /// `closure`: every block that the mirrored flists name. `all`: every block that the upstream's 0-db has. `none`: no blocks; then nodes need another source for them.
    BLOCKS: Blocks = "hub.blocks", "blocks", Text, ["closure"], choice;
    /// `verbatim`: flists as they are upstream. `rewritten`: with their `backend` pointing at this mirror.
    FLISTS: Flists = "hub.flists", "flists", Text, ["verbatim"], choice;
    /// This mirror's public 0-db address, which `flists = "rewritten"` writes: `HOST[:PORT][/NAMESPACE]`.
    BACKEND: Backend = "hub.backend", "backend", Text, [] ("none"), value::public_backend;
    /// How many HTTP requests to the upstream are under way at a time.
    PARALLEL: usize = "hub.parallel", "parallel", Count, ["16"], value::count;
    /// How many connections to each 0-db blocks are fetched over.
    CONNECTIONS: usize = "hub.connections", "connections", Count, ["4"], value::count;
    /// How long a connection to an upstream may take to be made.
    CONNECT_TIMEOUT: Duration = "hub.connect-timeout", "connect-timeout", Text, ["10s"], value::duration;
    /// How long an upstream that is connected to may say nothing.
    TIMEOUT: Duration = "hub.timeout", "timeout", Text, ["30s"], value::duration;
    /// How often a request to an upstream is tried, with growing pauses, before it counts as failed.
    ATTEMPTS: usize = "hub.attempts", "attempts", Count, ["5"], value::count;
    /// The most that is downloaded in a second, in bytes: `500k`, `10M`, `1G`.
    MAX_RATE: u64 = "hub.max-rate", "max-rate", Text, [] ("any"), value::rate;
    /// The most requests to the upstream in a second, of HTTP and of 0-db each.
    MAX_REQUESTS: usize = "hub.max-requests", "max-requests", Count, [] ("any"), value::requests;
    /// Kept although upstream deletes them: globs over repositories and what is in them, such as `tf-zos` or `alice/*.flist`.
    PIN: String = "hub.pin", "pin", Texts, [] ("none"), value::glob;
    /// How many snapshots are kept beside those that are pinned; 0 makes none.
    SNAPSHOTS: usize = "hub.snapshots", "snapshots", Count, ["30"], value::count_or_none;
    /// How long the blocks of an flist that is neither published nor in a snapshot any more are spared by `bcm hub gc`.
    GRACE: Duration = "hub.grace", "grace", Text, ["7d"], value::duration;
    /// With `--follow`: the pause between two syncs.
    INTERVAL: Duration = "hub.interval", "interval", Text, ["10m"], value::pause;
    /// The share by which that pause is longer or shorter by chance, so that mirrors do not all ask at once.
    JITTER: f64 = "hub.jitter", "jitter", Share, ["10%"], value::share;
    /// While syncs fail, the pause between them starts at 15 seconds and doubles up to this.
    LONGEST_RETRY: Duration = "hub.longest-retry", "longest-retry", Text, ["15m"], value::pause;
    /// With `--follow`: also sync soon after the upstream's 0-db says that it got blocks.
    WAKE: bool = "hub.wake", "wake", Switch, ["true"], value::switch;
    /// Where the hub's HTTP server listens: `:8080`, `127.0.0.1:8080`, `[::1]:8080`. Port 0 lets the system pick.
    HTTP: Listen = "hub.http", "http", Texts, [":8080"], from_str;
    /// Where the 0-db server listens.
    ZDB: Listen = "hub.zdb", "zdb", Texts, [":9900"], from_str;
    /// In a hub that stands alone: the largest file that is taken over the network: `500M`, `2G`.
    MAX_UPLOAD: u64 = "hub.max-upload", "max-upload", Text, ["2G"], value::size;
    /// In a hub that stands alone: the most that an archive from the network may unpack to.
    MAX_UNPACKED: u64 = "hub.max-unpacked", "max-unpacked", Text, ["20G"], value::size;
    /// In a hub that stands alone: how long an upload may take.
    UPLOAD_TIMEOUT: Duration = "hub.upload-timeout", "upload-timeout", Text, ["30m"], value::pause;
    /// In a hub that stands alone: how many uploads are taken at the same time.
    UPLOADS: usize = "hub.uploads", "uploads", Count, ["4"], value::count;
    /// The Bootstraps to mirror, in the order they are tried: the next one is asked when one fails.
    BOOTSTRAP_UPSTREAM: Url = "bootstrap.upstream", "upstream", Texts, ["https://bootstrap.grid.tf"], bootstrap_url;
    /// Mirror only kernels that are at most this old: `90d`, `52w`, or `all`. What a run mode leads to is mirrored in any case.
    BOOTSTRAP_SINCE: Window = "bootstrap.since", "since", Text, ["365d"], from_str;
    /// Mirror only so many kernels, the newest.
    BOOTSTRAP_NEWEST: usize = "bootstrap.newest", "newest", Count, [] ("all"), value::count;
    /// Mirror only kernels whose name matches one of these globs.
    BOOTSTRAP_NAME: String = "bootstrap.name", "name", Texts, [] ("all"), value::glob;
    /// Kernels to mirror in any case, and never to delete.
    BOOTSTRAP_PIN: KernelName = "bootstrap.keep", "keep", Texts, [] ("none"), kernel_name;
    /// The run modes that there are, each `NAME=TITLE`. Upstream's links of these are mirrored; any other is answered with 401.
    BOOTSTRAP_MODE: (RunMode, String) = "bootstrap.run-mode", "run-mode", Texts, ["prod=Production", "test=Testing", "dev=Development", "qa=Quality assurance"], value::run_mode;
    /// How long a kernel that is not wanted any more is kept here: `90s`, `12h`, `7d`, `2w`, or `never` deleted.
    BOOTSTRAP_DELETE_AFTER: DeleteAfter = "bootstrap.delete-after", "delete-after", Text, ["7d"], from_str;
    /// Delete nothing when more than this share of the kernels is missing upstream at once.
    BOOTSTRAP_MAX_DELETE: f64 = "bootstrap.max-delete", "max-delete", Share, ["20%"], value::share;
    /// How many kernels are downloaded at a time.
    BOOTSTRAP_PARALLEL: usize = "bootstrap.parallel", "parallel", Count, ["4"], value::count;
    /// How long a connection to an upstream may take to be made.
    BOOTSTRAP_CONNECT_TIMEOUT: Duration = "bootstrap.connect-timeout", "connect-timeout", Text, ["10s"], value::duration;
    /// How long an upstream that is connected to may say nothing.
    BOOTSTRAP_TIMEOUT: Duration = "bootstrap.timeout", "timeout", Text, ["30s"], value::duration;
    /// How often a request to an upstream is tried, with growing pauses, before it counts as failed.
    BOOTSTRAP_ATTEMPTS: usize = "bootstrap.attempts", "attempts", Count, ["5"], value::count;
    /// With `--follow`: the pause between two syncs.
    BOOTSTRAP_INTERVAL: Duration = "bootstrap.interval", "interval", Text, ["10m"], value::pause;
    /// Where the Bootstrap's HTTP server listens. Nodes ask at port 80.
    BOOTSTRAP_HTTP: Listen = "bootstrap.http", "http", Texts, [":8081"], from_str;
    /// The server that machines boot from, as boot scripts and boot media name it: `http://HOST[:PORT]`. iPXE trusts few certificates, so plain HTTP.
    BOOTSTRAP_BOOT_URL: ServerUrl = "bootstrap.boot-url", "boot-url", Text, [] ("scripts name the host that was asked, or `unsecure.HOST` where that was by HTTPS; media `http://unsecure.bootstrap.grid.tf`"), server_url;
    /// What single machines boot, each `MAC=MODE[/FARM[/ARGUMENTS[/KERNEL]]]`: the answer at `/provision/MAC`.
    BOOTSTRAP_PROVISION: (Mac, Provision) = "bootstrap.provision", "provision", Texts, [] ("none"), value::provision;
    /// Where a prebuilt iPXE is (`ipxe.lkrn`, `ipxe.efi`, `snponly.efi`), of which boot media are made.
    IPXE_DIR: PathBuf = "bootstrap.ipxe-dir", "ipxe-dir", Texts, ["/usr/lib/ipxe", "/boot"], value::path;
    /// The domain below which the mirror's names are: `hub.DOMAIN`, `bootstrap.DOMAIN` and `unsecure.bootstrap.DOMAIN`.
    STACK_DOMAIN: Domain = "stack.domain", "domain", Text, [] ("none"), domain;
    /// The public addresses, of IPv4 and IPv6, on which the mirror's ports answer.
    STACK_ADDRESS: IpAddr = "stack.address", "address", Texts, [] ("the public ones of `[[cluster.member]]`"), address;
    /// Where certificates come from. `automatic`: a public authority, by ACME. `internal`: an authority of Caddy's own. `files`: you give them.
    STACK_CERTIFICATES: Certificates = "stack.certificates", "certificates", Text, ["automatic"], choice;
    /// With automatic certificates: where the authority may write to.
    STACK_MAIL: Mail = "stack.mail", "mail", Text, [] ("none"), mail;
}

/// The setting of this name.
pub(crate) fn find(name: &str) -> Option<&'static dyn AnyKey> {
    ALL.iter().copied().find(|key| key.meta().name == name)
}

/// The setting, or section of settings, that was meant by a name that is neither: the same word in
/// another section, or one with a slip of the finger in it.
pub(crate) fn meant(typed: &str) -> Option<&'static str> {
    let names = || ALL.iter().map(|key| key.meta().name);
    let word = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(name) = names().find(|name| word(name) == word(typed)) {
        return Some(name);
    }
    let allowed = (typed.chars().count() / 4).clamp(1, 3);
    names()
        .chain(names().filter_map(|name| Some(name.split_once('.')?.0)))
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_one_of_the_keys_values() {
        for key in ALL {
            for text in key.meta().default {
                assert_eq!(key.check(text), Ok(()), "{}", key.meta().name);
            }
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        for (typed, name) in [
            ("hub.upsteam", Some("hub.upstream")),
            ("hub.delete_after", Some("hub.delete-after")),
            ("upstream", Some("hub.upstream")),
            ("hub.data", Some("data")),
            ("dta", Some("data")),
            ("hubb", Some("hub")),
            ("hub.colour", None),
            ("x", None),
        ] {
            assert_eq!(meant(typed), name, "{typed}");
        }
    }

    #[test]
    fn variables_are_named_after_keys() {
        assert_eq!(DELETE_AFTER.meta.variable(), "BCM_HUB_DELETE_AFTER");
        assert_eq!(DATA.meta.variable(), "BCM_DATA");
    }

    #[test]
    fn a_url_with_a_password_is_not_repeated() {
        let error = hub_url("ftp://me:secret@host").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
