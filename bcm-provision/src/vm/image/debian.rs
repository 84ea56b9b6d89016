//! An image built from Debian's packages, by mmdebstrap and mkfs.ext4: no root, no mounts, no
//! boot loader. QEMU starts its kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bcm_core::digest::{blake2b_128_many, to_hex};
use bcm_core::lock::FolderLock;
use bcm_core::progress::watched;

use super::super::fleet::{private_folder, remove_folder};
use super::super::program::{self, Programs};
use super::super::{VmContext, VmError};
use super::{AptSources, Format, HostRelease, Image};

/// The label of the root file system.
pub const LABEL: &str = "bcm-root";

const CUSTOMISE: &str = include_str!("customise.sh");
const PACK: &str = include_str!("pack.sh");

/// What is in it beside what every Debian has.
const PACKAGES: [&str; 18] = [
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "udev",
    "kmod",
    "procps",
    "openssh-server",
    "cloud-init",
    "e2fsprogs",
    "sudo",
    "iproute2",
    "netbase",
    "ca-certificates",
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "busybox",
    "zstd",
];

/// The initial RAM disk has what QEMU's disk needs and no more: unpacking all modules takes longer
/// than the rest of the boot in emulation.
const INITRAMFS: &str = r#"mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=zstd\n' >"$1/etc/initramfs-tools/conf.d/bcm"
printf 'virtio_pci\nvirtio_blk\next4\n' >"$1/etc/initramfs-tools/modules""#;

/// A slow mirror, and a machine with other work.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How an image is built: a value of which its name in the cache and the command follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianImage {
    /// `bookworm`, …
    pub codename: String,
    /// The lines of its `sources.list`.
    pub sources: Vec<String>,
}

impl DebianImage {
    /// Of the release that this host runs, from where this host gets its packages.
    ///
    /// # Errors
    /// This host is no Debian, or not of a kind for which an image is built.
    pub fn of_host() -> Result<Self, VmError> {
        Self::new(
            &HostRelease::of_host(),
            AptSources::of_host(Path::new("/etc/apt")),
            std::env::consts::ARCH,
        )
    }

    fn new(
        release: &HostRelease,
        sources: Option<AptSources>,
        arch: &str,
    ) -> Result<Self, VmError> {
        let refused = |why: &str| {
            VmError::Wanted(format!(
                "no image can be built here: {why}; give a cloud image with --vm-image"
            ))
        };
        if release.id != "debian" || release.codename.is_empty() {
            return Err(refused("this machine does not run a release of Debian"));
        }
        if arch != "x86_64" {
            return Err(refused("this is done for amd64 only"));
        }
        let sources = sources.ok_or_else(|| {
            refused(
                "no mirror of Debian (a URL that ends in /debian) is in this machine's apt sources",
            )
        })?;
        Ok(Self {
            sources: sources.lines(&release.codename),
            codename: release.codename.clone(),
        })
    }

    /// Its name in the cache: another recipe has another.
    #[must_use]
    pub fn name(&self) -> String {
        let packages = PACKAGES.join(",");
        let sources = self.sources.join("\n");
        let text = [&packages, CUSTOMISE, PACK, INITRAMFS, &sources].join("\0");
        let digest = blake2b_128_many(&[text.as_bytes()]);
        let hex = to_hex(digest.first().map_or(&[][..], |digest| &digest[..4]));
        format!("debian-{}-{hex}", self.codename)
    }

    /// The arguments of mmdebstrap that make the archive `archive` of the root file system.
    #[must_use]
    pub fn arguments(&self, archive: &Path) -> Vec<String> {
        let mut arguments = vec![
            "--variant=apt".to_owned(),
            format!("--include={}", PACKAGES.join(",")),
            "--skip=check/qemu".to_owned(),
            // The lists stay: fetching and reading them again takes minutes in emulation.
            "--skip=cleanup/apt/lists,cleanup/apt/cache".to_owned(),
            "--aptopt=APT::Install-Recommends \"false\"".to_owned(),
            "--aptopt=Acquire::Languages \"none\"".to_owned(),
            "--dpkgopt=path-exclude=/usr/share/doc/*".to_owned(),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright".to_owned(),
            "--dpkgopt=path-exclude=/usr/share/man/*".to_owned(),
            "--dpkgopt=path-exclude=/usr/share/locale/*".to_owned(),
            format!("--setup-hook={INITRAMFS}"),
            format!("--customize-hook={CUSTOMISE}"),
            "--format=tar".to_owned(),
            self.codename.clone(),
            archive.to_string_lossy().into_owned(),
        ];
        arguments.extend(self.sources.iter().cloned());
        arguments
    }
}

/// The image in the cache `cache`, if it is there and whole.
fn kept(folder: &Path) -> Option<Image> {
    let disk = folder.join("disk");
    // The folder has this name only when all of it is there.
    let size = fs::metadata(&disk).ok()?.len();
    Some(Image {
        disk,
        format: Format::Raw,
        size,
        kernel: Some((folder.join("vmlinuz"), folder.join("initrd"))),
    })
}

/// The programs that are needed; as root, nothing has to seem so.
fn tools(programs: &Programs, root: bool) -> Result<(PathBuf, PathBuf, Option<PathBuf>), VmError> {
    let wanted = [
        ("mmdebstrap", "mmdebstrap", false),
        ("mkfs.ext4", "e2fsprogs", false),
        ("tar", "tar", false),
        ("sh", "dash", false),
        ("newuidmap", "uidmap", true),
        ("fakeroot", "fakeroot", true),
    ];
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|(program, _, without_root)| {
            (!without_root || !root) && programs.find(program).is_none()
        })
        .map(|(_, package, _)| package)
        .collect();
    let (Some(mmdebstrap), Some(sh), true) = (
        programs.find("mmdebstrap"),
        programs.find("sh"),
        missing.is_empty(),
    ) else {
        return Err(VmError::Missing {
            what: "building an image from Debian's packages",
            packages: missing,
        });
    };
    let fakeroot = programs.find("fakeroot").filter(|_| !root);
    Ok((mmdebstrap, sh, fakeroot))
}

/// The image, built unless it is in the cache.
pub(super) async fn ensure(context: &VmContext) -> Result<Image, VmError> {
    let recipe = DebianImage::of_host()?;
    let name = recipe.name();
    let folder = context.cache.join(&name);
    if let Some(image) = kept(&folder) {
        return Ok(image);
    }
    let root = rustix::process::geteuid().is_root();
    let (mmdebstrap, sh, fakeroot) = tools(&context.programs, root)?;
    let own_mounts = context.programs.find("unshare").ok_or(VmError::Missing {
        what: "building an image from Debian's packages",
        packages: vec!["util-linux"],
    })?;
    private_folder(&context.cache)?;
    let _lock =
        FolderLock::acquire(&context.cache.join(format!("{name}.lock"))).map_err(VmError::Busy)?;
    let building = context.cache.join(format!("{name}.building"));
    // What an earlier run, which was cut off, left.
    remove_folder(&building)?;
    private_folder(&building)?;
    let archive = building.join("root.tar");
    let build = async {
        // As root, mmdebstrap's own files are here, too; otherwise another user of its own making has
        // to reach them.
        let temporary = building.clone();
        let mut arguments = recipe.arguments(&archive);
        let mut runner = mmdebstrap;
        if root {
            // What it mounts is in a namespace of its own, and goes with its last process: a build that
            // is killed leaves nothing of this machine's below a folder that is removed later.
            arguments.insert(0, runner.to_string_lossy().into_owned());
            let unshare = ["--mount", "--propagation", "private", "--"];
            arguments.splice(0..0, unshare.map(str::to_owned));
            runner = own_mounts.clone();
        }
        program::run(&runner, &arguments, b"", LIMIT, |command| {
            if root {
                command.env("TMPDIR", temporary);
            }
        })
        .await?;
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let script = ["-c".to_owned(), PACK.to_owned(), "pack".to_owned()];
        let mut arguments = script.to_vec();
        arguments.extend([shown(&archive), shown(&building), LABEL.to_owned()]);
        let runner = match fakeroot {
            Some(fakeroot) => {
                arguments.insert(0, shown(&sh));
                fakeroot
            }
            None => sh,
        };
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        program::run(&runner, &arguments, b"", LIMIT, |command| {
            command.env("PATH", path);
        })
        .await?;
        fs::rename(&building, &folder).map_err(VmError::io("rename", &building))?;
        Ok::<_, VmError>(())
    };
    let what = format!(
        "building an image of Debian {} (once; some minutes)",
        recipe.codename
    );
    let built = watched(&context.progress, &what, build).await;
    if built.is_err() {
        // The first error is the one worth reporting.
        let _ = remove_folder(&building);
    }
    built?;
    kept(&folder).ok_or_else(|| VmError::Image {
        image: folder.display().to_string(),
        why: "it has no disk".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(archive: &str) -> DebianImage {
        let sources = AptSources {
            archive: archive.to_owned(),
            security: format!("{archive}-security"),
        };
        let release = HostRelease::parse("ID=debian\nVERSION_CODENAME=bookworm\n");
        DebianImage::new(&release, Some(sources), "x86_64").unwrap()
    }

    #[test]
    fn another_recipe_is_another_image() {
        let one = recipe("http://a.example/debian");
        assert_eq!(one.name(), recipe("http://a.example/debian").name());
        assert_ne!(one.name(), recipe("http://b.example/debian").name());
        let arguments = one.arguments(Path::new("/x/root.tar"));
        let end = arguments.len() - 5;
        assert_eq!(
            arguments[end..],
            [
                "bookworm",
                "/x/root.tar",
                "deb http://a.example/debian bookworm main",
                "deb http://a.example/debian bookworm-updates main",
                "deb http://a.example/debian-security bookworm-security main",
            ]
        );
    }

    #[test]
    fn where_none_can_be_built_one_has_to_be_given() {
        let ubuntu = HostRelease::parse("ID=ubuntu\nVERSION_CODENAME=noble\n");
        let debian = HostRelease::parse("ID=debian\nVERSION_CODENAME=bookworm\n");
        for (release, arch) in [
            (&ubuntu, "x86_64"),
            (&debian, "aarch64"),
            (&debian, "x86_64"),
        ] {
            let error = DebianImage::new(release, None, arch).unwrap_err();
            assert!(error.to_string().contains("--vm-image"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named_by_package() {
        let empty = Programs::new([]);
        let error = tools(&empty, false).unwrap_err().to_string();
        assert!(error.contains("apt-get install mmdebstrap"), "{error}");
        assert!(error.contains("fakeroot"), "{error}");
        let error = tools(&empty, true).unwrap_err().to_string();
        assert!(!error.contains("fakeroot"), "{error}");
    }
}
