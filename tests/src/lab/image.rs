//! Base images: a small installed Debian, built once by debootstrap and kept in a cache.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{LabError, Preinstalled, Release, apt::Apt, process};

/// What a machine has beyond debootstrap's smallest variant: what Debian's installer leaves on a
/// server with an SSH server and nothing else, as far as programs that administer it rely on it.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,iproute2,iputils-ping,\
                        ca-certificates,sudo,python3-minimal,nftables,netbase,kmod,less";

const CUSTOMISE: &str = include_str!("scripts/customise.sh");
const INSTALL: &str = include_str!("scripts/packages.sh");

/// A slow mirror, and everybody compiling at the same time.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// An image that LXD and Incus import: `lxc image import METADATA ROOTFS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// The root file system, a squashfs.
    pub rootfs: PathBuf,
    /// Metadata for the lab's own machines, whose templates read the machine's `user.lab.*`.
    pub machine_metadata: PathBuf,
    /// Metadata for instances inside the machines: no image server is needed to start one.
    pub instance_metadata: PathBuf,
}

impl BaseImage {
    /// The image of `release` in `cache`; built there if it is not.
    ///
    /// A build takes a minute or two and is not seen by others until it is complete; whoever wants
    /// the same image meanwhile waits.
    ///
    /// # Errors
    /// When the build fails; the log of debootstrap is in the message.
    pub fn ensure(
        cache: &Path,
        release: Release,
        preinstalled: Preinstalled,
        say: &dyn Fn(&str),
    ) -> Result<Self, LabError> {
        let apt = Apt::of_host()?;
        let packages = preinstalled.packages(release);
        let mut recipe = DefaultHasher::new();
        (CUSTOMISE, INSTALL, PACKAGES, TEMPLATES, packages).hash(&mut recipe);
        (apt.sources_list(release), &apt.config).hash(&mut recipe);
        let words: Vec<&str> = [release.name()]
            .into_iter()
            .chain(packages.first().copied())
            .collect();
        let name = format!("{}-{:08x}", words.join("-"), recipe.finish() as u32);
        let folder = cache.join(&name);
        let image = Self::in_folder(&folder);
        fs::create_dir_all(cache).map_err(LabError::io("create", cache))?;
        let lock_path = cache.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(LabError::io("create", &lock_path))?;
        lock.lock().map_err(LabError::io("lock", &lock_path))?;
        if folder.is_dir() {
            return Ok(image);
        }
        // What has packages beyond the others' is made of theirs.
        let base = match preinstalled {
            Preinstalled::Nothing => None,
            Preinstalled::Engine => Some(Self::ensure(cache, release, Preinstalled::Nothing, say)?),
        };
        say(&format!(
            "building the image {name} (once; a minute or two)"
        ));
        let building = cache.join(format!("{name}.building"));
        if building.exists() {
            fs::remove_dir_all(&building).map_err(LabError::io("remove", &building))?;
        }
        fs::create_dir_all(&building).map_err(LabError::io("create", &building))?;
        let root = building.join("root");
        match base {
            None => debootstrap(&root, release, &apt)?,
            Some(base) => unpack(&base.rootfs, &root)?,
        }
        install(&root, release, packages, &apt)?;
        let built = Self::in_folder(&building);
        pack(&root, &built.rootfs)?;
        write_metadata(&built.machine_metadata, release, TEMPLATES)?;
        write_metadata(&built.instance_metadata, release, &TEMPLATES[..1])?;
        fs::remove_dir_all(&root).map_err(LabError::io("remove", &root))?;
        fs::rename(&building, &folder).map_err(LabError::io("rename", &building))?;
        Ok(image)
    }

    /// Where its files are in a folder.
    fn in_folder(folder: &Path) -> Self {
        Self {
            rootfs: folder.join("rootfs.squashfs"),
            machine_metadata: folder.join("machine.tar.gz"),
            instance_metadata: folder.join("instance.tar.gz"),
        }
    }
}

fn debootstrap(root: &Path, release: Release, apt: &Apt) -> Result<(), LabError> {
    process::succeed(
        process::command("debootstrap")
            .arg("--variant=minbase")
            .arg(format!("--include={PACKAGES}"))
            .arg(release.name())
            .arg(root)
            .arg(&apt.sources.archive),
        None,
        BUILD_LIMIT,
    )?;
    process::succeed(
        process::command("sh").args(["-s", "--"]).arg(root),
        Some(CUSTOMISE.as_bytes()),
        Duration::from_secs(60),
    )
    .map(|_| ())
}

/// Brings the tree `root` what apt knows of its packages, and `packages`.
fn install(root: &Path, release: Release, packages: &[&str], apt: &Apt) -> Result<(), LabError> {
    // Not by a template: what apt made of its lists is void where one of these is newer.
    for (path, text) in [
        ("etc/apt/sources.list", &apt.sources_list(release)),
        ("etc/apt/apt.conf.d/90lab", &apt.config),
    ] {
        let path = root.join(path);
        fs::write(&path, text).map_err(LabError::io("write", &path))?;
    }
    process::succeed(
        process::command("unshare")
            .args(["--mount", "sh", "-s", "--"])
            .arg(root)
            .args(packages),
        Some(INSTALL.as_bytes()),
        BUILD_LIMIT,
    )
    .map(|_| ())
}

fn pack(root: &Path, rootfs: &Path) -> Result<(), LabError> {
    process::succeed(
        process::command("mksquashfs")
            .arg(root)
            .arg(rootfs)
            .args(["-comp", "zstd", "-Xcompression-level", "3"])
            .args(["-noappend", "-quiet", "-no-progress"]),
        None,
        Duration::from_secs(300),
    )
    .map(|_| ())
}

fn unpack(rootfs: &Path, root: &Path) -> Result<(), LabError> {
    process::succeed(
        process::command("unsquashfs")
            .args(["-no-progress", "-quiet", "-dest"])
            .arg(root)
            .arg(rootfs),
        None,
        Duration::from_secs(300),
    )
    .map(|_| ())
}

/// What LXD writes into a machine before it first starts: path, name of the template, text.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("/etc/hostname", "hostname.tpl", "{{ container.name }}\n"),
    (
        // Debian's installer writes the same trap: one's own name is 127.0.1.1.
        "/etc/hosts",
        "hosts.tpl",
        "127.0.0.1\tlocalhost\n127.0.1.1\t{{ container.name }}.lab\t{{ container.name }}\n\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    ),
    (
        "/etc/resolv.conf",
        "resolv.tpl",
        "{{ config_get(\"user.lab.resolv\", \"\") }}",
    ),
    (
        "/home/bcm/.ssh/authorized_keys",
        "bcm.tpl",
        "{{ config_get(\"user.lab.key\", \"\") }}",
    ),
    (
        "/home/plain/.ssh/authorized_keys",
        "plain.tpl",
        "{{ config_get(\"user.lab.key\", \"\") }}",
    ),
];

fn write_metadata(
    path: &Path,
    release: Release,
    templates: &[(&str, &str, &str)],
) -> Result<(), LabError> {
    let mut yaml = format!(
        "architecture: {}\ncreation_date: 1700000000\nproperties:\n  os: Debian\n  \
         release: {release}\n  description: Debian {release} of the laboratory\ntemplates:\n",
        std::env::consts::ARCH
    );
    for (target, name, _) in templates {
        yaml.push_str(&format!(
            "  {target}:\n    when: [create, copy]\n    template: {name}\n"
        ));
    }
    let file = File::create(path).map_err(LabError::io("create", path))?;
    let gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    let mut archive = tar::Builder::new(gzip);
    let mut append = |name: String, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, name, text.as_bytes())
    };
    append("metadata.yaml".to_owned(), &yaml).map_err(LabError::io("write", path))?;
    for (_, name, text) in templates {
        append(format!("templates/{name}"), text).map_err(LabError::io("write", path))?;
    }
    archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .map(|_| ())
        .map_err(LabError::io("write", path))
}
