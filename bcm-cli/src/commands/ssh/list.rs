//! `bcm ssh list-onion`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions::{Onion, OnionName, Through};
use crate::printer::{Show, table};

/// What `list-onion` answers: no key is in it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    hosts: &'a BTreeMap<OnionName, Onion>,
}

/// Lists the machines that are reached through Tor.
pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let onions = super::load(context)?;
    context.printer.show(&Listed {
        hosts: onions.hosts(),
    })?;
    Ok(ExitCode::Done)
}

impl Show for Listed<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.hosts.is_empty() {
            return writeln!(
                out,
                "no machine is reached through Tor; `bcm ssh add-onion` adds one"
            );
        }
        let mut rows = vec![
            ["NAME", "USER", "ADDRESS", "THROUGH", "KEY"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (name, onion) in self.hosts {
            rows.push(vec![
                name.to_string(),
                onion.user.clone().unwrap_or_else(|| "-".to_owned()),
                match onion.port {
                    22 => onion.address.clone(),
                    port => format!("{}:{port}", onion.address),
                },
                match &onion.through {
                    Through::OwnTor => "a Tor of your own".to_owned(),
                    Through::Socks(address) => address.clone(),
                    Through::SystemTor(address) => format!("the system's Tor, {address}"),
                },
                if onion.key { "yes" } else { "none" }.to_owned(),
            ]);
        }
        table(out, &rows)
    }
}
