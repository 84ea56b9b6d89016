//! An image that a member builds out of packages, and the files of a front, as their programs read them.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use bcm_lxd::{
    Client, ClientOptions, Flavour,
    api::FileMeta,
    host::Machine,
    image::{Built, ImageRecipe, build_image},
};
use bcm_ssh::{HostKeyPolicy, Ssh, SshOptions};
use bcm_stack::{
    authority::Root,
    caddy::{Backends, CertificateFiles, Front, Tls, front_caddyfile},
    domain::Domain,
    haproxy::{ZDB_PORT, ZdbFront, haproxy_cfg},
};
use bcm_tests::lab::Lab;
use libtest_mimic::Failed;

use crate::{Outcome, Test, client, cluster::bench::Bench};

pub(crate) const TESTS: &[Test] = &[(
    "built_image::serves_as_a_front_and_leaves_nothing",
    serves_as_a_front_and_leaves_nothing,
)];

const LIMIT: Duration = Duration::from_secs(60);

/// Show: the image is built once, boots, gets an address, and has the packages, whose services wait; they
/// take the files of a front; of the tools nothing is left.
fn serves_as_a_front_and_leaves_nothing() -> Outcome {
    let bench = Bench::new(1)?;
    bench.create(&["node1"], &[]).assert_code(0);
    let one = bench.machine(1)?;
    let packages = "dpkg-query -W -f '${Package}\\n'; ls /var/lib/bcm-host";
    let before = one.root_script(packages, LIMIT)?;
    client::block_on(async {
        let machine = reached(&bench.lab).await?;
        // The name that `client::start` knows.
        let recipe = ImageRecipe::new("bcm", "tiny", ["caddy", "haproxy"])?;
        let (built, said) = build(&machine, &recipe).await?;
        assert!(
            !built.was_there && said.contains(&"packing".to_owned()),
            "{said:?}"
        );
        let (again, said) = build(&machine, &recipe).await?;
        assert!(again.was_there && said.is_empty(), "{said:?}");
        assert_eq!(again.fingerprint, built.fingerprint);

        let engine = machine
            .engine(Flavour::Lxd, ClientOptions::default())
            .await?;
        let inside = engine.ok_or("no engine")?.in_project("bcm");
        let image = inside.images().await?.remove(0);
        assert!(
            image.properties["bcm.packages"].starts_with("caddy 2."),
            "{image:?}"
        );
        client::start(&inside, "front", "default", None).await?;
        gets_an_address(&inside).await?;
        // It has booted without a fault, and nothing of the packages runs.
        run(&inside, "systemctl is-system-running --wait").await?;
        run(
            &inside,
            "! systemctl is-enabled caddy && ! systemctl is-enabled haproxy",
        )
        .await?;
        run(
            &inside,
            "! systemctl is-active caddy && ! systemctl is-active haproxy",
        )
        .await?;
        takes_the_files(&inside).await
    })?;
    assert_eq!(one.root_script(packages, LIMIT)?, before);
    Ok(bench.lab.take_down()?)
}

async fn reached(lab: &Lab) -> Result<Machine, Failed> {
    let options =
        SshOptions::new(HostKeyPolicy::Strict, std::env::temp_dir()).ssh_config(lab.ssh_config());
    let host = "bcm@node1";
    let session = Ssh::connect(&host.parse()?, &options).await?;
    Ok(Machine::new(host, Arc::new(session)))
}

/// Builds it, and gives what was said meanwhile.
async fn build(machine: &Machine, recipe: &ImageRecipe) -> Result<(Built, Vec<String>), Failed> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let progress = Arc::new(move |what: &str| heard.lock().unwrap().push(what.to_owned()));
    let built = build_image(machine, Flavour::Lxd, recipe, progress).await?;
    let said = said.lock().unwrap().clone();
    Ok((built, said))
}

async fn gets_an_address(inside: &Client) -> Outcome {
    let start = Instant::now();
    while inside
        .instance_state("front")
        .await?
        .global_addresses()
        .next()
        .is_none()
    {
        if start.elapsed() > LIMIT {
            return Err("the instance gets no address".into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn run(inside: &Client, script: &str) -> Outcome {
    let done = inside
        .exec("front", &["sh", "-c", script], Default::default(), LIMIT)
        .await?;
    match done.status {
        0 => Ok(()),
        status => Err(format!(
            "{script}: {status}\n{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        )
        .into()),
    }
}

/// Files of every kind of front, as Caddy and HAProxy see them; and the same root behind one that runs.
async fn takes_the_files(inside: &Client) -> Outcome {
    let domain = Domain::new("example.test")?;
    let root = Root::new(&domain, SystemTime::now())?;
    let files = CertificateFiles::new("/etc/caddy/root.crt", "/etc/caddy/root.key")?;
    let at = |port| vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    let front = Front {
        tls: Tls::Internal,
        backends: Backends {
            hub: at(8080),
            bootstrap: at(8081),
        },
        root: Some(files.clone()),
        others: vec!["192.0.2.2:80".into(), "[2001:db8::3]:80".into()],
        administration: "/run/caddy/admin.socket".into(),
    };
    let internal = front_caddyfile(&domain, &front)?;
    let automatic = front_caddyfile(
        &domain,
        &Front {
            tls: Tls::Automatic(None),
            ..front.clone()
        },
    )?;
    let zdb = haproxy_cfg(&ZdbFront {
        port: ZDB_PORT,
        backends: at(9901),
    })?;
    for (path, text) in [
        ("/etc/caddy/root.crt", root.certificate.as_str()),
        ("/etc/caddy/root.key", root.key.reveal()),
        ("/etc/caddy/Caddyfile", &internal),
        ("/etc/caddy/automatic", &automatic),
        ("/etc/haproxy/haproxy.cfg", &zdb),
    ] {
        let content = text.as_bytes().to_vec().into();
        inside
            .write_file("front", path, content, FileMeta::default())
            .await?;
    }
    run(
        inside,
        "cd /etc/caddy && caddy validate --adapter caddyfile --config automatic",
    )
    .await?;
    run(
        inside,
        "haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl start haproxy",
    )
    .await?;
    // A folder for the socket, as the file asks for.
    run(
        inside,
        "mkdir -p /etc/systemd/system/caddy.service.d\n\
         printf '[Service]\\nRuntimeDirectory=caddy\\n' >/etc/systemd/system/caddy.service.d/socket.conf\n\
         systemctl daemon-reload && systemctl start caddy && systemctl reload caddy",
    )
    .await?;
    run(
        inside,
        "for _ in $(seq 40); do\n\
         openssl s_client -connect 127.0.0.1:443 -servername hub.example.test \\\n\
         -CAfile /etc/caddy/root.crt -verify_return_error -verify_hostname hub.example.test \\\n\
         </dev/null && exit 0\n\
         sleep 0.5\ndone\nexit 1",
    )
    .await
}
