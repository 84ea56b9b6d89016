//! What can be typed: one file a command group, clap and nothing else. What it means is found out
//! in [`settings`](crate::settings).

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these are help texts: brackets mean what may be left out"
)]

pub(crate) mod autoinstall;
pub(crate) mod bootstrap;
pub(crate) mod choices;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod dns;
pub(crate) mod flist;
pub(crate) mod global;
pub(crate) mod host;
pub(crate) mod hub;
pub(crate) mod publishing;
pub(crate) mod snapshot;
pub(crate) mod ssh;
pub(crate) mod stack;
pub(crate) mod vm;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::settings::key;

/// Clusters of LXD or Incus, and a verified mirror of a Zero-OS Hub that serves real nodes
#[derive(Debug, Parser)]
#[command(
    name = "bcm",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done except for some entries, \
                  4 unhealthy or damage found, 130 interrupted.\n\
                  Flags win over BCM_… variables, those over bcm.toml."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: global::GlobalArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show version, files and settings in use
    Info(hub::DataArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Hub(Box<hub::HubCommand>),
    #[command(subcommand)]
    Bootstrap(Box<bootstrap::BootstrapCommand>),
    #[command(subcommand)]
    Cluster(Box<cluster::ClusterCommand>),
    #[command(subcommand)]
    Host(host::HostCommand),
    #[command(subcommand)]
    Ssh(ssh::SshCommand),
    #[command(subcommand)]
    Stack(stack::StackCommand),
    #[command(subcommand)]
    Dns(dns::DnsCommand),
    #[command(subcommand)]
    Flist(flist::FlistCommand),
    /// Write a completion script for a shell to stdout
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual: `bcm.1` to stdout, or a page for every command into a folder
    Man {
        /// The folder, created where it does not exist
        dir: Option<PathBuf>,
    },
}

/// The command as clap knows it, with the variable, the key and the default of every setting
/// added to its flag's help.
pub(crate) fn command() -> clap::Command {
    let mut command = decorate(Cli::command(), HUB);
    command.build();
    command
}

/// The section of `bcm.toml` that flags belong to where nothing else is said.
const HUB: &str = "hub";

/// `section`: the one whose settings the command's flags are, beside those that have no section.
fn decorate(mut command: clap::Command, section: &'static str) -> clap::Command {
    let section = match command.get_name() {
        "bootstrap" => "bootstrap",
        "dns" | "render" => "stack",
        _ => section,
    };
    // Its flags say themselves where they are in `[cluster]`, which is read in one piece.
    if matches!(command.get_name(), "cluster" | "host" | "ssh") {
        return command;
    }
    let flags: Vec<(clap::Id, String)> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().clone(), arg.get_long()?.to_owned())))
        .collect();
    for (id, flag) in flags {
        let Some(meta) = key::ALL.iter().map(|key| key.meta()).find(|meta| {
            let of = meta.name.split_once('.').map(|(section, _)| section);
            meta.flag == flag && of.is_none_or(|of| of == section)
        }) else {
            continue;
        };
        let (name, variable) = (meta.name, meta.variable());
        let default = meta.default_for_people().replace('`', "");
        command = command.mut_arg(id, |arg| {
            let short = arg.get_help().cloned().unwrap_or_default();
            let long = arg
                .get_long_help()
                .cloned()
                .unwrap_or_else(|| short.clone());
            let arg = match meta.kind {
                // A flag that is given or not.
                key::Kind::Switch => arg,
                _ => arg.help(format!("{short} [default: {default}]")),
            };
            arg.long_help(format!(
                "{long}\n\n[default: {default}] [variable: {variable}] [bcm.toml: {name}]"
            ))
        });
    }
    command.mut_subcommands(|command| decorate(command, section))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_mistake() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_has_a_flag_that_says_so() {
        fn flags(command: &clap::Command, found: &mut Vec<(String, String)>) {
            for arg in command.get_arguments() {
                if let Some(flag) = arg.get_long() {
                    let help = arg.get_long_help().map(ToString::to_string);
                    found.push((flag.to_owned(), help.unwrap_or_default()));
                }
            }
            for sub in command.get_subcommands() {
                flags(sub, found);
            }
        }
        let mut found = Vec::new();
        flags(&command(), &mut found);
        for key in key::ALL {
            let meta = key.meta();
            let place = format!("[variable: {}] [bcm.toml: {}]", meta.variable(), meta.name);
            assert!(
                found
                    .iter()
                    .any(|(flag, help)| flag == meta.flag && help.ends_with(&place)),
                "{}",
                meta.name
            );
        }
    }
}
