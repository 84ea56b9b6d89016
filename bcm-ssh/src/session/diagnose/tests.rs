//! ssh's own words, as OpenSSH 9.2 says them.

use super::*;
use crate::PinnedKey;

fn strict(stderr: &str) -> ConnectError {
    interpret(
        &Transcript::new(stderr),
        "bcm@node1",
        &HostKeyPolicy::Strict,
        "",
    )
}

const SHOWN: &str = "OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17 1 Jul 2025\r\n\
    debug1: Connecting to node1 [10.0.0.7] port 22.\r\n\
    debug1: Server host key: ssh-ed25519 SHA256:new\r\n";

#[test]
fn a_proxy_that_says_why_is_believed() {
    let error = strict(
        "debug1: Executing proxy command: exec bcm\r\nbcm-proxy: no Tor answers\n\
         kex_exchange_identification: Connection closed by remote host\r\n",
    );
    assert!(
        matches!(&error, ConnectError::Proxy { message, .. } if message == "no Tor answers"),
        "{error:?}"
    );
}

#[test]
fn addresses_and_ports() {
    let error = strict("ssh: Could not resolve hostname nodex: Name or service not known\r\n");
    assert!(
        matches!(&error, ConnectError::Resolve { host, message }
        if host == "nodex" && message == "Name or service not known"),
        "{error:?}"
    );
    let error = strict("ssh: connect to host node1 port 2222: Connection refused\r\n");
    assert!(
        matches!(
            error,
            ConnectError::Refused {
                port: Some(2222),
                ..
            }
        ),
        "{error:?}"
    );
    for reason in [
        "No route to host",
        "Connection timed out",
        "Network is unreachable",
    ] {
        let error = strict(&format!(
            "ssh: connect to host 10.0.0.7 port 22: {reason}\r\n"
        ));
        assert!(
            matches!(&error, ConnectError::Unreachable { host, message }
            if host == "bcm@node1 (10.0.0.7)" && message == reason),
            "{error:?}"
        );
    }
    let error = strict(
        "Connection timed out during banner exchange\r\n\
        Connection to 10.0.0.7 port 22 timed out\r\n",
    );
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[test]
fn an_unknown_key_is_shown() {
    let error = strict(&format!(
        "{SHOWN}No ED25519 host key is known for node1 and you have requested strict checking.\r\n\
         Host key verification failed.\r\n"
    ));
    let text = error.to_string();
    assert!(matches!(error, ConnectError::UnknownHostKey { .. }));
    assert!(
        text.contains("bcm@node1 is not known (ssh-ed25519 SHA256:new)"),
        "{text}"
    );
}

const CHANGED: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n\
    @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
    @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n\
    IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n\
    Someone could be eavesdropping on you right now (man-in-the-middle attack)!\r\n\
    It is also possible that a host key has just been changed.\r\n\
    The fingerprint for the ED25519 key sent by the remote host is\r\nSHA256:new.\r\n\
    Please contact your system administrator.\r\n\
    Add correct host key in /home/a/.ssh/known_hosts to get rid of this message.\r\n\
    Offending ED25519 key in /home/a/.ssh/known_hosts:3\r\n  remove with:\r\n  ssh-keygen -f x\r\n\
    Host key for node1 has changed and you have requested strict checking.\r\n\
    Host key verification failed.\r\n";

#[test]
fn a_changed_key_tells_where_the_old_one_is() {
    let error = strict(&format!("{SHOWN}{CHANGED}"));
    let ConnectError::HostKeyChanged {
        offered,
        location,
        host,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(host, "bcm@node1");
    assert_eq!(offered.as_ref().unwrap().fingerprint, "SHA256:new");
    assert_eq!(location.as_deref(), Some("/home/a/.ssh/known_hosts:3"));
}

#[test]
fn a_jump_host_is_named() {
    let stderr = CHANGED.replace("node1", "gate");
    let error = strict(&format!("{SHOWN}{stderr}"));
    assert!(error.to_string().contains("bcm@node1 (gate)"), "{error}");
}

#[test]
fn a_pinned_key_that_is_not_shown() {
    let policy = HostKeyPolicy::Pinned(PinnedKey::Fingerprint("SHA256:old".into()));
    let stderr = format!(
        "{SHOWN}No ED25519 host key is known for bcm-pinned and you have requested strict checking.\r\n\
         Host key verification failed.\r\n"
    );
    let error = interpret(&Transcript::new(&stderr), "bcm@node1", &policy, "");
    assert_eq!(
        error.to_string(),
        "bcm@node1 does not show the pinned key SHA256:old, but ssh-ed25519 SHA256:new"
    );
}

#[test]
fn users_and_shells() {
    let error = strict("nobody@node1: Permission denied (publickey,password).\r\n");
    assert!(
        matches!(&error, ConnectError::Denied { user: Some(user), methods, .. }
        if user == "nobody" && methods == "publickey,password"),
        "{error:?}"
    );
    let error = interpret(
        &Transcript::new("debug1: Entering interactive session.\r\n"),
        "bcm@node1",
        &HostKeyPolicy::Strict,
        "This account is currently not available.\n",
    );
    assert!(
        matches!(&error, ConnectError::NoShell { message, .. }
        if message == "This account is currently not available."),
        "{error:?}"
    );
}

#[test]
fn proxies_and_configurations() {
    let error = strict(
        "nc: connect to gate port 1 (tcp) failed: Connection refused\r\n\
         kex_exchange_identification: Connection closed by remote host\r\n\
         Connection closed by UNKNOWN port 65535\r\n",
    );
    let text = error.to_string();
    assert!(matches!(error, ConnectError::Closed { .. }));
    assert!(text.contains("nc: connect to gate"), "{text}");
    let error = strict(
        "/tmp/c: line 1: Bad configuration option: hots\r\n\
        /tmp/c: terminating, 1 bad configuration options\r\n",
    );
    assert!(matches!(error, ConnectError::Configuration(_)), "{error:?}");
}

#[test]
fn a_key_that_was_added() {
    let transcript = Transcript::new(&format!(
        "{SHOWN}Warning: Permanently added 'node1' (ED25519) to the list of known hosts.\r\n"
    ));
    let key = host_key(&transcript).unwrap();
    assert!(key.added);
    assert_eq!(key.to_string(), "ssh-ed25519 SHA256:new");
}

#[test]
fn keygen_is_understood() {
    let key = keygen_line("256 SHA256:abc node1,10.0.0.7 (ED25519)\n").unwrap();
    assert_eq!(
        (&*key.algorithm, &*key.fingerprint),
        ("ED25519", "SHA256:abc")
    );
}

#[test]
fn nothing_at_all_is_an_error_too() {
    assert!(matches!(strict(""), ConnectError::Other { .. }));
}
