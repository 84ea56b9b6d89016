//! Questions to whoever sits at the terminal.

use std::io::{self, IsTerminal, Write};

use crate::args::choices::Output;
use crate::args::cluster::{Driver, SpecArgs};
use crate::commands::Context;
use crate::diagnostics::Failure;

/// Whether somebody is there to answer, and sees the questions.
pub(super) fn somebody(context: &Context) -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal() && context.output == Output::Text
}

/// Asks which machines, as far as `args` do not say.
pub(super) fn machines(args: &SpecArgs) -> Result<SpecArgs, Failure> {
    let mut args = args.clone();
    if args.driver.is_none() {
        tell(
            "A BCM cluster is one or more machines that run Incus or LXD. Where shall it be?\n\n  \
               local  this machine, in standalone mode: one member; others can join later\n  \
               ssh    one or more machines that you reach over SSH; each is a failure domain,\n         \
                      and three are the first number that survives the loss of one\n  \
               vm     virtual machines on this one, which BCM makes\n\n",
        )?;
        args.driver = Some(match line("Driver [ssh]: ")?.as_str() {
            "" | "s" | "ssh" => Driver::Ssh,
            "l" | "local" => Driver::Local,
            "v" | "vm" => Driver::Vm,
            other => {
                return Err(Failure::usage(format!("there is no driver {other}"))
                    .with_hint("answer local, ssh or vm"));
            }
        });
    }
    if args.driver == Some(Driver::Ssh) && args.host.is_empty() {
        let hosts = line("Machines, as user@host[:port], separated by spaces: ")?;
        args.host = hosts
            .split([' ', ','])
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect();
        if args.host.is_empty() {
            return Err(Failure::usage("no machine was named; nothing was done"));
        }
    }
    if args.name.is_none() {
        let name = line("Name of the cluster [bcm]: ")?;
        args.name = Some(name).filter(|name| !name.is_empty());
    }
    Ok(args)
}

/// Asks for `word` to be typed before `what` is done, unless `agreed` says so already.
pub(in crate::commands) fn confirm(agreed: bool, what: &str, word: &str) -> Result<(), Failure> {
    if agreed {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            Failure::usage(format!("{what}; nobody is there to confirm it"))
                .with_hint("give --yes if that is what you want"),
        );
    }
    if line(&format!("{what}.\nType {word} to go on: "))? == word {
        Ok(())
    } else {
        Err(Failure::usage("not confirmed; nothing was done"))
    }
}

/// Asks whether to go on.
pub(super) fn go_on() -> Result<bool, Failure> {
    let answer = line("Go on? [y/N] ")?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// One line, asked for on stderr. The end of the input is an empty line.
pub(super) fn line(question: &str) -> Result<String, Failure> {
    tell(question)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::new)?;
    Ok(line.trim().to_owned())
}

fn tell(text: &str) -> Result<(), Failure> {
    let mut out = io::stderr();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::new)
}
