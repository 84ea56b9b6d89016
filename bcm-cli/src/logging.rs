//! Diagnostics of the libraries, for those who ask: `-v`, or a filter in `BCM_LOG`.

use tracing_subscriber::EnvFilter;

use crate::args::choices::Output;
use crate::commands::Context;

/// Shows what the libraries trace on stderr, as text or as JSON.
///
/// `BCM_LOG` takes the filters that `RUST_LOG` takes elsewhere, such as `bcm_hub_sync=trace`.
pub(crate) fn start(context: &Context, verbose: u8) {
    let filter = match context.settings.environment().variable("BCM_LOG") {
        Some(text) => match EnvFilter::builder().parse(text) {
            Ok(filter) => filter,
            Err(error) => {
                context
                    .reporter
                    .warn(&format!("BCM_LOG={text} is not used: {error}"));
                return;
            }
        },
        None => match verbose {
            0 => return,
            1 => EnvFilter::new("bcm=debug,bcm_core=debug,bcm_hub_sync=debug"),
            2 => EnvFilter::new("bcm=trace,bcm_core=trace,bcm_hub_sync=trace,info"),
            _ => EnvFilter::new("trace"),
        },
    };
    let reporter = context.reporter.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(context.settings.environment().colour())
        .with_writer(move || reporter.clone());
    // A second subscriber in one process cannot happen; if it did, the first would stay.
    let _ = match context.output {
        Output::Json => builder.json().try_init(),
        Output::Text => builder.try_init(),
    };
}
