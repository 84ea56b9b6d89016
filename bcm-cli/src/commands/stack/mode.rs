//! What the Hub of a stack is, and how it becomes a mirror again.

use std::time::Duration;

use bcm_lxd::Client;
use bcm_stack::deploy::{DeployError, Seen, run};
use bcm_stack::mirror::HubMode;
use bcm_stack::place::instance_name;
use bcm_stack::wanted::MODE_KEY;

use crate::args::choices::HubIs;
use crate::args::stack::DeployArgs;
use crate::diagnostics::Failure;

/// How long each part of becoming a mirror again may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Stops the service, for only one may write; the start that follows starts it again.
const ATTACH: &str = "systemctl stop bcm.service && runuser -u bcm -- \
     /usr/local/bin/bcm --config /etc/bcm/bcm.toml hub attach --discard";

/// What it was made to be.
pub(super) fn was(seen: &Seen) -> Option<HubMode> {
    let instances = seen.found.instances.values();
    let modes = instances.filter_map(|instance| HubMode::named(instance.config.get(MODE_KEY)?));
    // Where a change was cut off, what would lose something counts.
    modes.max_by_key(|mode| mode.is_writable())
}

/// What it is to be: what was said, or what it was.
///
/// # Errors
/// It would lose what was published into it, which has to be said.
pub(super) fn wanted(args: &DeployArgs, seen: &Seen) -> Result<Option<HubMode>, Failure> {
    let was = was(seen);
    let said = args.mode.map(|mode| match mode {
        HubIs::Mirror => HubMode::Mirror,
        HubIs::Detached => HubMode::Detached,
        HubIs::Standalone => HubMode::Standalone,
    });
    match (said, was) {
        (Some(HubMode::Mirror), Some(was)) if was.is_writable() && !args.discard => {
            let text = format!(
                "the Hub of this stack is {}; as a mirror it would lose what was published into it",
                was.as_str()
            );
            Err(Failure::usage(text).with_hint("--discard says that it may"))
        }
        (said, was) => Ok(said.or(was)),
    }
}

/// The instance whose Hub stands alone and is to be a mirror again.
pub(super) fn to_attach(args: &DeployArgs, seen: &Seen) -> Option<String> {
    let back = args.mode == Some(HubIs::Mirror) && was(seen).is_some_and(HubMode::is_writable);
    let first = |kind: &str| {
        let mut existing = seen.existing.iter();
        let first = existing.find(|e| e.number == 1 && e.kind == kind)?;
        Some(instance_name(&args.stack.name, &first.kind, first.number))
    };
    back.then(|| first("mirror").or_else(|| first("hub")))
        .flatten()
}

/// Makes it one.
pub(super) async fn attach(client: &Client, instance: &str) -> Result<(), DeployError> {
    run(client, instance, &["sh", "-c", ATTACH], LIMIT)
        .await
        .map(drop)
}
