//! `bcm bootstrap serve`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::serve::BootstrapServer;
use serde::Serialize;

use crate::args::bootstrap::ServeCommand;
use crate::commands::Context;
use crate::commands::serving::metrics_apart;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::settings;

/// What is served where.
#[derive(Debug, Serialize)]
struct Started {
    data: PathBuf,
    http: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<SocketAddr>,
}

impl Show for Started {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "serving the kernels of {}", self.data.display())?;
        for address in &self.http {
            writeln!(out, "  bootstrap (HTTP)  http://{address}/")?;
        }
        for address in &self.metrics {
            writeln!(out, "  metrics           http://{address}/metrics")?;
        }
        Ok(())
    }
}

/// Serves until it is told to stop.
pub(super) async fn run(context: &Context, args: &ServeCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let layout = Layout::new(&data);
    let options = settings::bootstrap::serve(&context.settings, layout.clone(), args)?;
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    if !layout.kernels().is_dir() {
        context.reporter.warn(&format!(
            "{} holds no kernels yet; what a sync publishes there will be served",
            data.display()
        ));
    }
    let server = BootstrapServer::bind(options)
        .map_err(|error| Failure::new(error).hint_on_listening("--http"))?;
    let listen = settings::serve::metrics(&context.settings, &args.metrics)?;
    let apart = metrics_apart(&listen)?;
    context.printer.show(&Started {
        data,
        http: server.local_addrs().to_vec(),
        metrics: apart
            .as_ref()
            .map(|apart| apart.local_addrs().to_vec())
            .unwrap_or_default(),
    })?;
    let metrics = server.metrics();
    let asked = cancel.clone();
    tokio::join!(server.run(cancel), async {
        if let Some(apart) = apart {
            apart.run(vec![metrics], asked).await;
        }
    });
    // It was told to stop and did: for a server that is success.
    Ok(ExitCode::Done)
}
