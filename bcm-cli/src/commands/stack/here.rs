//! `bcm stack start --here`.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::Mode;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::sync::{FollowOptions, SyncConfig, SyncError, SyncReport, sync};
use bcm_hub_sync::verify::{VerifyOptions, VerifyReport};
use serde::Serialize;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::bootstrap::{Bootstrap, BootstrapParts};
use crate::args::bootstrap::ServeCommand as KernelServe;
use crate::args::bootstrap::sync::SyncArgs as KernelArgs;
use crate::args::hub::ServeArgs;
use crate::args::stack::StartCommand;
use crate::commands::Context;
use crate::commands::bootstrap::sync::Synced as KernelsSynced;
use crate::commands::hub::follow::follow;
use crate::commands::hub::sync::{Synced, exit_code, failure};
use crate::commands::hub::verify::{show_report, verify};
use crate::commands::serving::{Addresses, Serving};
use crate::demo::bootstrap::BootstrapOrigin;
use crate::demo::{self, Origin};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::{Show, table};
use crate::reporter::Reporter;
use crate::settings;
use crate::settings::serve::ServeSettings;
use crate::settings::store::StoreSettings;
use crate::settings::value::Listen;

/// What a start did.
#[derive(Debug, Serialize)]
struct Started {
    demo: bool,
    serving: Addresses,
    sync: Synced,
    /// What became of the kernels, where they were synced together with this.
    bootstrap: Option<KernelsSynced>,
    /// With `--demo` only.
    verify: Option<VerifyReport>,
}

impl Show for Started {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.sync.text(out)?;
        if let Some(report) = &self.verify {
            show_report(report, out)?;
        }
        match &self.bootstrap {
            Some(synced) => synced.text(out),
            None => Ok(()),
        }
    }
}

/// What is served by a hub that follows no upstream.
#[derive(Debug, Serialize)]
struct Alone {
    mode: Mode,
    serving: Addresses,
}

impl Show for Alone {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "this is {}: it is served, and not synced", self.mode)
    }
}

/// What there is to work with, however it was chosen.
struct Parts {
    layout: Layout,
    store: StoreSettings,
    config: SyncConfig,
    serve: ServeSettings,
    follow: FollowOptions,
    /// The Bootstrap, where it takes part.
    bootstrap: Option<BootstrapParts>,
    /// With `--demo`: the hub that is mirrored.
    origin: Option<Origin>,
    /// Removed at the end.
    _temporary: Option<TempDir>,
}

/// Syncs and serves in this process.
pub(super) async fn start(context: &Context, args: &StartCommand) -> Result<ExitCode, Failure> {
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let mut parts = match args.demo {
        true => demo_parts(context, args, &cancel)
            .await
            .map_err(|failure| interrupted_or(failure, &cancel))?,
        false => real_parts(context, args)?,
    };
    let mode = Mode::of(&parts.layout).map_err(Failure::new)?;
    if mode.is_writable() && args.once {
        let path = parts.layout.root().to_owned();
        return Err(Failure::new(SyncError::StandsAlone { path, mode }));
    }
    // Reads what the syncs write, each of which opens the store for itself.
    let store = parts.store.open(&parts.layout, Access::ReadOnly);
    let store = store.map_err(Failure::new)?;
    if let Some(bootstrap) = &mut parts.bootstrap {
        bootstrap.serve.metrics_apart = !parts.serve.metrics.is_empty();
    }
    let mut serving = Serving::start(
        &parts.layout,
        Arc::clone(&store),
        Some(&parts.store),
        parts.serve,
        &cancel,
    )
    .await?;
    announce(&context.reporter, "serving", &serving.addresses);
    let bootstrap = parts
        .bootstrap
        .map(|parts| Bootstrap::start(context, parts, &cancel))
        .transpose()?;
    serving.serve_metrics(bootstrap.iter().map(Bootstrap::metrics), &cancel);

    let work = Work {
        context,
        args,
        layout: &parts.layout,
        config: &parts.config,
        follow: parts.follow,
        open: &parts.store,
        store,
        serving: &serving,
        bootstrap: bootstrap.as_ref(),
    };
    let result = match args.once || args.demo {
        _ if mode.is_writable() => work.alone(mode, &cancel).await,
        true => work.once(&cancel).await,
        false => work.follow(&cancel, false).await,
    };
    let result = match result {
        // Only a demonstration gets here: its first sync is verified before it goes on.
        Ok(_) if args.demo && !args.once && !cancel.is_cancelled() => {
            work.follow(&cancel, true).await
        }
        ended => ended,
    };
    let result = result.map_err(|failure| interrupted_or(failure, &cancel));
    cancel.cancel();
    serving.ended().await;
    if let Some(bootstrap) = bootstrap {
        bootstrap.ended().await;
    }
    if let Some(origin) = parts.origin {
        origin.stop().await;
    }
    result
}

/// What fails after Ctrl-C fails because of it.
fn interrupted_or(failure: Failure, cancel: &CancellationToken) -> Failure {
    match cancel.is_cancelled() {
        true => failure.with_code(ExitCode::Interrupted),
        false => failure,
    }
}

/// The syncs, and what follows each.
struct Work<'a> {
    context: &'a Context,
    args: &'a StartCommand,
    layout: &'a Layout,
    config: &'a SyncConfig,
    follow: FollowOptions,
    /// Opens the store for each sync.
    open: &'a StoreSettings,
    /// For reading.
    store: Arc<dyn BlockStore>,
    serving: &'a Serving,
    bootstrap: Option<&'a Bootstrap>,
}

impl Work<'_> {
    async fn once(&self, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
        let progress = self.context.reporter.progress();
        let report = {
            let store = self.open.open(self.layout, Access::ReadWrite);
            let store = store.map_err(Failure::new)?;
            let synced = sync(self.layout, self.config, store, progress, cancel.clone());
            synced.await.map_err(failure)?
        };
        self.serving.refresher.refresh().await;
        let mut code = exit_code(report.outcome());
        let mut verified = None;
        if self.args.demo {
            let store = Arc::clone(&self.store);
            let options = VerifyOptions::default();
            let report = verify(self.context, self.layout, store, &options, cancel).await?;
            if !report.is_clean() {
                code = ExitCode::Unhealthy;
            }
            verified = Some(report);
        }
        let mut started = self.started(report, verified);
        if let Some(bootstrap) = self.bootstrap {
            let (synced, kernels) = bootstrap.once(self.context, cancel).await;
            started.bootstrap = synced;
            if code == ExitCode::Done {
                code = kernels;
            }
        }
        self.context.printer.show(&started)?;
        if !self.args.once {
            self.context
                .reporter
                .say(&serving_until(&self.serving.addresses));
        }
        Ok(code)
    }

    fn started(&self, report: SyncReport, verify: Option<VerifyReport>) -> Started {
        Started {
            demo: self.args.demo,
            serving: self.serving.addresses.clone(),
            sync: Synced {
                data: self.layout.root().to_owned(),
                report,
            },
            bootstrap: None,
            verify,
        }
    }

    /// Serves a hub that follows no upstream, until it is told to stop.
    async fn alone(&self, mode: Mode, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
        let serving = self.serving.addresses.clone();
        // Nobody reading its results is no reason to stop serving.
        let _ = self.context.printer.show(&Alone { mode, serving });
        let until = serving_until(&self.serving.addresses);
        self.context.reporter.say(&until);
        match self.bootstrap {
            Some(bootstrap) => bootstrap.follow(self.context, cancel).await,
            None => cancel.cancelled().await,
        }
        Ok(ExitCode::Done)
    }

    /// Syncs until it is told to stop; with `begun`, the first sync was before.
    async fn follow(&self, cancel: &CancellationToken, begun: bool) -> Result<ExitCode, Failure> {
        let shown = AtomicBool::new(begun);
        let synced = |report: &SyncReport| {
            let refresher = self.serving.refresher.clone();
            tokio::spawn(async move { refresher.refresh().await });
            if shown.swap(true, Ordering::Relaxed) {
                return false;
            }
            let started = self.started(report.clone(), None);
            // Nobody reading its results is no reason to stop serving.
            let _ = self.context.printer.show(&started);
            let until = serving_until(&self.serving.addresses);
            self.context.reporter.say(&until);
            true
        };
        let mut options = self.follow.clone();
        options.at_once = !begun;
        let hub = follow(
            self.context,
            self.open,
            self.layout,
            self.config,
            &options,
            &synced,
            cancel,
        );
        let kernels = async {
            if let Some(bootstrap) = self.bootstrap {
                bootstrap.follow(self.context, cancel).await;
            }
        };
        // The kernels go on as long as the hub's part does.
        let mut hub = pin!(hub);
        tokio::select! {
            ended = hub.as_mut() => ended,
            () = kernels => hub.await,
        }
    }
}

fn real_parts(context: &Context, args: &StartCommand) -> Result<Parts, Failure> {
    let settings = &context.settings;
    let (data, _) = settings.data(args.data.data.as_deref())?;
    let config = settings::sync::resolve(settings, &args.sync, &args.public)?;
    let mut serve = ServeSettings::resolve(settings, &args.serve, &args.public)?;
    serve.upstream = config.upstreams.first().map(ToString::to_string);
    // Who mirrors a hub of their own is not to reach for the public Bootstrap by surprise.
    let usual_hub = settings
        .many(&settings::key::UPSTREAM, &args.sync.upstream)?
        .1;
    let takes_part = !args.without_bootstrap
        && (usual_hub == settings::Origin::Default || settings::bootstrap::is_named(settings));
    let bootstrap = takes_part
        .then(|| bootstrap_parts(settings, &data, &args.bootstrap_http))
        .transpose()?;
    Ok(Parts {
        layout: Layout::new(data),
        store: StoreSettings::resolve(settings, &args.store.store)?,
        config,
        serve,
        follow: settings::follow::resolve(settings, &args.follow)?,
        bootstrap,
        origin: None,
        _temporary: None,
    })
}

fn bootstrap_parts(
    settings: &settings::Settings,
    data: &std::path::Path,
    http: &[Listen],
) -> Result<BootstrapParts, Failure> {
    let config = settings::bootstrap::sync(settings, &KernelArgs::default())?;
    let layout = bcm_bootstrap_sync::layout::Layout::new(data);
    let listen = KernelServe {
        http: http.to_vec(),
        ..KernelServe::default()
    };
    let mut serve = settings::bootstrap::serve(settings, layout, &listen)?;
    let first = config.upstreams.first();
    serve.upstream = first.map(|url| bcm_core::redact::url(url.as_str()));
    Ok(BootstrapParts {
        config,
        serve,
        follow: settings::bootstrap::follow(settings, None)?,
        origin: None,
    })
}

/// The parts of a demonstration. Of the settings, only flags count: a demonstration must not end up
/// in the data folder of the real mirror.
async fn demo_parts(
    context: &Context,
    args: &StartCommand,
    cancel: &CancellationToken,
) -> Result<Parts, Failure> {
    let bare = settings::Settings::bare(context.settings.environment().clone());
    let (data, temporary) = demo_folder(&bare, args.data.data.as_deref())?;
    let serve_args = ServeArgs {
        http: demo_address(&context.reporter, &args.serve.http, 8080),
        zdb: demo_address(&context.reporter, &args.serve.zdb, 9900),
        ..args.serve.clone()
    };
    let mut config = settings::sync::resolve(&bare, &args.sync, &args.public)?;
    let mut serve = ServeSettings::resolve(&bare, &serve_args, &args.public)?;
    let origin = Origin::start(context.reporter.progress(), cancel).await?;
    announce(&context.reporter, "upstream", origin.addresses());
    let http = match (&args.bootstrap_http[..], &args.serve.http[..]) {
        // A port of the system's choice for one means so for the other.
        ([], [_, ..]) => vec![Listen::At((Ipv4Addr::LOCALHOST, 0).into())],
        (typed, _) => demo_address(&context.reporter, typed, 8081),
    };
    let mut bootstrap = bootstrap_parts(&bare, &data, &http)?;
    let kernels = BootstrapOrigin::start()?;
    // The made-up kernels have the times of the demonstration.
    bootstrap.config.policy.since = None;
    bootstrap.config.upstreams = vec![kernels.url.clone()];
    bootstrap.serve.upstream = Some(kernels.url.to_string());
    bootstrap.origin = Some(kernels);
    if temporary.is_some() {
        context.reporter.say(&format!(
            "data folder {}, removed at the end (--data DIR keeps one)",
            data.display()
        ));
    }
    config.upstreams = vec![origin.url.clone()];
    config.upstream_zdb = vec![origin.zdb.clone()];
    serve.upstream = Some(origin.url.to_string());
    Ok(Parts {
        layout: Layout::new(data),
        // A demonstration must not end up in the real mirror's store.
        store: StoreSettings::resolve(&bare, &args.store.store)?,
        config,
        serve,
        follow: settings::follow::resolve(&bare, &args.follow)?,
        bootstrap: Some(bootstrap),
        origin: Some(origin),
        _temporary: temporary,
    })
}

fn demo_folder(
    bare: &settings::Settings,
    data: Option<&std::path::Path>,
) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let Some(data) = data else {
        let temporary = demo::temporary_folder("bcm-demo-mirror.").map_err(Failure::new)?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    let (data, _) = bare.data(Some(data))?;
    demo::take(&data).map_err(|error| {
        Failure::new(error).with_hint("give a demonstration a folder of its own with --data")
    })?;
    Ok((data, None))
}

/// Where a demonstration listens: as typed, else on loopback at the usual port, or at any where
/// that one is taken.
fn demo_address(reporter: &Reporter, typed: &[Listen], port: u16) -> Vec<Listen> {
    if !typed.is_empty() {
        return typed.to_vec();
    }
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(usual) {
        Ok(_) => vec![Listen::At(usual)],
        Err(error) => {
            reporter.say(&format!(
                "{usual} cannot be listened on ({error}); taking another port"
            ));
            vec![Listen::At((Ipv4Addr::LOCALHOST, 0).into())]
        }
    }
}

#[derive(Serialize)]
struct AddressEvent<'a> {
    event: &'a str,
    #[serde(flatten)]
    addresses: &'a Addresses,
}

/// Says where something is: the made-up `upstream`, or what is `serving`.
fn announce(reporter: &Reporter, event: &str, addresses: &Addresses) {
    let title = match event {
        "upstream" => "made up a small hub to mirror",
        _ => "serving the mirror",
    };
    let text = format!("{title}\n{}", lines(addresses));
    reporter.announce(&text, &AddressEvent { event, addresses });
}

fn lines(addresses: &Addresses) -> String {
    let mut text = Vec::new();
    // Writing into memory cannot fail.
    let _ = table(&mut text, &addresses.rows());
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

fn serving_until(addresses: &Addresses) -> String {
    match addresses.url() {
        Some(url) => format!("open {url} in a browser; serving until Ctrl-C"),
        None => "serving until Ctrl-C".to_owned(),
    }
}
