//! What a prepared machine is to be like.

use bcm_core::login::{PublicKey, UserName};
use bcm_ssh::onion::ClientPublicKey;

use crate::cluster::{EngineChoice, StorageDriver};

use super::Mode;

/// What a prepared machine is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareSpec {
    /// The user by whom BCM will work there; `bcm` by default.
    pub user: UserName,
    /// Who may log in as that user. There must be one, or nobody may.
    pub keys: Vec<PublicKey>,
    /// The engine whose group the user is put into; `Auto` takes the one that is there, or that
    /// the machine's packages have.
    pub engine: EngineChoice,
    /// The storage driver whose programs are installed; `Dir` needs none.
    pub storage: StorageDriver,
    /// Whether something has to keep the clock; yes by default.
    pub time_sync: bool,
    /// Whether security updates are installed every day; no by default.
    pub unattended_upgrades: bool,
    /// Whether SSH is served as an onion service, too; no by default.
    pub onion: Option<OnionSpec>,
}

impl PrepareSpec {
    /// With the defaults, for these keys.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self {
            user: UserName::default(),
            keys,
            engine: EngineChoice::Auto,
            storage: StorageDriver::Dir,
            time_sync: true,
            unattended_upgrades: false,
            onion: None,
        }
    }

    /// What the script works with. No value needs an escape: the types see to that.
    pub(super) fn variables(&self, mode: Mode, confirm: bool) -> String {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        let group = match self.engine {
            EngineChoice::Auto => "auto",
            EngineChoice::Lxd => "lxd",
            EngineChoice::Incus => "incus-admin",
        };
        let packages = match self.storage {
            StorageDriver::Dir => "",
            StorageDriver::Btrfs => "btrfs-progs",
            StorageDriver::Zfs => "zfsutils-linux",
            StorageDriver::Lvm => "lvm2 thin-provisioning-tools",
        };
        let yes = |value| if value { "yes" } else { "no" };
        let onion = match &self.onion {
            None => "onion=no\n".to_owned(),
            Some(onion) => format!(
                "onion=yes\nonion_client={}\nonion_given={}\nonion_rotate={}\n",
                onion.client,
                yes(onion.given),
                yes(onion.replace),
            ),
        };
        format!(
            "dry={}\nconfirm={}\nuser='{}'\ngroup={group}\nkeys='{}'\npackages_wanted='{packages}'\n\
             time_sync={}\nunattended={}\n{onion}",
            yes(mode == Mode::DryRun),
            yes(confirm),
            self.user,
            keys.join("\n"),
            yes(self.time_sync),
            yes(self.unattended_upgrades),
        )
    }
}

/// How SSH is served as an onion service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnionSpec {
    /// Who may find it. The machine never sees the secret half.
    pub client: ClientPublicKey,
    /// Whether the secret half is in its owner's hands already. Otherwise [`super::onion_given`] has
    /// to follow, or the next run puts another key in the place of this one.
    pub given: bool,
    /// Whether this key takes the place of one that was given before.
    pub replace: bool,
}
