//! `bcm host prepare`.

mod onion;

use std::io::{self, Write};
use std::time::Duration;

use bcm_lxd::cluster::{EngineChoice, StorageDriver};
use bcm_lxd::host::Machine;
use bcm_lxd::host::prepare::{
    Mode, OnionClient, PrepareError, PrepareSpec, Prepared, await_onion, confirm, onion_given,
    prepare, undo,
};
use serde::Serialize;

use self::onion::{Client, Served};
use super::keys::keys;

use crate::args::host::PrepareCommand;
use crate::commands::Context;
use crate::commands::cluster::unless_interrupted;
use crate::connect::Reach;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;
use crate::settings::cluster::LOCAL;

/// How often, a second apart, a new connection is tried again.
const TRIES: u32 = 10;

/// What `prepare` answers.
#[derive(Debug, Serialize)]
struct Answer {
    host: String,
    dry_run: bool,
    undo: bool,
    #[serde(flatten)]
    prepared: Prepared,
    /// How to reach the machine from now on.
    reach: Option<String>,
    /// How to reach it through Tor.
    #[serde(skip_serializing_if = "Option::is_none")]
    onion: Option<Served>,
}

/// Prepares a machine, or takes that back.
pub(super) async fn run(context: &Context, args: &PrepareCommand) -> Result<ExitCode, Failure> {
    let Some(host) = args.host.clone() else {
        let script = match args.undo {
            true => PrepareSpec::undo_script(),
            false => {
                let client = Client::for_script(context, args)?;
                spec(context, args, client.as_ref())?.script()
            }
        };
        context.printer.raw(script.as_bytes())?;
        return Ok(ExitCode::Done);
    };
    let (mode, left) = match args.dry_run {
        true => (Mode::DryRun, "nothing was changed"),
        false => (
            Mode::Apply,
            "what had begun there comes to its end; the same command goes on from it, and --undo takes \
             it back",
        ),
    };
    unless_interrupted(context, left, apply(context, args, host, mode)).await
}

/// Prepares `host`, or takes that back.
async fn apply(
    context: &Context,
    args: &PrepareCommand,
    host: String,
    mode: Mode,
) -> Result<ExitCode, Failure> {
    let mut answer = Answer {
        host: host.clone(),
        dry_run: args.dry_run,
        undo: args.undo,
        prepared: Prepared::default(),
        reach: None,
        onion: None,
    };
    if args.undo {
        onion::refuse_its_own_way(context, &host)?;
        let machine = connect(context, &Reach::new(context, &args.reach, None), &host).await?;
        let prepared = undo(machine.remote().as_ref(), mode).await;
        answer.prepared = prepared.map_err(|error| failure(context, error))?;
        context.printer.show(&answer)?;
        return Ok(ExitCode::Done);
    }
    let client = Client::wanted(context, args)?;
    let spec = spec(context, args, client.as_ref())?;
    let machine = connect(context, &Reach::new(context, &args.reach, None), &host).await?;
    let prepared = prepare(machine.remote().as_ref(), &spec, mode).await;
    answer.prepared = prepared.map_err(|error| failure(context, error))?;
    match (mode, host.as_str()) {
        (Mode::DryRun, _) => {}
        (Mode::Apply, LOCAL) => {
            // Nobody can be locked out of the machine that they sit at.
            confirm(machine.remote().as_ref())
                .await
                .map_err(Failure::new)?;
        }
        (Mode::Apply, _) => answer.reach = Some(come_back(context, args, &host, &spec).await?),
    }
    let mut given = None;
    if let (Mode::Apply, Some(client)) = (mode, client) {
        let limit = Duration::from_secs(args.onion_wait.into());
        let remote = machine.remote();
        let say = "waiting until the onion service can be found";
        context.reporter.say(say);
        let address = await_onion(remote.as_ref(), limit)
            .await
            .map_err(|error| failure(context, error))?;
        let outcome = answer.prepared.client.unwrap_or(OnionClient::Kept);
        let (served, shown) = client.served(&address, outcome, &spec);
        answer.onion = Some(served);
        given = shown.then_some(remote);
    }
    context.printer.show(&answer)?;
    if let Some(remote) = given {
        // From here on, it is in its owner's hands.
        onion_given(remote.as_ref())
            .await
            .map_err(|error| failure(context, error))?;
    }
    Ok(ExitCode::Done)
}

/// Logs in as the new user over a connection of its own, and says that it works.
async fn come_back(
    context: &Context,
    args: &PrepareCommand,
    host: &str,
    spec: &PrepareSpec,
) -> Result<String, Failure> {
    let bare = host.rsplit_once('@').map_or(host, |(_, bare)| bare);
    let host = format!("{}@{bare}", spec.user);
    // Every connection is one of its own: this shows that sshd still takes new ones.
    let reach = Reach::new(context, &args.reach, None);
    let mut tries = 0;
    let machine = loop {
        match connect(context, &reach, &host).await {
            Ok(machine) => break machine,
            // While it reads its settings again, sshd may refuse connections for a moment.
            Err(_) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(failure) => {
                return Err(failure.with_hint(
                    "the new user cannot log in from here, so sshd's settings are taken back in \
                     two minutes; is the key of --key the one that this side uses?",
                ));
            }
        }
    };
    confirm(machine.remote().as_ref())
        .await
        .map_err(|error| Failure::new(error).with_hint("the new user cannot use sudo"))?;
    Ok(host)
}

async fn connect(context: &Context, reach: &Reach, host: &str) -> Result<Machine, Failure> {
    let mut machines = reach.all(context, &[host.to_owned()]).await;
    match machines.pop() {
        Some((_, machine)) => machine.map_err(Failure::new),
        None => Err(Failure::usage("no machine was given")),
    }
}

fn failure(context: &Context, error: PrepareError) -> Failure {
    if let PrepareError::Refused { changed, .. } | PrepareError::Step { changed, .. } = &error {
        for what in changed {
            context.reporter.say(&format!("done before that: {what}"));
        }
    }
    let hint = match &error {
        PrepareError::Refused { changed, .. } if changed.is_empty() => "nothing was changed",
        PrepareError::Silent { .. } => {
            "all else is done, and Tor goes on trying: run the same command again to wait longer \
             (--onion-wait), or with --undo to take it back"
        }
        _ => "run the same command again to go on, or with --undo to take it back",
    };
    Failure::new(error).with_hint(hint)
}

fn spec(
    context: &Context,
    args: &PrepareCommand,
    client: Option<&Client>,
) -> Result<PrepareSpec, Failure> {
    let mut spec = PrepareSpec::new(keys(context, &args.key)?);
    spec.user = args.user.clone();
    spec.engine = args.engine.map_or(EngineChoice::Auto, Into::into);
    spec.storage = args.storage.map_or(StorageDriver::Dir, Into::into);
    spec.time_sync = !args.no_time_sync;
    spec.unattended_upgrades = args.unattended_upgrades;
    spec.onion = client.map(|client| client.spec(args.rotate_onion_key));
    Ok(spec)
}

impl Show for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for change in &self.prepared.changes {
            match self.dry_run {
                true => writeln!(out, "would {change}")?,
                false => writeln!(out, "- {change}")?,
            }
        }
        for kept in &self.prepared.kept {
            writeln!(out, "kept: {kept}")?;
        }
        let done = match (self.prepared.changes.len(), self.dry_run) {
            (0, _) => "no changes".to_owned(),
            (n, true) => format!("{n} changes; nothing was done"),
            (n, false) => format!("{n} changes"),
        };
        writeln!(out, "{}: {done}", self.host)?;
        if let Some(reach) = &self.reach {
            writeln!(out, "ready: bcm cluster create --host {reach}")?;
        }
        match &self.onion {
            Some(onion) => onion.text(out, &self.host),
            None => Ok(()),
        }
    }
}
