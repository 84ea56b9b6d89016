//! The client of bcm-lxd and a real engine: every call that applications on a cluster need.

use std::{
    future::Future,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use bcm_lxd::{
    Client, ClientOptions, EventStream, Flavour, WaitError,
    api::{FileMeta, ImageFiles, RemoteImage},
    host::Machine as Reached,
    types::{
        Config, ImageAlias, InstanceAction, InstanceSource, InstanceStatePut, InstancesPost,
        Profile, Project, VolumesPost,
    },
};
use bcm_ssh::{HostKeyPolicy, Ssh, SshOptions};
use bcm_tests::lab::Lab;
use libtest_mimic::Failed;

use crate::{Outcome, Test, cluster::bench::Bench, image};

pub(crate) const TESTS: &[Test] = &[("client::on_lxd", on_lxd)];

const LIMIT: Duration = Duration::from_secs(120);
const PROJECT: &str = "client";

fn on_lxd() -> Outcome {
    let bench = Bench::with_engine(1)?;
    bench.create(&["node1"], &[]).assert_code(0);
    let image = image::bytes(&bench.machine(1)?)?;
    block_on(async {
        let client = connect(&bench.lab, Flavour::Lxd).await?;
        exercise(&client, image).await
    })?;
    Ok(bench.lab.take_down()?)
}

/// Runs a test to its end, which comes within minutes.
pub(crate) fn block_on(test: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async { tokio::time::timeout(Duration::from_secs(600), test).await? })
}

/// A client of the engine on `node1`, over SSH, as a user with sudo.
pub(crate) async fn connect(lab: &Lab, flavour: Flavour) -> Result<Client, Failed> {
    let options =
        SshOptions::new(HostKeyPolicy::Strict, std::env::temp_dir()).ssh_config(lab.ssh_config());
    let host = "bcm@node1";
    let session = Ssh::connect(&host.parse()?, &options).await?;
    let machine = Reached::new(host, Arc::new(session));
    let client = machine.engine(flavour, ClientOptions::default()).await?;
    client.ok_or_else(|| format!("{flavour} does not run").into())
}

/// Uses all of it in a project of its own, which is gone afterwards.
pub(crate) async fn exercise(client: &Client, image: Vec<u8>) -> Outcome {
    what_the_server_is(client).await?;
    tokens_are_revoked(client).await?;
    let mut events = client.events(&["lifecycle", "operation"]).await?;
    let inside = projects_and_profiles(client).await?;
    let fingerprint = images(&inside, image).await?;
    instances(&inside, &mut events).await?;
    volumes(&inside).await?;
    inside.delete_image(&fingerprint).await?.wait(LIMIT).await?;
    assert!(inside.images().await?.is_empty());
    inside.delete_profile("small").await?;
    client.delete_project(PROJECT).await?;
    assert!(client.projects().await?.iter().all(|p| p.name != PROJECT));
    Ok(())
}

async fn what_the_server_is(client: &Client) -> Outcome {
    let server = client.server().await?;
    assert_eq!(server.auth, "trusted");
    assert!(server.api_extensions.len() > 100);
    let resources = client.resources(None).await?;
    assert!(resources.cpu.total > 0 && resources.memory.total > 0);
    let networks = client.networks().await?;
    assert!(networks.iter().any(|n| !n.managed), "the host's own");
    let bridge = client.network("bcmbr0", None).await?;
    assert!(bridge.managed && bridge.kind == "bridge");
    assert!(
        client
            .storage_pool("nope", None)
            .await
            .unwrap_err()
            .is_not_found()
    );
    client.certificates().await?;
    Ok(())
}

async fn tokens_are_revoked(client: &Client) -> Outcome {
    let (token, handle) = client.join_token("ghost").await?;
    assert!(!token.secret.is_empty() && !token.addresses.is_empty());
    handle.cancel().await?;
    // What is gone counts as cancelled.
    handle.cancel().await?;
    assert_eq!(
        client
            .cluster_members()
            .await?
            .iter()
            .filter(|m| m.server_name == "ghost")
            .count(),
        0
    );
    Ok(())
}

async fn projects_and_profiles(client: &Client) -> Result<Client, Failed> {
    let project = Project {
        name: PROJECT.to_owned(),
        config: [
            "features.images",
            "features.profiles",
            "features.storage.volumes",
        ]
        .map(|key| (key.to_owned(), "true".to_owned()))
        .into(),
        ..Project::default()
    };
    client.create_project(&project).await?;
    let again = client.create_project(&project).await.unwrap_err();
    assert!(again.is_conflict(), "{again:?}");
    let inside = client.in_project(PROJECT);
    let mut profile = Profile {
        name: "small".to_owned(),
        devices: [(
            "root".to_owned(),
            [("type", "disk"), ("path", "/"), ("pool", "bcm")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        )]
        .into(),
        ..Profile::default()
    };
    inside.put_profile(&profile).await?;
    profile.description = "changed".to_owned();
    inside.put_profile(&profile).await?;
    let profiles = inside.profiles().await?;
    assert!(
        profiles
            .iter()
            .any(|p| p.name == "small" && p.description == "changed")
    );
    assert!(client.profiles().await?.iter().all(|p| p.name != "small"));
    Ok(inside)
}

/// Makes the image `tiny` of `image`, and gives its fingerprint.
pub(crate) async fn import(inside: &Client, image: Vec<u8>) -> Result<String, Failed> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&image)?;
    let import = inside.import_image_file(file.path()).await?;
    let operation = import.wait(LIMIT).await?;
    let fingerprint = operation.metadata["fingerprint"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let alias = ImageAlias {
        name: "tiny".to_owned(),
        target: fingerprint.clone(),
        ..ImageAlias::default()
    };
    inside.create_image_alias(&alias).await?;
    Ok(fingerprint)
}

async fn images(inside: &Client, image: Vec<u8>) -> Result<String, Failed> {
    let fingerprint = import(inside, image.clone()).await?;
    // The same once more, out of memory.
    let again = inside
        .import_image(ImageFiles::Unified(image.into()))
        .await?;
    again.wait(LIMIT).await.unwrap_err();
    let nowhere = RemoteImage {
        server: "https://127.0.0.1:9".to_owned(),
        alias: "debian/12".to_owned(),
    };
    let start = Instant::now();
    let unreachable = inside.pull_image(&nowhere, LIMIT).await.unwrap_err();
    assert!(start.elapsed() < LIMIT / 2, "{unreachable:?}");
    assert!(
        format!("{unreachable:?}").contains("refused"),
        "{unreachable:?}"
    );
    let alias = ImageAlias {
        name: "tiny".to_owned(),
        target: fingerprint.clone(),
        ..ImageAlias::default()
    };
    assert!(
        inside
            .create_image_alias(&alias)
            .await
            .unwrap_err()
            .is_conflict()
    );
    let found = inside.image_alias("tiny").await?.map(|alias| alias.target);
    assert_eq!(found.as_ref(), Some(&fingerprint));
    assert!(inside.image_alias("nope").await?.is_none());
    assert_eq!(inside.images().await?.len(), 1);
    Ok(fingerprint)
}

/// An instance of the image `tiny` on the member `target`, started.
pub(crate) async fn start(
    inside: &Client,
    name: &str,
    profile: &str,
    target: Option<&str>,
) -> Outcome {
    let post = InstancesPost {
        name: name.to_owned(),
        source: InstanceSource {
            kind: "image".to_owned(),
            alias: "tiny".to_owned(),
            ..InstanceSource::default()
        },
        kind: "container".to_owned(),
        profiles: vec![profile.to_owned()],
        ..InstancesPost::default()
    };
    inside
        .create_instance(&post, target)
        .await?
        .wait(LIMIT)
        .await?;
    set(inside, name, InstanceAction::Start).await?;
    assert_eq!(inside.instance_state(name).await?.status, "Running");
    Ok(())
}

async fn set(inside: &Client, name: &str, action: InstanceAction) -> Outcome {
    let put = InstanceStatePut {
        action,
        timeout: 30,
        force: action == InstanceAction::Stop,
    };
    inside
        .set_instance_state(name, &put)
        .await?
        .wait(LIMIT)
        .await?;
    Ok(())
}

async fn instances(inside: &Client, events: &mut EventStream) -> Outcome {
    assert!(inside.instances().await?.is_empty());
    start(inside, "one", "small", None).await?;
    seen(events, "instance-started").await?;
    assert_eq!(inside.instance("one").await?.profiles, ["small"]);

    inside
        .make_folder(
            "one",
            "/data",
            FileMeta {
                mode: 0o750,
                ..FileMeta::default()
            },
        )
        .await?;
    let meta = FileMeta {
        mode: 0o600,
        uid: 7,
        gid: 8,
    };
    let bytes: Vec<u8> = (0..=255).collect();
    inside
        .write_file("one", "/data/all bytes", bytes.clone().into(), meta)
        .await?;
    assert_eq!(inside.read_file("one", "/data/all bytes").await?, bytes);
    let missing = inside.read_file("one", "/data/missing").await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");

    let script = "cat; stat -c '%a %u %g' '/data/all bytes'; echo $GREETING >&2; exit 3";
    let greeting = Config::from([("GREETING".to_owned(), "hello".to_owned())]);
    let ended = inside
        .exec("one", &["sh", "-c", script], greeting, LIMIT)
        .await?;
    assert_eq!(ended.status, 3);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "600 7 8\n");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "hello\n");
    let late = inside
        .exec(
            "one",
            &["sleep", "60"],
            Config::new(),
            Duration::from_secs(1),
        )
        .await
        .unwrap_err();
    assert!(matches!(late, WaitError::Timeout(_)), "{late}");
    console(inside).await?;

    set(inside, "one", InstanceAction::Freeze).await?;
    assert_eq!(inside.instance_state("one").await?.status, "Frozen");
    set(inside, "one", InstanceAction::Unfreeze).await?;
    let running = inside.delete_instance("one").await;
    let refused = match running {
        Ok(handle) => handle.wait(LIMIT).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "it still runs");
    set(inside, "one", InstanceAction::Stop).await?;
    inside.delete_instance("one").await?.wait(LIMIT).await?;
    assert!(inside.instance("one").await.unwrap_err().is_not_found());
    Ok(())
}

/// What is written on the console, which nothing was at first.
async fn console(inside: &Client) -> Outcome {
    assert_eq!(
        String::from_utf8_lossy(&inside.console_log("one").await?),
        ""
    );
    let write = ["sh", "-c", "echo welcome >/dev/console"];
    let written = inside.exec("one", &write, Config::new(), LIMIT).await?;
    assert_eq!(written.status, 0, "{written:?}");
    let read = async {
        loop {
            let log = inside.console_log("one").await?;
            if String::from_utf8_lossy(&log).contains("welcome") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(LIMIT, read).await?
}

/// Waits for a lifecycle event.
async fn seen(events: &mut EventStream, action: &str) -> Outcome {
    let waiting = async {
        while let Some(event) = events.next().await? {
            if event.kind == "lifecycle" && event.metadata["action"] == action {
                assert_eq!(event.project, PROJECT);
                return Ok(());
            }
        }
        Err(Failed::from("the events ended"))
    };
    tokio::time::timeout(LIMIT, waiting).await?
}

async fn volumes(inside: &Client) -> Outcome {
    let volume = VolumesPost {
        name: "store".to_owned(),
        content_type: "filesystem".to_owned(),
        ..VolumesPost::default()
    };
    inside.create_volume("bcm", &volume, None).await?;
    let custom = async || -> Result<usize, Failed> {
        let volumes = inside.volumes("bcm").await?;
        let is_it = |v: &&_| matches_volume(v);
        Ok(volumes.iter().filter(is_it).count())
    };
    assert_eq!(custom().await?, 1);
    inside.delete_volume("bcm", "store", None).await?;
    assert_eq!(custom().await?, 0);
    Ok(())
}

fn matches_volume(volume: &bcm_lxd::types::StorageVolume) -> bool {
    volume.kind == "custom" && volume.name == "store" && volume.project == PROJECT
}
