//! The scripts that lead a machine from its firmware to a kernel.
//!
//! ```
//! use bcm_bootstrap_sync::ipxe::{BootScript, Boots, ExtraArguments, FarmId, ServerUrl};
//! use bcm_bootstrap_sync::run_mode::RunModes;
//!
//! let modes = RunModes::default();
//! let (mode, title) = modes.iter().next().unwrap();
//! let script = BootScript {
//!     server: ServerUrl::new("http://boot.example.org").unwrap(),
//!     mode: mode.clone(),
//!     title: title.to_owned(),
//!     farm: Some(FarmId::new("42").unwrap()),
//!     extra: ExtraArguments::default(),
//!     boots: Boots::RunMode,
//! };
//! assert!(script.render().starts_with("#!ipxe\n"));
//! assert_eq!(
//!     script.command_line(),
//!     "nomodeset version=v3 runmode=prod panic=7200 farmer_id=42"
//! );
//! ```
//!
//! Everything that varies in a script is of a checked type, so that nobody can put a command into the
//! script that another machine runs: see [`WordError`].

mod words;

use crate::kernel::KernelName;
use crate::run_mode::{RunMode, RunModes};
use bcm_core::serve::path::encode;

pub use words::{ExtraArguments, FarmId, ServerUrl, WordError};

/// Where scripts learn the time, which checking certificates needs.
const TIME_SERVER: &str = "pool.ntp.org";

/// Finds an address: every network interface in turn, three times. Goes on at `online`, or at
/// `no_network`.
const NETWORK: &str = "\
set round:int32 0
:round
inc round
echo Looking for a network, attempt ${round} of 3
set nic:int32 0
:nic
isset ${net${nic}/mac} || goto round_over
echo Asking for an address on net${nic} (${net${nic}/mac})
dhcp net${nic} && goto online ||
ifclose net${nic} ||
inc nic
goto nic
:round_over
iseq ${round} 3 && goto no_network ||
sleep 2
goto round

:online
echo Address: ${net${nic}/ip}, gateway: ${net${nic}/gateway}, name server: ${net${nic}/dns}
";

/// What is said when no interface got an address, and the way all failures end.
const NO_NETWORK: &str = "
:no_network
echo
echo No network interface got an address. Check the cable, and that there is a DHCP server.
goto restart
";

const RESTART: &str = "
:restart
echo This machine restarts in 30 seconds.
sleep 30
reboot
";

const SHELL: &str = "
:restart
echo Here is a shell. Type exit to restart.
shell
reboot
";

/// Which kernel a script boots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Boots {
    /// The one that the run mode links to when the machine starts.
    RunMode,
    /// This one, whatever the run mode links to.
    Kernel(KernelName),
}

/// What a boot script does. `title` is one of [`RunModes`], which checks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BootScript {
    /// Where the kernel is fetched from. iPXE trusts few certificates, so this is plain HTTP mostly.
    pub server: ServerUrl,
    /// The network to join.
    pub mode: RunMode,
    /// Its name for people.
    pub title: String,
    /// Whose node it is.
    pub farm: Option<FarmId>,
    /// More for the kernel's command line.
    pub extra: ExtraArguments,
    /// The kernel.
    pub boots: Boots,
}

impl BootScript {
    /// The kernel's command line.
    #[must_use]
    pub fn command_line(&self) -> String {
        let mut line = format!(
            "nomodeset version=v3 runmode={} panic=7200",
            self.mode.as_str()
        );
        if let Some(farm) = &self.farm {
            line += " farmer_id=";
            line += farm.as_str();
        }
        if !self.extra.is_empty() {
            line += " ";
            line += self.extra.as_str();
        }
        line
    }

    /// Where the kernel is.
    #[must_use]
    pub fn kernel_url(&self) -> String {
        match &self.boots {
            Boots::RunMode => format!("{}/kernel/net/{}", self.server, self.mode.link()),
            Boots::Kernel(name) => format!("{}/kernel/{}", self.server, encode(name.as_str())),
        }
    }

    /// The path below `/ipxe`, `/iso` and so on that stands for this: `/prod/42/…`. A later part needs
    /// the ones before it; an absent farm id or absent arguments before a kernel have no place
    /// in such a path, then there is none.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        let mut path = format!("/{}", encode(self.mode.as_str()));
        let kernel = match &self.boots {
            Boots::RunMode => None,
            Boots::Kernel(name) => Some(encode(name.as_str())),
        };
        match &self.farm {
            Some(farm) => path += &format!("/{}", encode(farm.as_str())),
            None if self.extra.is_empty() && kernel.is_none() => return Some(path),
            None => return None,
        }
        if !self.extra.is_empty() {
            path += &format!("/{}", encode(&self.extra.to_segment()));
        } else if kernel.is_some() {
            // A space stands for no arguments: an empty segment is none.
            path += "/%20";
        }
        if let Some(kernel) = kernel {
            path += &format!("/{kernel}");
        }
        Some(path)
    }

    /// The script, but with a shell in the place of every restart: for finding out what fails.
    #[must_use]
    pub fn render_debug(&self) -> String {
        self.render().replace(RESTART, SHELL)
    }

    /// The script.
    #[must_use]
    pub fn render(&self) -> String {
        let farm = self.farm.as_ref().map_or("none", FarmId::as_str);
        let extra = if self.extra.is_empty() {
            "none"
        } else {
            self.extra.as_str()
        };
        let (server, title, mode) = (&self.server, &self.title, self.mode.as_str());
        let (kernel, line) = (self.kernel_url(), self.command_line());
        format!(
            "#!ipxe

echo
echo Zero-OS, from {server}
echo
echo Release:    {title} ({mode})
echo Farm id:    {farm}
echo Parameters: {extra}
echo

{NETWORK}ntp {TIME_SERVER} || echo The time could not be set. This only matters for HTTPS.

set attempt:int32 0
:fetch
inc attempt
echo Fetching the kernel, attempt ${{attempt}} of 3
imgfetch --name zero-os {kernel} {line} && goto start ||
iseq ${{attempt}} 3 && goto no_kernel ||
sleep 3
goto fetch

:start
imgexec zero-os || goto not_started
{NO_NETWORK}
:no_kernel
echo
echo The kernel could not be fetched from {server}.
goto restart

:not_started
echo
echo The kernel was fetched, but this machine could not start it.
goto restart
{RESTART}"
        )
    }
}

/// A script that finds a network and then runs the script at `path` of `server`, which begins with
/// a slash and is of checked words, such as [`BootScript::path`] below `/ipxe`. For media
/// that should follow what the server says, rather than what it said when they were made.
#[must_use]
pub fn chain(server: &ServerUrl, path: &str) -> String {
    format!(
        "#!ipxe

echo
echo Zero-OS, from {server}
echo

{NETWORK}
set attempt:int32 0
:fetch
inc attempt
echo Fetching the boot script, attempt ${{attempt}} of 3
chain --replace {server}{path} ||
iseq ${{attempt}} 3 && goto no_script ||
sleep 3
goto fetch
{NO_NETWORK}
:no_script
echo
echo The boot script could not be fetched from {server}.
goto restart
{RESTART}"
    )
}

/// A script that runs what `server` has registered for the machine's MAC address, `/provision/MAC`.
#[must_use]
pub fn provision(server: &ServerUrl) -> String {
    chain(server, "/provision/${net${nic}/mac}")
}

/// A script that asks a person for the run mode and the farm id, and then runs the server's script for
/// them. What is typed goes through the server's checks.
#[must_use]
pub fn generic(server: &ServerUrl, modes: &RunModes) -> String {
    let items: String = modes
        .iter()
        .map(|(mode, title)| format!("item {mode} {title}\n"))
        .collect();
    let question = format!(
        "#!ipxe

menu Zero-OS, from {server}
{items}choose --default {first} mode || goto restart
echo
echo -n Farm id (a number): && read farm ||
",
        first = modes
            .iter()
            .next()
            .map_or("prod", |(mode, _)| mode.as_str())
    );
    let rest = chain(server, "/ipxe/${mode}/${farm:uristring}");
    question + rest.strip_prefix("#!ipxe\n").unwrap_or(&rest)
}

#[cfg(test)]
mod tests;
