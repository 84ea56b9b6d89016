//! `bcm ssh proxy`, which ssh runs as its `ProxyCommand`.

use std::error::Error;
use std::time::Duration;

use bcm_core::cause::chain;
use bcm_ssh::onion::{PROXY_SAYS, socks};
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};

use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions::{self, OnionName};

/// Tor itself gives up on a way that it does not find after two minutes (its SocksTimeout).
const LIMIT: Duration = Duration::from_secs(150);

/// Makes stdin and stdout a connection to the machine.
pub(super) async fn run(context: &Context, name: &OnionName) -> Result<ExitCode, Failure> {
    let Err(error) = connect(context, name).await else {
        return Ok(ExitCode::Done);
    };
    // One line, by which whoever started ssh knows it.
    let text = chain(&*error).replace('\n', " | ");
    context.reporter.write(&format!("{PROXY_SAYS}{text}\n"));
    Ok(ExitCode::Failed)
}

async fn connect(context: &Context, name: &OnionName) -> Result<(), Box<dyn Error>> {
    let environment = context.settings.environment();
    let onions = onions::Onions::load(&environment.state_folder())?;
    let onion = onions.get(name)?;
    // Tor stays as long as the connection does.
    let _lease = onions::ready(environment, &onions, onion, |_| {}).await?;
    let proxy = onions::socks_of(environment, &onions, onion)?;
    let stream = socks::connect(&proxy, &onion.address, onion.port, LIMIT).await?;
    let (mut from, mut to) = tokio::io::split(stream);
    let sending = async {
        let sent = copy(&mut stdin(), &mut to).await;
        let _ = to.shutdown().await;
        // At its end ssh only has nothing more to say; the machine may.
        if sent.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let receiving = async {
        let mut out = stdout();
        let _ = copy(&mut from, &mut out).await;
        let _ = out.flush().await;
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
    Ok(())
}
