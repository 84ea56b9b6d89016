//! `bcm hub token`.

use std::io::{self, Write};
use std::path::PathBuf;

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::Mode;
use bcm_hub_sync::tokens::{self, Token, TokenError};
use serde::Serialize;

use crate::args::publishing::{CreateTokenCommand, TokenCommand};
use crate::commands::Context;
use crate::commands::flist::shown_time;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};

/// Carries out `bcm hub token …`.
pub(super) fn run(context: &Context, command: &TokenCommand) -> Result<ExitCode, Failure> {
    let data = |args: &crate::args::hub::DataArgs| -> Result<PathBuf, Failure> {
        Ok(context.settings.data(args.data.as_deref())?.0)
    };
    match command {
        TokenCommand::Create(args) => create(context, args, data(&args.data)?),
        TokenCommand::List(args) => {
            let data = data(args)?;
            let tokens = tokens::list(&Layout::new(&data)).map_err(failure)?;
            context.printer.show(&List { data, tokens })?;
            Ok(ExitCode::Done)
        }
        TokenCommand::Revoke(args) => {
            let layout = Layout::new(data(&args.data)?);
            let revoked = tokens::revoke(&layout, &args.id).map_err(failure)?;
            context.printer.show(&Revoked { revoked })?;
            Ok(ExitCode::Done)
        }
    }
}

fn failure(error: TokenError) -> Failure {
    let hint = match &error {
        TokenError::Mirror { .. } => {
            "`bcm hub detach` lets a mirror stand alone; `bcm hub standalone` makes an empty hub"
        }
        TokenError::Unknown { .. } => "`bcm hub token list` names them",
        _ => return Failure::new(error),
    };
    Failure::new(error).with_hint(hint)
}

/// A token that was made. Only here is it shown.
#[derive(Debug, Serialize)]
struct Created {
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<bcm_core::redact::Secret>,
    #[serde(flatten)]
    known: Option<Token>,
}

fn create(
    context: &Context,
    args: &CreateTokenCommand,
    data: PathBuf,
) -> Result<ExitCode, Failure> {
    let layout = Layout::new(data);
    let mut created = Created {
        dry_run: args.dry_run,
        token: None,
        known: None,
    };
    if args.dry_run {
        if !Mode::of(&layout).map_err(Failure::new)?.is_writable() {
            let path = layout.root().to_owned();
            return Err(failure(TokenError::Mirror { path }));
        }
    } else {
        let seconds = args.expires.0.map(|time| time.as_secs());
        let made = tokens::create(&layout, &args.repository, &args.label, seconds);
        let (known, token) = made.map_err(failure)?;
        (created.known, created.token) = (Some(known), Some(token));
    }
    context.printer.show(&created)?;
    if created.token.is_some() {
        context
            .reporter
            .say("it is not shown again; send it as `Authorization: bearer TOKEN`");
    }
    Ok(ExitCode::Done)
}

impl Show for Created {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.token {
            // Alone on its line, for who takes it from there.
            Some(token) => writeln!(out, "{}", token.reveal()),
            None => writeln!(out, "a token would be made"),
        }
    }
}

#[derive(Debug, Serialize)]
struct List {
    data: PathBuf,
    tokens: Vec<Token>,
}

impl Show for List {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.tokens.is_empty() {
            return writeln!(out, "{} has no tokens", self.data.display());
        }
        let time = |seconds: i64| shown_time(u32::try_from(seconds).unwrap_or(u32::MAX));
        let row = |token: &Token| {
            let names: Vec<&str> = token.repositories.iter().map(AsRef::as_ref).collect();
            let until = match token.expires {
                None => "never expires".to_owned(),
                Some(end) if token.expired => format!("expired {} UTC", time(end)),
                Some(end) => format!("expires {} UTC", time(end)),
            };
            vec![
                token.id.clone(),
                names.join(", "),
                format!("made {} UTC", time(token.created)),
                until,
                token.label.clone(),
            ]
        };
        table(out, &self.tokens.iter().map(row).collect::<Vec<_>>())
    }
}

#[derive(Debug, Serialize)]
struct Revoked {
    revoked: Token,
}

impl Show for Revoked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "revoked {}", self.revoked.id)
    }
}
