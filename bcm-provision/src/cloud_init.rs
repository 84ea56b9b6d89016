//! What cloud-init is told: a user with keys, a host key, a name, addresses.
//!
//! User data begins with the line `#cloud-config` and is YAML (cloud-init's documentation, "Cloud
//! config data"); JSON is YAML, and needs no rules of its own for quoting. Networks are said in
//! version 2 of cloud-init's network configuration, which every renderer takes.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::seed::{self, SeedError};

/// What a machine is told at its first boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBoot {
    /// The machine's name. A name that was not there before makes cloud-init do everything again,
    /// since it is the instance's id, too.
    pub hostname: String,
    /// Who logs in; may run everything by `sudo` without a password, and has none.
    pub user: String,
    /// Whether the image's own user is made, too.
    pub default_user: bool,
    /// The user's public keys, a line of `authorized_keys` each.
    pub keys: Vec<String>,
    /// The machine's own key, where whoever logs in is to know it before.
    pub host_key: Option<HostKey>,
    /// Its network interfaces; empty leaves them to the image.
    pub interfaces: Vec<Interface>,
}

/// An Ed25519 key of a machine's sshd.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The private half, as `ssh-keygen` writes it.
    pub private: String,
    /// The public half, a line.
    pub public: String,
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostKey({})", self.public.trim_end())
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What it is called in the machine.
    pub name: String,
    /// Its address of Ethernet, `52:54:00:…`, by which it is found.
    pub mac: String,
    /// Its address and the length of the network's prefix; DHCP where there is none.
    pub address: Option<(Ipv4Addr, u8)>,
}

impl FirstBoot {
    /// The file `user-data`.
    #[must_use]
    pub fn user_data(&self) -> String {
        let mut users = match self.default_user {
            true => vec![json!("default")],
            false => Vec::new(),
        };
        users.push(json!({
            "name": self.user,
            "shell": "/bin/bash",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd": true,
            "ssh_authorized_keys": self.keys,
        }));
        let mut config = json!({
            "hostname": self.hostname,
            "manage_etc_hosts": "localhost",
            "users": users,
            "ssh_pwauth": false,
            "disable_root": true,
            "package_update": false,
            "package_upgrade": false,
        });
        if let (Some(key), Value::Object(config)) = (&self.host_key, &mut config) {
            // No others are made: this is the one that is known.
            config.insert("ssh_deletekeys".to_owned(), Value::Bool(true));
            config.insert("ssh_genkeytypes".to_owned(), json!([]));
            config.insert(
                "ssh_keys".to_owned(),
                json!({ "ed25519_private": key.private, "ed25519_public": key.public }),
            );
        }
        format!("#cloud-config\n{config:#}\n")
    }

    /// The file `meta-data`.
    #[must_use]
    pub fn meta_data(&self) -> String {
        let name = &self.hostname;
        format!(
            "{:#}\n",
            json!({ "instance-id": name, "local-hostname": name })
        )
    }

    /// The file `network-config`, where there is something to say.
    #[must_use]
    pub fn network_config(&self) -> Option<String> {
        let interfaces: serde_json::Map<String, Value> = self
            .interfaces
            .iter()
            .map(|interface| {
                let mut config = json!({
                    "match": { "macaddress": interface.mac },
                    "set-name": interface.name,
                    "dhcp4": interface.address.is_none(),
                });
                if let (Some((address, prefix)), Value::Object(config)) =
                    (interface.address, &mut config)
                {
                    let addresses = json!([format!("{address}/{prefix}")]);
                    config.insert("addresses".to_owned(), addresses);
                    // Nothing waits for a network that leads nowhere else.
                    config.insert("optional".to_owned(), Value::Bool(true));
                }
                (interface.name.clone(), config)
            })
            .collect();
        if interfaces.is_empty() {
            return None;
        }
        let config = json!({ "version": 2, "ethernets": interfaces });
        Some(format!("{config:#}\n"))
    }

    /// The volume that NoCloud reads all of it from.
    ///
    /// # Errors
    /// The volume could not be made.
    pub fn volume(&self) -> Result<Vec<u8>, SeedError> {
        let (user, meta) = (self.user_data(), self.meta_data());
        let network = self.network_config();
        let mut files = vec![
            ("user-data", user.as_bytes()),
            ("meta-data", meta.as_bytes()),
        ];
        if let Some(network) = &network {
            files.push(("network-config", network.as_bytes()));
        }
        seed::volume(seed::NOCLOUD, &files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_boot() -> FirstBoot {
        FirstBoot {
            hostname: "home-node1".to_owned(),
            user: "bcm".to_owned(),
            default_user: false,
            keys: vec!["ssh-ed25519 AAAA it's \"me\"".to_owned()],
            host_key: Some(HostKey {
                private: "-----BEGIN\nsecret\n".to_owned(),
                public: "ssh-ed25519 BBBB".to_owned(),
            }),
            interfaces: vec![
                Interface {
                    name: "nat".to_owned(),
                    mac: "52:54:00:00:00:01".to_owned(),
                    address: None,
                },
                Interface {
                    name: "lan".to_owned(),
                    mac: "52:54:00:00:00:02".to_owned(),
                    address: Some(([10, 117, 98, 11].into(), 24)),
                },
            ],
        }
    }

    #[test]
    fn user_data_is_a_cloud_config_and_says_the_keys_as_they_are() {
        let text = first_boot().user_data();
        let json = text.strip_prefix("#cloud-config\n").unwrap();
        let config: Value = serde_json::from_str(json).unwrap();
        let user = &config["users"][0];
        assert_eq!(
            user["ssh_authorized_keys"][0],
            "ssh-ed25519 AAAA it's \"me\""
        );
        assert_eq!(
            config["ssh_keys"]["ed25519_private"],
            "-----BEGIN\nsecret\n"
        );
        assert_eq!(config["ssh_genkeytypes"], json!([]));
    }

    #[test]
    fn interfaces_are_found_by_their_address() {
        let text = first_boot().network_config().unwrap();
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["ethernets"]["nat"]["dhcp4"], true);
        assert_eq!(config["ethernets"]["lan"]["dhcp4"], false);
        assert_eq!(
            config["ethernets"]["lan"]["addresses"][0],
            "10.117.98.11/24"
        );
        let none = FirstBoot {
            interfaces: Vec::new(),
            ..first_boot()
        };
        assert_eq!(none.network_config(), None);
    }

    #[test]
    fn the_private_key_is_not_shown() {
        assert!(!format!("{:?}", first_boot()).contains("secret"));
    }
}
