//! `bcm hub serve`.

use std::io::{self, Write};
use std::path::PathBuf;

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::Access;
use serde::Serialize;

use crate::args::hub::ServeCommand;
use crate::commands::Context;
use crate::commands::serving::{Addresses, Serving};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::{Show, table};
use crate::settings::serve::ServeSettings;
use crate::settings::store::StoreSettings;

/// What is served where.
#[derive(Debug, Serialize)]
struct Started {
    data: PathBuf,
    #[serde(flatten)]
    addresses: Addresses,
}

impl Show for Started {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "serving {}", self.data.display())?;
        table(out, &self.addresses.rows())
    }
}

/// Serves until it is told to stop.
pub(super) async fn run(context: &Context, args: &ServeCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let settings = ServeSettings::resolve(&context.settings, &args.serve, &args.public)?;
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let layout = Layout::new(&data);
    if !layout.users().is_dir() {
        context.reporter.warn(&format!(
            "{} holds no mirror yet; what a sync publishes there will be served",
            data.display()
        ));
    }
    let open = StoreSettings::resolve(&context.settings, &args.store.store)?;
    let store = open.open(&layout, Access::ReadOnly).map_err(Failure::new)?;
    let mut serving = Serving::start(&layout, store, Some(&open), settings, &cancel).await?;
    serving.serve_metrics([], &cancel);
    context.printer.show(&Started {
        data,
        addresses: serving.addresses.clone(),
    })?;
    serving.ended().await;
    // It was told to stop and did: for a server that is success.
    Ok(ExitCode::Done)
}
