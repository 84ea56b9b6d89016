//! Diagnostics of the libraries: on stderr for those who ask, with `-v` or a filter in `BCM_LOG`,
//! and in the log of a run that keeps one.

use std::io::{self, Write};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::args::choices::Output;
use crate::commands::Context;
use crate::reporter::Reporter;

/// What the libraries of this project say; others may say more than is good to keep.
const OURS: &str = "bcm=debug,bcm_core=debug,bcm_hub_sync=debug,bcm_ssh=debug,bcm_lxd=debug";

/// Shows what the libraries trace on stderr, as text or as JSON, and keeps it in the run's log where
/// `kept` says that there may be one.
///
/// `BCM_LOG` takes the filters that `RUST_LOG` takes elsewhere, such as `bcm_hub_sync=trace`.
pub(crate) fn start(context: &Context, verbose: u8, kept: bool) {
    let shown = shown(context, verbose);
    if shown.is_none() && !kept {
        return;
    }
    let on_stderr = shown.map(|filter| {
        let reporter = context.reporter.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(context.settings.environment().colour())
            .with_writer(move || reporter.clone());
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match context.output {
            Output::Json => layer.json().with_filter(filter).boxed(),
            Output::Text => layer.with_filter(filter).boxed(),
        };
        layer
    });
    let in_log = kept.then(|| {
        let reporter = context.reporter.clone();
        tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_writer(move || InLog(reporter.clone()))
            .with_filter(EnvFilter::new(OURS))
            .boxed()
    });
    let layers: Vec<_> = [on_stderr, in_log].into_iter().flatten().collect();
    // A second subscriber in one process cannot happen; if it did, the first would stay.
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

fn shown(context: &Context, verbose: u8) -> Option<EnvFilter> {
    match context.settings.environment().variable("BCM_LOG") {
        Some(text) => match EnvFilter::builder().parse(text) {
            Ok(filter) => Some(filter),
            Err(error) => {
                context
                    .reporter
                    .warn(&format!("BCM_LOG={text} is not used: {error}"));
                None
            }
        },
        None => match verbose {
            0 => None,
            1 => Some(EnvFilter::new(OURS)),
            2 => Some(EnvFilter::new(format!(
                "{},info",
                OURS.replace("debug", "trace")
            ))),
            _ => Some(EnvFilter::new("trace")),
        },
    }
}

/// One write is one event.
struct InLog(Reporter);

impl Write for InLog {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if let Some(log) = self.0.log() {
            log.line(&String::from_utf8_lossy(buffer));
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
