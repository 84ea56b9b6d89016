//! A mirror on three members: served by name, through the loss of one, an upgrade, and one that fails.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use serde_json::Value;

use super::site::{DOMAIN, Site};
use super::web::{Load, Web};
use crate::Outcome;
use crate::cluster::bench::{LIMIT, lxc, wait_offline};

pub(super) fn on_three_members() -> Outcome {
    let site = Site::new(3)?;
    let first = site.program("bcm-first")?;
    // The image is built on this one, whose packages are its own business.
    let one = site.bench.machine(1)?;
    let packages = "dpkg-query -W -f '${Package}\\n'; ls /var/lib/bcm-host";
    let before = one.root_script(packages, LIMIT)?;
    let started = start(&site, &first.to_string_lossy(), 0)?;
    assert_eq!(one.root_script(packages, LIMIT)?, before);
    assert_eq!(
        started["steps"].as_array().map(Vec::len),
        Some(24),
        "{started:#}"
    );
    site.wait_well()?;
    let again = start(&site, &first.to_string_lossy(), 0)?;
    assert_eq!(
        again["steps"].as_array().map(Vec::len),
        Some(0),
        "{again:#}"
    );
    let web = site.web(&again)?;
    as_a_node(&site, &web)?;
    let urls = urls(&web)?;
    one_goes_and_comes_back(&site, &web, &urls)?;
    upgrades(&site, &web, &urls)?;
    stands_alone(&site, &web)?;
    removed(&site)?;
    Ok(site.bench.lab.take_down()?)
}

fn start(site: &Site, program: &str, code: i32) -> Result<Value, Failed> {
    let arguments = [
        "stack",
        "start",
        "mirror",
        "--program",
        program,
        "--output",
        "json",
    ];
    let finished = site.bcm(&arguments);
    assert_eq!(finished.code(), code, "{finished}");
    Ok(match code {
        0 => finished.json(),
        _ => Value::String(finished.stderr),
    })
}

fn json(web: &Web, path: &str) -> Result<Value, Failed> {
    let body = web.fetch(&format!("https://hub.{DOMAIN}/{path}"))?;
    Ok(serde_json::from_slice(&body)?)
}

/// What a node asks for, in its order, from each member in turn; and what only the operator is to see.
fn as_a_node(site: &Site, web: &Web) -> Outcome {
    for address in site.addresses()? {
        let web = web.beginning_with(address);
        let script = web.fetch(&format!("http://unsecure.bootstrap.{DOMAIN}/ipxe/prod/1"))?;
        let script = String::from_utf8(script)?;
        let kernel = script
            .split_whitespace()
            .find(|word| word.contains("/kernel/"))
            .ok_or_else(|| format!("no kernel in {script}"))?;
        assert!(
            kernel.starts_with(&format!("http://unsecure.bootstrap.{DOMAIN}/")),
            "{kernel}"
        );
        assert!(web.fetch(kernel)?.len() > 100_000);
        assert!(
            json(&web, "api/flist")?
                .as_array()
                .is_some_and(|all| !all.is_empty())
        );
        json(
            &web,
            "api/flist/tf-autobuilder/bootstrap:latest.flist/light",
        )?;
        let listed = json(&web, "api/flist/tf-zos")?;
        let target = listed
            .as_array()
            .and_then(|all| all.iter().find(|entry| entry["name"] == "production"))
            .and_then(|entry| entry["target"].as_str().map(str::to_owned))
            .ok_or_else(|| format!("no production in {listed}"))?;
        let (repository, tag) = target.split_once("/tags/").ok_or("a tag")?;
        let linked = json(&web, &format!("api/flist/{repository}/tags/{tag}"))?;
        for link in linked.as_array().ok_or("links")? {
            let flist = link["target"].as_str().ok_or("a target")?;
            let path = site.bench.file("node.flist");
            fs::write(&path, web.fetch(&format!("http://hub.{DOMAIN}/{flist}"))?)?;
            let md5 = web.fetch(&format!("http://hub.{DOMAIN}/{flist}.md5"))?;
            assert_eq!(String::from_utf8(md5)?.trim().len(), 32);
            unpack(site, &path, address)?;
        }
        // Every block came by this member's port, and each was hashed.
        let (status, _) = web.get(&format!("https://hub.{DOMAIN}/metrics"))?;
        assert_eq!(status, 404);
        assert_eq!(web.get(&format!("https://bootstrap.{DOMAIN}/"))?.0, 200);
    }
    Ok(())
}

fn unpack(site: &Site, flist: &std::path::Path, address: std::net::Ipv4Addr) -> Outcome {
    let to = tempfile::tempdir()?;
    let finished = site.bcm(&[
        "flist",
        "unpack",
        &flist.to_string_lossy(),
        "--from",
        &format!("zdb://{address}:9900"),
        "--to",
        &to.path().to_string_lossy(),
    ]);
    finished.assert_code(0);
    Ok(())
}

/// What the loops ask for.
fn urls(web: &Web) -> Result<Vec<String>, Failed> {
    let all = json(web, "api/flist")?;
    let names = all
        .as_array()
        .ok_or("a list")?
        .iter()
        .filter_map(Value::as_str);
    let mut urls: Vec<String> = names
        .filter(|name| name.ends_with(".flist"))
        .map(|name| format!("https://hub.{DOMAIN}/{}", name.replace(' ', "%20")))
        .collect();
    urls.push(format!("https://hub.{DOMAIN}/api/flist"));
    urls.push(format!("http://unsecure.bootstrap.{DOMAIN}/ipxe/prod/1"));
    Ok(urls)
}

/// A member loses its power while somebody downloads; it comes back by itself.
fn one_goes_and_comes_back(site: &Site, web: &Web, urls: &[String]) -> Outcome {
    let machine = site.bench.machine(2)?;
    let load = Load::start(web, urls);
    load.wait_for(50);
    machine.power_cut()?;
    wait_away(site, &["mirror-2", "mirror-front-2"])?;
    wait_offline(&site.bench.machine(1)?, "node2")?;
    load.wait_for(50);
    let (asked, failures) = load.end()?;
    // One request was under way at a time.
    assert!(asked > 100 && failures.len() <= 1, "{asked}: {failures:#?}");
    machine.power_on()?;
    site.wait_well().map(|_| ())
}

/// Waits until the status does not see these replicas, and no others, and is not content.
fn wait_away(site: &Site, expected: &[&str]) -> Outcome {
    let begin = Instant::now();
    loop {
        let (code, status) = site.status();
        let replicas = status["replicas"].as_array();
        let away: Vec<&str> = replicas
            .into_iter()
            .flatten()
            .filter(|replica| replica["health"].is_null())
            .filter_map(|replica| replica["instance"].as_str())
            .collect();
        if code == 4 && away == expected {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(120) {
            return Err(format!("{away:?} are away: exit {code}, {status:#}").into());
        }
    }
}

/// An upgrade while somebody downloads, and two that cannot be made.
fn upgrades(site: &Site, web: &Web, urls: &[String]) -> Outcome {
    // The same program with a byte more, which counts as another.
    let second = site.program("bcm-second")?;
    let mut bytes = fs::read(&second)?;
    bytes.push(0);
    fs::write(&second, bytes)?;
    let load = Load::start(web, urls);
    let upgraded = start(site, &second.to_string_lossy(), 0)?;
    let (asked, failures) = load.end()?;
    assert_eq!(
        upgraded["steps"].as_array().map(Vec::len),
        Some(3),
        "{upgraded:#}"
    );
    assert!(asked > 50 && failures.is_empty(), "{asked}: {failures:#?}");

    let none = site.bench.file("none");
    fs::write(&none, "this is no program")?;
    let said = start(site, &none.to_string_lossy(), 1)?.to_string();
    assert!(said.contains("nothing was changed there"), "{said}");

    // It says its version, and does nothing else.
    let broken = site.bench.file("broken");
    fs::write(&broken, "#!/bin/sh\n[ \"$1\" = --version ]\n")?;
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755))?;
    let load = Load::start(web, urls);
    let said = start(site, &broken.to_string_lossy(), 1)?.to_string();
    let (asked, failures) = load.end()?;
    assert!(said.contains("taken back to what it had before"), "{said}");
    assert!(asked > 50 && failures.is_empty(), "{asked}: {failures:#?}");
    site.wait_well()?;
    // What was taken back is what the others have.
    let again = start(site, &second.to_string_lossy(), 0)?;
    assert_eq!(
        again["steps"].as_array().map(Vec::len),
        Some(0),
        "{again:#}"
    );
    Ok(())
}

/// The Hub is cut off from its upstream, published into through any member, and read back from all.
fn stands_alone(site: &Site, web: &Web) -> Outcome {
    let program = site.bench.file("bcm-second");
    let program = program.to_string_lossy();
    let become_one = |mode: &str, more: &[&str]| {
        let mut arguments = vec!["stack", "start", "--program", &program, "--mode", mode];
        arguments.extend(more);
        site.bcm(&arguments)
    };
    become_one("detached", &[]).assert_code(0);
    let token = [
        "stack",
        "run",
        "--",
        "hub",
        "token",
        "create",
        "--repository",
        "me.3bot",
    ];
    let token = site.bcm(&token).assert_code(0).stdout.trim().to_owned();

    // What is published is packed elsewhere, so that its blocks are not here.
    let tree = tempfile::tempdir()?;
    fs::write(tree.path().join("note"), [7; 300_000])?;
    let flist = site.bench.file("me.flist");
    let folder = tree.path().to_string_lossy().into_owned();
    let elsewhere = site.bench.file("elsewhere").to_string_lossy().into_owned();
    let (out, data) = (flist.to_string_lossy(), elsewhere.as_str());
    site.bcm(&["flist", "pack", &folder, "--out", &out, "--data", data])
        .assert_code(0);
    let me = format!("https://hub.{DOMAIN}/api/flist/me");
    let content = fs::read(&flist)?;
    let (status, said) = web.upload(&format!("{me}/upload-flist"), &token, "me.flist", &content)?;
    assert!(
        status >= 400 && said.contains("cannot be published"),
        "{status}: {said}"
    );
    let (status, said) = web.upload(&format!("{me}/upload"), "bcm_bad", "a.tar.gz", &[])?;
    assert_eq!(status, 401, "{said}");
    let archive = |name: &str| -> Result<Vec<u8>, Failed> {
        let mut header = tar::Header::new_old();
        // As it is: the crate itself would not write a path that leads out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(5);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, &b"hello"[..])?;
        Ok(archive.into_inner()?)
    };
    let trick = archive("../../etc/evil")?;
    let (status, said) = web.upload(&format!("{me}/upload"), &token, "evil.tar", &trick)?;
    assert!(
        status >= 400 && said.contains("refused"),
        "{status}: {said}"
    );

    let good = archive("greeting")?;
    let (status, said) = web.upload(&format!("{me}/upload"), &token, "hello.tar", &good)?;
    assert_eq!(status, 200, "{said}");
    for address in site.addresses()? {
        let web = web.beginning_with(address);
        let path = site.bench.file("hello.flist");
        fs::write(
            &path,
            web.fetch(&format!("https://hub.{DOMAIN}/me.3bot/hello.flist"))?,
        )?;
        unpack(site, &path, address)?;
    }
    // The way back is meant, or not taken.
    let refused = become_one("mirror", &[]).assert_code(2);
    assert!(refused.stderr.contains("--discard"), "{refused}");
    become_one("mirror", &["--discard"]).assert_code(0);
    site.wait_well().map(|_| ())
}

/// First the instances, then their data; nothing is left.
fn removed(site: &Site) -> Outcome {
    let finished = site.bcm(&["stack", "remove", "--yes"]);
    let finished = finished.assert_code(0);
    assert!(
        finished.stdout.contains("kept the volume mirror-1-data"),
        "{finished}"
    );
    site.bcm(&["stack", "remove", "--volumes", "--yes"])
        .assert_code(0);
    let one = site.bench.machine(1)?;
    assert_eq!(lxc(&one, "lxc list --project bcm --format csv")?, "");
    let volumes = lxc(
        &one,
        "lxc storage volume list bcm --project bcm --format csv",
    )?;
    assert!(!volumes.contains("custom"), "{volumes}");
    Ok(())
}
