//! Proves that a mirror is whole: every kernel has the content that was published, and every run mode
//! leads to one.

use std::fs;

use bcm_core::digest::Sha256;
use bcm_core::lock::FolderLock;
use serde::Serialize;

use crate::kernel::KernelName;
use crate::layout::Layout;
use crate::local::{self, LocalError, LocalLink};
use crate::manifest::Manifest;
use crate::sync::{SyncError, staged};

/// What is wrong with one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A kernel's name, or `net/MODE.efi`.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it was repaired: what is damaged was removed, so that the next sync fetches it again, and a
    /// link that led elsewhere was turned back.
    pub repaired: bool,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Kernels whose content was hashed.
    pub kernels: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Run modes that were looked at.
    pub links: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What has no place in the folder; it is left alone.
    pub odd: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong, or nothing any more but for what the next sync fetches.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Hashes every kernel again and looks at every link; with `repair`, takes away what is damaged. Blocks.
///
/// # Errors
/// The folder or the manifest cannot be read; with `repair`, somebody else writes, or it cannot be
/// written.
pub fn verify(layout: &Layout, repair: bool) -> Result<VerifyReport, SyncError> {
    let _lock = repair
        .then(|| FolderLock::acquire(&layout.lock()))
        .transpose()?;
    let loaded = Manifest::load(&layout.manifest())?;
    let local = local::scan(layout)?;
    let mut manifest = loaded.manifest;
    let mut report = VerifyReport {
        odd: local.odd.clone(),
        ..VerifyReport::default()
    };
    let damaged = loaded.damaged.is_some();
    if let Some(damaged) = loaded.damaged {
        report.problems.push(Problem {
            subject: "manifest.json".to_owned(),
            problem: format!("it is damaged, and the next sync makes another: {damaged}"),
            repaired: false,
        });
    }
    for (name, kernel) in manifest.kernels.clone() {
        let path = layout.kernel(&name);
        let problem = match local::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Some("it is missing".to_owned())
            }
            Err(error) => Some(format!("it cannot be read: {error}")),
            Ok((file, identity)) => {
                report.kernels += 1;
                report.bytes += identity.size;
                match Sha256::of_reader(file) {
                    Ok(found) if found == kernel.sha256 || is_newer(layout, &name, found) => None,
                    Ok(found) => Some(format!("its SHA-256 is {found}, not {}", kernel.sha256)),
                    Err(error) => Some(format!("it cannot be read: {error}")),
                }
            }
        };
        let Some(problem) = problem else { continue };
        if repair {
            // A folder in its place is not for us to remove.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LocalError::new("remove", &path, error).into());
                }
                _ => manifest.kernels.remove(&name),
            };
        }
        report.problems.push(Problem {
            subject: name.to_string(),
            problem,
            repaired: repair,
        });
    }
    for name in local.kernels.keys() {
        if !manifest.kernels.contains_key(name) && layout.kernel(name).exists() {
            report.odd.push(format!(
                "{name}: nothing is known of it; a sync compares it"
            ));
        }
    }
    for (name, to) in &local.aliases {
        if local.resolve(name).is_none() {
            let odd = format!("{name}: leads to {to}, and from there to no kernel");
            report.odd.push(odd);
        }
    }
    for (mode, link) in &manifest.links {
        report.links += 1;
        let there = match local.links.get(mode) {
            Some(LocalLink::Kernel(name)) => Some(name.clone()),
            _ => None,
        };
        let problem = if there.as_ref() != Some(&link.kernel) {
            let now = there.map_or("nothing".to_owned(), |name| name.to_string());
            format!("it leads to {now}, not to {}", link.kernel)
        } else if !local.kernels.contains_key(&link.kernel) {
            format!("it leads to {}, which is not there", link.kernel)
        } else {
            continue;
        };
        if repair {
            local::set_link(layout, mode, &link.kernel)?;
        }
        report.problems.push(Problem {
            subject: format!("net/{}", mode.link()),
            problem,
            repaired: repair && local.kernels.contains_key(&link.kernel),
        });
    }
    // One that is damaged is left for whoever wants to look what was in it; a sync replaces it.
    if repair && !damaged && !report.problems.is_empty() {
        manifest.save(&layout.manifest())?;
    }
    Ok(report)
}

/// Whether a sync has published this content since the manifest was read, or ended before it could note
/// that.
fn is_newer(layout: &Layout, name: &KernelName, found: Sha256) -> bool {
    // A sync that is under way writes the manifest before it forgets the download.
    staged::unnoted(layout, name) == Some(found)
        || Manifest::load(&layout.manifest()).is_ok_and(|now| {
            let kernel = now.manifest.kernels.get(name);
            kernel.is_some_and(|kernel| kernel.sha256 == found)
        })
}
