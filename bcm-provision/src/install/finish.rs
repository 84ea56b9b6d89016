//! What is done in the installed system at the end, in the same words for every installer.
//!
//! All of it is for a POSIX shell with `-e`, as root. None has a single quote or a backslash, so it can be given on
//! within single quotes and in lines of a preseed file.

use super::Installation;

/// What lets the user, who need not be there yet, use sudo, and keys only log in. The files have other names than those of `bcm host
/// prepare`, which can so be used and taken back afterwards.
pub(super) fn commands(install: &Installation) -> Vec<String> {
    let user = &install.user;
    let mut commands = Vec::from([
        format!("echo \"{user} ALL=(ALL:ALL) NOPASSWD: ALL\" >{SUDOERS}"),
        format!("chmod 440 {SUDOERS}"),
        "visudo -cq".to_owned(),
        "mkdir -p /etc/ssh/sshd_config.d /run/sshd".to_owned(),
    ]);
    let settings = SSHD.iter().zip([">", ">>", ">>", ">>"]);
    commands.extend(settings.map(|(line, to)| format!("echo \"{line}\" {to}{SSHD_FILE}")));
    // Where cloud-init makes the keys at the first start, sshd does not even test without them.
    commands.push("[ ! -e /etc/ssh/ssh_host_ed25519_key ] || sshd -t".to_owned());
    commands
}

/// What lets the keys log in, where the installer does not do that itself. The user has to be there.
pub(super) fn keys(install: &Installation) -> Vec<String> {
    let user = &install.user;
    let folder = format!("/home/{user}/.ssh");
    let file = format!("{folder}/authorized_keys");
    let mut commands = vec![
        format!("install -d -m 700 -o {user} -g {user} {folder}"),
        format!("install -m 600 -o {user} -g {user} /dev/null {file}"),
    ];
    let keys = install.keys.iter();
    commands.extend(keys.map(|key| format!("echo \"{key}\" >>{file}")));
    commands
}

/// sudo reads no file with a dot in its name.
const SUDOERS: &str = "/etc/sudoers.d/90-bcm-install";

/// Before any other of that folder: sshd takes the first value of a setting.
const SSHD_FILE: &str = "/etc/ssh/sshd_config.d/10-bcm-install.conf";

const SSHD: [&str; 4] = [
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "X11Forwarding no",
];
