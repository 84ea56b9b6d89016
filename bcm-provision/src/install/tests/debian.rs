use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use super::*;

/// The lines as the installer reads them: joined, without comments.
fn lines(install: &Installation) -> Vec<String> {
    answers(install)
        .replace("\\\n", "")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn answer(install: &Installation, question: &str) -> String {
    let lines = lines(install);
    let mut found = lines.iter().filter_map(|line| {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        (words[1] == question).then(|| words.get(3).copied().unwrap_or_default().to_owned())
    });
    let one = found
        .next()
        .unwrap_or_else(|| panic!("{question} is not answered"));
    assert_eq!(found.next(), None, "{question} is answered twice");
    one
}

#[test]
fn every_line_is_owner_question_type_and_answer() {
    for install in [
        installation(System::Debian),
        all_that_can_be_said(System::Debian),
    ] {
        for line in lines(&install) {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            assert!(
                ["d-i", "tasksel", "popularity-contest"].contains(&words[0]),
                "{line}"
            );
            assert!(words[1].contains('/'), "{line}");
            let types = [
                "string",
                "boolean",
                "select",
                "multiselect",
                "password",
                "note",
            ];
            assert!(types.contains(&words[2]), "{line}");
            answer(&install, words[1]);
        }
    }
}

#[test]
fn what_is_wished_is_answered() {
    let plain = installation(System::Debian);
    assert_eq!(answer(&plain, "netcfg/choose_interface"), "auto");
    assert_eq!(answer(&plain, "netcfg/hostname"), "node1");
    assert_eq!(answer(&plain, "passwd/user-password-crypted"), "!");
    assert_eq!(answer(&plain, "partman/default_filesystem"), "ext4");
    assert!(!answers(&plain).contains("mirror/country"));
    let mut all = all_that_can_be_said(System::Debian);
    for (question, expected) in [
        ("passwd/username", "op"),
        ("passwd/user-password-crypted", HASH),
        ("partman/default_filesystem", "btrfs"),
        ("netcfg/get_ipaddress", "192.0.2.5/24"),
        ("netcfg/get_gateway", "192.0.2.1"),
        ("netcfg/get_nameservers", "192.0.2.2 2001:db8::2"),
        ("netcfg/disable_autoconfig", "true"),
        ("mirror/protocol", "http"),
        ("mirror/http/hostname", "mirror.example:3142"),
        ("mirror/http/directory", "/debian"),
        ("mirror/http/proxy", "http://proxy.example:3128/"),
        ("debian-installer/locale", "de_AT.UTF-8"),
        ("keyboard-configuration/xkb-keymap", "de"),
        ("time/zone", "Europe/Vienna"),
        ("debian-installer/exit/poweroff", "true"),
    ] {
        assert_eq!(answer(&all, question), expected, "{question}");
    }
    all.mirror = Some("https://mirror.example/debian".parse().unwrap());
    assert_eq!(answer(&all, "mirror/https/hostname"), "mirror.example");
    assert_eq!(
        answer(&all, "mirror/https/proxy"),
        "http://proxy.example:3128/"
    );
    all.network.interface = Some("enp1s0".parse().unwrap());
    assert_eq!(answer(&all, "netcfg/choose_interface"), "enp1s0");
}

#[test]
fn what_is_needed_before_the_answers_can_be_fetched_is_said() {
    let mut install = all_that_can_be_said(System::Debian);
    let media = install.media().unwrap();
    assert!(
        media
            .kernel_parameters
            .ends_with("BOOTIF=01-52-54-00-12-34-56")
    );
    let last = media.ways.last().unwrap().steps.join(" ");
    assert!(
        last.contains("netcfg/get_nameservers=\"192.0.2.2 2001:db8::2\""),
        "{last}"
    );
    install.network.interface = Some("enp1s0".parse().unwrap());
    let last = install.media().unwrap().ways.pop().unwrap().steps.join(" ");
    assert!(last.contains("interface=enp1s0"), "{last}");
}

#[test]
fn a_second_initrd_holds_the_answers() {
    let media = installation(System::Debian).media().unwrap();
    let names: Vec<&str> = media.files.iter().map(|file| file.name).collect();
    assert_eq!(names, ["preseed.cfg", "preseed.gz", "seed.img"]);
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(&media.files[1].content[..])
        .read_to_end(&mut archive)
        .unwrap();
    let archive = String::from_utf8(archive).unwrap();
    let answers = std::str::from_utf8(&media.files[0].content).unwrap();
    assert!(archive.contains("preseed.cfg\0") && archive.contains(answers));
}

#[test]
fn the_commands_are_whole_for_a_posix_shell() {
    for install in [
        installation(System::Debian),
        all_that_can_be_said(System::Debian),
    ] {
        for question in ["partman/early_command", "preseed/late_command"] {
            let command = answer(&install, question);
            let checked = Command::new("sh").args(["-nc", &command]).output().unwrap();
            assert!(checked.status.success(), "{command}: {checked:?}");
        }
        let late = answer(&install, "preseed/late_command");
        assert_eq!(late.matches('\'').count(), 2, "{late}");
        assert!(!late.contains('\\'), "{late}");
    }
}

/// Runs the command that chooses a disk among the made-up `disks`: name, sectors, removable, on USB, serial.
fn choose(disk: &str, disks: &[(&str, u64, bool, bool, &str)]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let program = |name: &str, text: &str| {
        let file = path.join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let mut serials = String::new();
    let mut list = String::new();
    for (name, size, removable, usb, serial) in disks {
        let bus = path.join(if *usb { "devices/usb1" } else { "devices/ata1" });
        let device = bus.join(name);
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(path.join("sys")).unwrap();
        fs::write(device.join("size"), size.to_string()).unwrap();
        fs::write(device.join("removable"), u8::from(*removable).to_string()).unwrap();
        std::os::unix::fs::symlink(&device, path.join("sys").join(name)).unwrap();
        fs::create_dir_all(path.join("dev")).unwrap();
        fs::write(path.join("dev").join(name), "").unwrap();
        list += &format!("echo {}/dev/{name}\n", path.display());
        serials += &format!(
            "*/{name}) printf 'ID_SERIAL=Model_{serial}\\nID_SERIAL_SHORT={serial}\\n';;\n"
        );
    }
    program("list-devices", &list);
    program("udevadm", &format!("case $5 in {serials} esac"));
    program(
        "debconf-set",
        &format!("echo \"$1=$2\" >>{}", path.join("said").display()),
    );
    let mut install = installation(System::Debian);
    install.disk = disk.parse().unwrap();
    let dev = path.join("dev").display().to_string();
    let command = answer(&install, "partman/early_command")
        .replace("/sys/block", &path.join("sys").display().to_string())
        .replace("readlink -f /dev", &format!("readlink -f {dev}"))
        .replace("[ -b ", "[ -f ");
    let output = Command::new("sh")
        .args(["-c", &command])
        .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
        .output()
        .unwrap();
    let said = fs::read_to_string(path.join("said")).unwrap_or_default();
    (output, said.replace(&dev, ""))
}

#[test]
fn the_disk_that_is_meant_is_found_or_none() {
    let disks = [
        ("sda", 100_000_000, false, false, "A1"),
        ("sdb", 300_000_000, false, false, "B1"),
        ("sdc", 900_000_000, true, false, "C1"),
        ("sdd", 20_000_000, false, true, "D1"),
        ("sde", 4096, false, false, "E2"),
    ];
    for (wish, found) in [
        ("largest", "sdb"),
        ("smallest", "sda"),
        ("serial=A1", "sda"),
        ("serial=Model_B1", "sdb"),
        ("/dev/sdc", "sdc"),
    ] {
        let (output, said) = choose(wish, &disks);
        assert!(output.status.success(), "{wish}: {output:?}");
        let expected = format!("partman-auto/disk=/{found}\ngrub-installer/bootdev=/{found}\n");
        assert_eq!(said, expected, "{wish}");
        assert!(output.stderr.is_empty(), "{wish}: {output:?}");
    }
    for wish in ["serial=1", "serial=F", "/dev/sdf", "serial=Model_"] {
        let (output, said) = choose(wish, &disks);
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(1), ""),
            "{wish}"
        );
    }
    let (output, said) = choose("largest", &[]);
    assert_eq!((output.status.code(), said.as_str()), (Some(1), ""));
}
