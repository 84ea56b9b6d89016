//! What the answers say, and what is refused.

mod debian;
mod ubuntu;

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd me@home";

const HASH: &str = "$6$ylrH9V9Miw8KvtqP$SBQitw9IsY0V5zcfPOSaV2dlcpHYPTPOGHgOIyeJ99tHInd1P78GB8n2QolQ72srOCEVZFnZ/gH0kkwsuhh/0.";

fn installation(system: System) -> Installation {
    Installation::new(system, "node1".parse().unwrap(), vec![KEY.parse().unwrap()])
}

/// The answers.
fn answers(install: &Installation) -> String {
    let file = install.media().unwrap().files.swap_remove(0);
    String::from_utf8(file.content).unwrap()
}

/// Everything that can be said, at once.
fn all_that_can_be_said(system: System) -> Installation {
    let mut install = installation(system);
    install.user = "op".parse().unwrap();
    install.keys.push(format!("{KEY}2").parse().unwrap());
    install.password = Some(HASH.parse().unwrap());
    install.disk = "serial=S1-x.2".parse().unwrap();
    install.root = Root::Btrfs;
    install.network = Network {
        interface: Some("52:54:00:12:34:56".parse().unwrap()),
        fixed: Some(own_address("192.0.2.5/24", "192.0.2.1")),
    };
    install.mirror = Some("http://mirror.example:3142/debian/".parse().unwrap());
    install.proxy = Some("http://proxy.example:3128".parse().unwrap());
    install.locale = "de_AT.UTF-8".parse().unwrap();
    install.keyboard = "de".parse().unwrap();
    install.timezone = "Europe/Vienna".parse().unwrap();
    install.afterwards = Afterwards::PowerOff;
    install
}

fn own_address(address: &str, gateway: &str) -> Fixed {
    let dns = ["192.0.2.2", "2001:db8::2"].map(|dns| dns.parse().unwrap());
    Fixed::new(
        address.parse().unwrap(),
        gateway.parse().unwrap(),
        dns.into(),
    )
    .unwrap()
}

#[test]
fn somebody_has_to_be_able_to_log_in() {
    for system in [System::Ubuntu, System::Debian] {
        let mut install = installation(system);
        install.keys.clear();
        assert!(matches!(install.media(), Err(InstallError::NoKey)));
    }
}

#[test]
fn an_address_belongs_to_an_interface() {
    let mut install = installation(System::Debian);
    install.network.fixed = Some(own_address("192.0.2.5/24", "192.0.2.1"));
    let error = install.media().unwrap_err();
    assert!(error.to_string().contains("192.0.2.5/24"), "{error}");
}

#[test]
fn the_same_wishes_give_the_same_bytes() {
    for system in [System::Ubuntu, System::Debian] {
        let install = all_that_can_be_said(system);
        let bytes = |media: Media| media.files.into_iter().map(|file| file.content);
        let again = install.media().unwrap();
        assert!(
            bytes(install.media().unwrap()).eq(bytes(again)),
            "{system:?}"
        );
    }
}

#[test]
fn a_hash_is_in_files_and_nowhere_else() {
    for system in [System::Ubuntu, System::Debian] {
        let install = all_that_can_be_said(system);
        assert!(answers(&install).contains(HASH), "{system:?}");
        let media = install.media().unwrap();
        let said = format!("{:?} {:?} {install:?}", media.ways, media.kernel_parameters);
        assert!(!said.contains("$6$"), "{said}");
    }
}
