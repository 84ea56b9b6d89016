//! Units of systemd, for a plain host and for instances.

use super::filled;

/// When garbage is collected.
pub(crate) const GC_TIMER: &str = include_str!("templates/bcm-gc.timer");

/// The mirror's user, for `systemd-sysusers`.
pub(crate) fn sysusers(folder: &str) -> String {
    let template = include_str!("templates/bcm.sysusers");
    filled(template, &[("FOLDER", folder)])
}

/// The hardened service that runs the command line `exec`, and may write below `folder` alone. `settings` are
/// lines of its own, such as one with the file of its variables.
pub(crate) fn service(exec: &str, settings: &str, folder: &str) -> String {
    with(
        include_str!("templates/bcm.service"),
        exec,
        settings,
        folder,
    )
}

/// The same for what gives back the room of blocks that nothing needs, and ends.
pub(crate) fn gc_service(exec: &str, settings: &str, folder: &str) -> String {
    with(
        include_str!("templates/bcm-gc.service"),
        exec,
        settings,
        folder,
    )
}

fn with(template: &str, exec: &str, settings: &str, folder: &str) -> String {
    let words = [("EXEC", exec), ("SETTINGS", settings), ("FOLDER", folder)];
    filled(template, &words)
}
