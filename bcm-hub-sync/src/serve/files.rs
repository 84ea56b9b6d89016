//! Downloads.

use std::fs::File;
use std::sync::Arc;

use bcm_core::serve::file::{self, Download, OpenFile};
use hyper::Response;

use super::app::App;
use super::body::Content;
use super::condition::Validators;
use super::failure::Failure;
use super::response::Asked;
use super::snapshot::Found;
use crate::catalog::local::{FileIdentity, open_flist};

impl App {
    /// Sends the flist `found` under the name that it was asked for.
    pub(super) async fn download(
        &self,
        asked: &Asked<'_>,
        name: &str,
        found: &Found<'_>,
    ) -> Result<Response<Content>, Failure> {
        // The checksum is the entity tag, so that copies on other mirrors have the same one and a
        // download that was cut off here can be resumed there.
        let md5 = self.checksums.of(found).await?;
        let identity = found.identity;
        let download = Download {
            name,
            content_type: "application/octet-stream",
            validators: Validators {
                etag: format!("\"{md5}\""),
                modified: u64::try_from(identity.modified.seconds).ok(),
            },
            source: OpenFile {
                file: self.open(found).await?,
                identity,
            },
        };
        Ok(file::download(asked, &download))
    }

    /// Opens the file if it still is the one that the snapshot saw.
    async fn open(&self, found: &Found<'_>) -> Result<Arc<File>, Failure> {
        let users = self.watch.layout().users();
        let reference = found.reference.clone();
        let expected: FileIdentity = found.identity;
        self.workers
            .run(move || {
                let (file, identity) = open_flist(&users, &reference.repository, &reference.name)
                    .map_err(|error| Failure::opening(&reference, error))?;
                if identity == expected {
                    Ok(Arc::new(file))
                } else {
                    Err(Failure::Changed)
                }
            })
            .await?
    }
}
