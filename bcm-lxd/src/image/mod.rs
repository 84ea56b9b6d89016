//! Images of Debian or Ubuntu, built on a member out of the packages that the member itself gets, so that no
//! image server is needed.

mod recipe;

use std::sync::Arc;
use std::time::Duration;

use bcm_ssh::{Command, OutputLine, Privilege, RunError};

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::host::{Machine, MachineError, PACKAGES};
use crate::operation::WaitError;
use crate::types::{Image, ImageAlias};

pub use recipe::{ImageRecipe, InvalidRecipe};

const CLEAN: &str = include_str!("clean.sh");
const BUILD: &str = include_str!("build.sh");
const TREE: &str = include_str!("tree.sh");

/// How long a build may take: a slow mirror, and a processor that does other things.
pub const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The property of an image that says by what it was made.
const RECIPE: &str = "bcm.recipe";

/// How long the engine may take to give up an image.
const DELETE_LIMIT: Duration = Duration::from_secs(60);

/// The exit status with which the script refuses.
const REFUSED: i32 = 9;

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The image's name in the API.
    pub fingerprint: String,
    /// Its name for people.
    pub alias: String,
    /// Whether it was there before, made by the same recipe.
    pub was_there: bool,
}

/// An image could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildImageError {
    /// The machine's engine could not be reached.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is no engine.
    #[error("{host}: no {flavour} is there to build an image for")]
    NoEngine {
        /// The machine.
        host: String,
        /// The engine that was looked for.
        flavour: Flavour,
    },
    /// It would not work on this machine.
    #[error("{host}: the image {alias} cannot be built there: {why}")]
    Refused {
        /// The machine.
        host: String,
        /// The image.
        alias: String,
        /// Why not.
        why: String,
    },
    /// A step failed, or took too long.
    #[error("{host}: could not build the image {alias} (at: {step})")]
    Step {
        /// The machine.
        host: String,
        /// The image.
        alias: String,
        /// What was being done.
        step: String,
        /// With the end of what was said.
        source: RunError,
    },
    /// The engine refused something.
    #[error("{host}: could not give the image the name {alias}")]
    Engine {
        /// The machine.
        host: String,
        /// The image.
        alias: String,
        /// Its words.
        source: LxdError,
    },
    /// The image was imported, and is not there.
    #[error("{host}: the image {alias} was imported, and the engine does not list it; try again")]
    Lost {
        /// The machine.
        host: String,
        /// The image.
        alias: String,
    },
}

/// Builds the image of `recipe` on `machine`, with the machine's own release, mirror and packages, and imports
/// it. Where the alias leads to an image of the same recipe, nothing is done. An image of another recipe loses
/// the alias, and goes, if it was built by this and has no other name.
///
/// The tools for it (debootstrap, squashfs-tools) are brought, and taken away again. `progress` is
/// called with what is being done. It takes one to three minutes, and 15 at most.
///
/// Cancel safety: dropping the future ends the connection; what was begun on the machine is taken away
/// there, at the latest by the next build.
///
/// # Errors
/// See [`BuildImageError`].
pub async fn build_image(
    machine: &Machine,
    flavour: Flavour,
    recipe: &ImageRecipe,
    progress: Arc<dyn Fn(&str) + Send + Sync>,
) -> Result<Built, BuildImageError> {
    let host = machine.host();
    let engine = machine
        .engine(flavour, ClientOptions::default())
        .await?
        .ok_or_else(|| BuildImageError::NoEngine {
            host: host.to_owned(),
            flavour,
        })?
        .in_project(recipe.project());
    let failed = |source| BuildImageError::Engine {
        host: host.to_owned(),
        alias: recipe.alias().to_owned(),
        source,
    };
    let hash = recipe.hash(&[PACKAGES, CLEAN, BUILD, TREE]);
    let built = |fingerprint: &str, was_there| Built {
        fingerprint: fingerprint.to_owned(),
        alias: recipe.alias().to_owned(),
        was_there,
    };
    // One that was cut off before it got its name is there, too.
    if let Some(image) = made_by(&engine, &hash).await.map_err(failed)? {
        let named = image.aliases.iter().any(|a| a.name == recipe.alias());
        if !named {
            give_name(&engine, recipe.alias(), &image)
                .await
                .map_err(failed)?;
        }
        return Ok(built(&image.fingerprint, true));
    }
    run(machine, flavour, recipe, &hash, progress).await?;
    let image = made_by(&engine, &hash)
        .await
        .map_err(failed)?
        .ok_or_else(|| BuildImageError::Lost {
            host: host.to_owned(),
            alias: recipe.alias().to_owned(),
        })?;
    give_name(&engine, recipe.alias(), &image)
        .await
        .map_err(failed)?;
    Ok(built(&image.fingerprint, false))
}

async fn made_by(engine: &Client, hash: &str) -> Result<Option<Image>, LxdError> {
    let images = engine.images().await?;
    Ok(images
        .into_iter()
        .find(|image| image.properties.get(RECIPE).is_some_and(|of| of == hash)))
}

/// Moves a name to `image`; the image that had it before goes, if it is one of these and has no
/// other name.
async fn give_name(engine: &Client, alias: &str, image: &Image) -> Result<(), LxdError> {
    let Some(before) = engine.image_alias(alias).await? else {
        return engine
            .create_image_alias(&ImageAlias {
                name: alias.to_owned(),
                description: String::new(),
                target: image.fingerprint.clone(),
            })
            .await;
    };
    engine.move_image_alias(alias, &image.fingerprint).await?;
    let old = engine.images().await?.into_iter().find(|old| {
        old.fingerprint == before.target
            && old.aliases.is_empty()
            && old.properties.contains_key(RECIPE)
    });
    if let Some(old) = old {
        match engine
            .delete_image(&old.fingerprint)
            .await?
            .wait(DELETE_LIMIT)
            .await
        {
            Err(WaitError::Failed(error)) if !error.is_not_found() => return Err(error),
            // It goes on at the engine.
            _ => {}
        }
    }
    Ok(())
}

async fn run(
    machine: &Machine,
    flavour: Flavour,
    recipe: &ImageRecipe,
    hash: &str,
    progress: Arc<dyn Fn(&str) + Send + Sync>,
) -> Result<(), BuildImageError> {
    let functions = format!("{PACKAGES}\n{CLEAN}");
    let mut words = vec![
        functions.as_str(),
        TREE,
        flavour.cli(),
        recipe.project(),
        hash,
        recipe.alias(),
    ];
    words.extend(recipe.packages().iter().map(String::as_str));
    let step = Arc::new(std::sync::Mutex::new("connecting".to_owned()));
    let last = Arc::clone(&step);
    let command = Command::script(format!("{functions}\n{BUILD}"), words)
        .privilege(Privilege::Root)
        .deadline(BUILD_LIMIT)
        .watch(move |line| {
            if let OutputLine::Stdout(line) = line
                && let Some(what) = line.strip_prefix("progress\t")
            {
                progress(what);
                if let Ok(mut last) = last.lock() {
                    what.clone_into(&mut last);
                }
            }
        });
    let remote = machine.remote();
    let failed = |source| BuildImageError::Step {
        host: machine.host().to_owned(),
        alias: recipe.alias().to_owned(),
        step: step.lock().map(|step| step.clone()).unwrap_or_default(),
        source,
    };
    let output = remote.run(command.clone()).await.map_err(failed)?;
    if output.status == REFUSED
        && let Some((_, why)) = output.stdout_text().rsplit_once("refused\t")
    {
        return Err(BuildImageError::Refused {
            host: machine.host().to_owned(),
            alias: recipe.alias().to_owned(),
            why: why.to_owned(),
        });
    }
    output
        .or_error(remote.host(), &command)
        .map(|_| ())
        .map_err(failed)
}
