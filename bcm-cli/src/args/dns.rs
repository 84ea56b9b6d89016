//! `bcm dns`.

use std::net::IpAddr;

use bcm_stack::domain::Domain;
use clap::{Args, Subcommand};

use crate::settings::key;
use crate::settings::value::NameServer;

/// The DNS records that a mirror is reached by
#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Print the A and AAAA records that the domain's zone has to have
    Records(RecordsCommand),
    /// Look the names up, and say which records are missing or too much
    ///
    /// Exit code 4 when a name has other addresses than it should. Asks the name servers of this
    /// machine's /etc/resolv.conf; /etc/hosts does not count, for nobody else reads it.
    Check(CheckCommand),
}

/// `bcm dns records`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecordsCommand {
    #[command(flatten)]
    pub(crate) names: NamesArgs,

    /// One record for each address at *.DOMAIN, instead of one for each name
    #[arg(long)]
    pub(crate) wildcard: bool,
}

/// `bcm dns check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckCommand {
    #[command(flatten)]
    pub(crate) names: NamesArgs,

    /// Ask this name server instead: 9.9.9.9, 192.0.2.1:5353, [2001:db8::1]:53
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) server: Option<NameServer>,
}

/// Which names, and where they lead.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamesArgs {
    /// The domain below which the mirror's names are: hub.DOMAIN, bootstrap.DOMAIN and so on
    #[arg(long, value_name = "DOMAIN", value_parser = key::domain)]
    pub(crate) domain: Option<Domain>,

    /// A public address, of IPv4 or IPv6, on which the mirror's ports answer; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Vec<IpAddr>,
}
