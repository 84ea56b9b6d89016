//! Manifests by their names: those that are built in, and a folder of the user's.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;

use super::{BUILT_IN, Manifest, ManifestError, Whence, built_in};

/// The largest file that a manifest may name.
const MAX_SOURCE: u64 = 256 << 20;

/// A manifest in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub whence: Whence,
    /// What it is.
    pub about: String,
    /// Why it cannot be used, where that is so.
    pub wrong: Option<String>,
}

/// The manifest `name`, from `folder` or built in. One of the user's goes before one of BCM's.
///
/// # Errors
/// There is none of this name, or it cannot be used.
pub fn find(name: &str, folder: &Path) -> Result<Manifest, ManifestError> {
    let path = folder.join(format!("{name}.toml"));
    // A name is no path.
    if !name.contains('/') && path.is_file() {
        return read(&path, name);
    }
    match built_in(name) {
        Some(manifest) => manifest,
        None => Err(ManifestError::Unknown {
            name: name.to_owned(),
            known: list(folder)?
                .into_iter()
                .map(|listed| listed.name)
                .collect(),
        }),
    }
}

/// All manifests, sorted by name.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Listed>, ManifestError> {
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if let Some(name) = name.strip_suffix(".toml") {
                    names.push((name.to_owned(), Whence::Folder));
                }
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => {
            return Err(ManifestError::Read {
                path: folder.to_owned(),
                source,
            });
        }
    }
    for name in BUILT_IN {
        if names.iter().all(|(other, _)| other != name) {
            names.push(((*name).to_owned(), Whence::BuiltIn));
        }
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let listed = names.into_iter().map(|(name, whence)| {
        let (about, wrong) = match find(&name, folder) {
            Ok(manifest) => (manifest.about, None),
            Err(error) => (String::new(), Some(bcm_core::cause::chain(&error))),
        };
        Listed {
            name,
            whence,
            about,
            wrong,
        }
    });
    Ok(listed.collect())
}

/// Reads a manifest, and the files beside it that it names.
fn read(path: &Path, name: &str) -> Result<Manifest, ManifestError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ManifestError::Read { path, source }
    };
    let text = fs::read_to_string(path).map_err(failed(path))?;
    let mut manifest = Manifest::parse(name, &text)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let load = |source: &mut Option<String>, content: &mut Option<String>| {
        let Some(source) = source.take() else {
            return Ok(());
        };
        let path = folder.join(source);
        let size = fs::metadata(&path).map_err(failed(&path))?.len();
        if size > MAX_SOURCE {
            let error = std::io::Error::new(ErrorKind::FileTooLarge, format!("{size} bytes"));
            return Err(failed(&path)(error));
        }
        *content = Some(fs::read_to_string(&path).map_err(failed(&path))?);
        Ok(())
    };
    for kind in &mut manifest.instances {
        for file in &mut kind.files {
            load(&mut file.source, &mut file.content)?;
        }
        for unit in &mut kind.units {
            load(&mut unit.source, &mut unit.content)?;
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_adds_to_what_is_built_in() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let hello = "about = \"A page\"\n[[instance]]\nname = \"web\"\n[[instance.file]]\npath = \"/a\"\nsource = \"page.html\"\n";
        write("hello.toml", hello);
        write("page.html", "<p>");
        write("bad.toml", "about = 5");
        let listed = list(folder.path()).unwrap();
        let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
        assert_eq!(names, ["bad", "bootstrap", "hello", "hub", "mirror"]);
        assert!(listed[0].wrong.is_some());
        let found = find("hello", folder.path()).unwrap();
        assert_eq!(found.instances[0].files[0].content.as_deref(), Some("<p>"));
        let unknown = find("nope", folder.path()).unwrap_err().to_string();
        assert!(
            unknown.contains("hello") && unknown.contains("mirror"),
            "{unknown}"
        );
        assert!(list(Path::new("/nonexistent")).unwrap().len() == 3);
    }
}
