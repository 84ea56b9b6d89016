//! `bcm cluster`.

pub(super) mod ask;
mod create;
mod destroy;
mod known;
mod member;
mod status;
mod vm;

use bcm_lxd::Client;
use bcm_lxd::host::Machine;

use super::{Context, block_on};
use crate::args::cluster::{ClusterCommand, ReachArgs};
use crate::connect::{Reach, ReachError};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt::{self, Words};
use crate::registry::{Known, Registry, RegistryError};
use crate::run_log::RunLog;

/// Carries out `bcm cluster …`.
pub(super) fn run(context: &Context, command: &ClusterCommand) -> Result<ExitCode, Failure> {
    match command {
        ClusterCommand::Create(args) => block_on(create::run(context, &args.spec, args.dry_run)),
        ClusterCommand::Plan(spec) => block_on(create::run(context, spec, true)),
        ClusterCommand::Add(args) => block_on(create::add(context, args)),
        ClusterCommand::List => known::list(context),
        ClusterCommand::Use { name } => known::choose(context, name),
        ClusterCommand::Show(args) => known::show(context, args),
        ClusterCommand::Status(args) => block_on(status::run(context, args)),
        ClusterCommand::Stop(args) => block_on(vm::power(context, args, false)),
        ClusterCommand::Start(args) => block_on(vm::power(context, args, true)),
        ClusterCommand::Remove(args) => block_on(member::remove(context, args)),
        ClusterCommand::Evacuate(args) => block_on(member::evacuate(context, args)),
        ClusterCommand::Restore(args) => block_on(member::restore(context, args)),
        ClusterCommand::Recover(args) => block_on(destroy::recover(context, args)),
        ClusterCommand::Clear(args) => block_on(destroy::clear(context, args)),
        ClusterCommand::Destroy(args) => block_on(destroy::run(context, args)),
    }
}

/// Keeps a log of what `command` does from here on.
pub(super) fn keep_log(context: &Context, command: &str) {
    let folder = context.settings.environment().state_folder();
    match RunLog::begin(&folder, command) {
        Ok(log) => context.reporter.keep(log),
        Err(error) => context
            .reporter
            .warn(&format!("no log is kept in {}: {error}", folder.display())),
    }
}

/// Says where the log is when a command ended with something to look into, and gives `code` back.
pub(super) fn with_log(context: &Context, code: ExitCode) -> ExitCode {
    if code != ExitCode::Done
        && let Some(log) = context.reporter.log()
    {
        context
            .reporter
            .say(&format!("log: {}", log.path().display()));
    }
    code
}

/// Does `work`, which may be left at any moment, until it is done or the first signal comes.
/// `left` says what is to be known then.
pub(super) async fn unless_interrupted<T>(
    context: &Context,
    left: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let words = Words {
        first: "stopping",
        second: None,
    };
    let cancel = interrupt::watch_saying(&context.reporter, words).map_err(Failure::new)?;
    match cancel.run_until_cancelled(work).await {
        Some(result) => result,
        None => Err(Failure::interrupted(format!("interrupted; {left}"))),
    }
}

/// The registry of this user.
fn registry(context: &Context) -> Result<Registry, Failure> {
    let folder = context.settings.environment().state_folder();
    Registry::load(&folder).map_err(Failure::from)
}

/// The cluster that a command is about.
pub(super) struct Chosen {
    registry: Registry,
    pub(super) name: String,
    known: Known,
    reach: Reach,
}

impl Chosen {
    pub(super) fn new(context: &Context, args: &ReachArgs) -> Result<Self, Failure> {
        let registry = registry(context)?;
        let (name, known) = registry.find(args.cluster.as_deref())?;
        let (name, known) = (name.to_owned(), known.clone());
        let reach = Reach::new(context, args, known.ssh_config.as_ref());
        Ok(Self {
            registry,
            name,
            known,
            reach,
        })
    }

    /// Its machines, or why each cannot be reached.
    pub(super) async fn machines(
        &self,
        context: &Context,
    ) -> Vec<(String, Result<Machine, ReachError>)> {
        self.reach.all(context, &self.known.hosts).await
    }

    /// A client of the first member that answers.
    async fn client(&self, context: &Context) -> Result<Client, Failure> {
        let mut machines = Vec::new();
        let mut last = None;
        for (_, machine) in self.machines(context).await {
            match machine {
                Ok(machine) => machines.push(machine),
                Err(error) => {
                    context.reporter.warn(&error.to_string());
                    last = Some(Failure::new(error));
                }
            }
        }
        match (machines.is_empty(), last) {
            (true, Some(failure)) => Err(failure),
            _ => self.client_of(context, &machines).await,
        }
    }

    /// A client of the first of `machines` whose engine answers.
    pub(super) async fn client_of(
        &self,
        context: &Context,
        machines: &[Machine],
    ) -> Result<Client, Failure> {
        let mut last = None;
        for machine in machines {
            let options = bcm_lxd::ClientOptions::default();
            match machine.engine(self.known.engine, options).await {
                Ok(Some(client)) => return Ok(client),
                Ok(None) => context.reporter.warn(&format!(
                    "{}: {} does not run there",
                    machine.host(),
                    self.known.engine
                )),
                Err(error) => {
                    context.reporter.warn(&error.to_string());
                    last = Some(Failure::new(error));
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::usage("no member of the cluster answers")))
    }
}

/// The same machines with the reasons as text, as the library takes them.
fn as_text(
    machines: Vec<(String, Result<Machine, ReachError>)>,
) -> Vec<(String, Result<Machine, String>)> {
    machines
        .into_iter()
        .map(|(host, machine)| (host, machine.map_err(|error| error.to_string())))
        .collect()
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let hint = match &error {
            RegistryError::NoneActive => {
                "`bcm cluster create` makes one, `bcm cluster use NAME` chooses one"
            }
            RegistryError::Unknown { .. } => "`bcm cluster list` shows them",
            _ => return Self::new(error),
        };
        Self::new(error).with_hint(hint).with_code(ExitCode::Usage)
    }
}
