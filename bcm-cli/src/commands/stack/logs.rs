//! `bcm stack logs`.

use std::io::Write;
use std::time::Duration;

use bcm_lxd::Client;
use bcm_lxd::types::Instance;
use bcm_stack::deploy::run as run_in;
use bcm_stack::wanted::KIND_KEY;

use super::cluster::OnCluster;
use crate::args::stack::LogsCommand;
use crate::commands::Context;
use crate::commands::cluster::unless_interrupted;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// How long an instance has for its answer.
const LIMIT: Duration = Duration::from_secs(60);

/// How often, when following, it is asked again.
const PAUSE: Duration = Duration::from_secs(2);

/// Prints the journals, a line of which begins with the instance's name.
pub(super) async fn run(context: &Context, args: &LogsCommand) -> Result<ExitCode, Failure> {
    let cluster = OnCluster::reach(context, &args.reach).await?;
    let seen = cluster.look(&args.stack.name).await?;
    let chosen = |name: &str, instance: &Instance| {
        let kind = instance.config.get(KIND_KEY);
        let is = |wanted: &String| wanted == name || kind == Some(wanted);
        args.instance.is_empty() || args.instance.iter().any(is)
    };
    let running = seen
        .found
        .instances
        .iter()
        .filter(|(_, i)| i.status == "Running");
    let mut journals: Vec<Journal> = running
        .filter(|(name, instance)| chosen(name, instance))
        .map(|(name, _)| Journal {
            instance: name.clone(),
            after: None,
        })
        .collect();
    if journals.is_empty() {
        let text = format!("no instance of {} that runs was meant", args.stack.name);
        return Err(Failure::usage(text).with_hint("`bcm stack status` shows them"));
    }
    let width = journals.iter().map(|j| j.instance.len()).max().unwrap_or(0);
    let print = async {
        loop {
            let mut code = ExitCode::Done;
            for journal in &mut journals {
                match journal.more(&cluster.client, args.lines).await {
                    Ok(lines) => {
                        let mut text = Vec::new();
                        for line in lines {
                            // Writing into memory cannot fail.
                            let _ = writeln!(text, "{:<width$}  {line}", journal.instance);
                        }
                        context.printer.raw(&text)?;
                    }
                    Err(error) => {
                        let text = format!("{}: {error}", journal.instance);
                        context.reporter.warn(&text);
                        code = ExitCode::Partial;
                    }
                }
            }
            if !args.follow {
                return Ok(code);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    unless_interrupted(context, "that was all", print).await
}

/// An instance's journal, as far as it was read.
struct Journal {
    instance: String,
    /// Where the last line was.
    after: Option<String>,
}

impl Journal {
    /// The lines since the last time; at first, the last `lines`.
    async fn more(
        &mut self,
        client: &Client,
        lines: u32,
    ) -> Result<Vec<String>, bcm_stack::deploy::DeployError> {
        let lines = lines.to_string();
        let mut argv = vec![
            "journalctl",
            "--no-pager",
            "--show-cursor",
            "-o",
            "short-iso",
        ];
        match &self.after {
            Some(cursor) => argv.extend(["--after-cursor", cursor]),
            None => argv.extend(["-n", &lines]),
        }
        let said = run_in(client, &self.instance, &argv, LIMIT).await?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let mut found = Vec::new();
        for line in said.lines() {
            match line.strip_prefix("-- cursor: ") {
                Some(cursor) => self.after = Some(cursor.to_owned()),
                // `-- No entries --` and the like are no entries.
                None if line.starts_with("-- ") => {}
                None => found.push(line.to_owned()),
            }
        }
        Ok(found)
    }
}
