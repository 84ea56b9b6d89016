//! `bcm dns`.

use std::io::{self, Write};
use std::net::IpAddr;

use bcm_stack::dns::resolve::resolve;
use bcm_stack::dns::{Checked, Form, NameCheck, Record, compare, is_public, records};
use serde::Serialize;

use super::{Context, block_on};
use crate::args::dns::{CheckCommand, DnsCommand, RecordsCommand};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::settings::stack;

/// Carries out `bcm dns …`.
pub(super) fn run(context: &Context, command: &DnsCommand) -> Result<ExitCode, Failure> {
    match command {
        DnsCommand::Records(args) => print(context, args),
        DnsCommand::Check(args) => block_on(check(context, args)),
    }
}

/// The records that there have to be.
#[derive(Debug, Serialize)]
struct Records {
    records: Vec<Record>,
}

fn print(context: &Context, args: &RecordsCommand) -> Result<ExitCode, Failure> {
    let domain = stack::domain(&context.settings, args.names.domain.as_ref())?;
    let addresses = stack::addresses(&context.settings, &args.names.address)?;
    warn_of_private(context, &addresses);
    let form = match args.wildcard {
        true => Form::Wildcard,
        false => Form::Individual,
    };
    context.printer.show(&Records {
        records: records(&domain, &addresses, form),
    })?;
    Ok(ExitCode::Done)
}

fn warn_of_private(context: &Context, addresses: &[IpAddr]) {
    for address in addresses.iter().filter(|address| !is_public(address)) {
        context.reporter.warn(&format!(
            "{address} is reached from its own network only; nodes elsewhere find no mirror there"
        ));
    }
}

impl Show for Records {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |record: &Record| {
            vec![
                format!("{}.", record.name),
                record.kind.to_string(),
                record.address.to_string(),
            ]
        };
        table(out, &self.records.iter().map(row).collect::<Vec<_>>())
    }
}

async fn check(context: &Context, args: &CheckCommand) -> Result<ExitCode, Failure> {
    let domain = stack::domain(&context.settings, args.names.domain.as_ref())?;
    let addresses = stack::addresses(&context.settings, &args.names.address)?;
    warn_of_private(context, &addresses);
    let found = resolve(&domain, args.server.map(|server| server.0))
        .await
        .map_err(|error| Failure::new(error).with_hint("name a server to ask: --server ADDRESS"))?;
    let checked = compare(&domain, &addresses, &found);
    let code = match checked.right {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    };
    context.printer.show(&checked)?;
    Ok(code)
}

impl Show for Checked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = Vec::new();
        for name in &self.names {
            rows.extend(
                lines(name)
                    .into_iter()
                    .map(|[mark, address, what]| vec![mark, name.name.clone(), address, what]),
            );
        }
        table(out, &rows)?;
        match self.right {
            true => writeln!(out, "the names lead to the mirror"),
            false => writeln!(out, "the names do not lead to the mirror yet"),
        }
    }
}

fn lines(name: &NameCheck) -> Vec<[String; 3]> {
    if let Some(why) = &name.failure {
        return vec![["✗", "", why].map(str::to_owned)];
    }
    let all = [
        (&name.right, "✓", ""),
        (&name.missing, "✗", "missing"),
        (&name.unexpected, "✗", "not the mirror's"),
    ];
    let line = |address: &IpAddr, mark: &str, what: &str| {
        [mark.to_owned(), address.to_string(), what.to_owned()]
    };
    all.into_iter()
        .flat_map(|(addresses, mark, what)| addresses.iter().map(move |a| line(a, mark, what)))
        .collect()
}
