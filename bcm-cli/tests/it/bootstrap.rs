//! `bcm bootstrap`.

use crate::sandbox::Sandbox;

/// A sandbox with an `ipxe.lkrn` of a few bytes that begins as a real one does.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut kernel = vec![0; 2048];
    kernel[0x1f1] = 1;
    kernel[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x46]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x248..0x24d].copy_from_slice(&[0x1e, 0x68, 0x4d, 0x02, 0xcb]);
    std::fs::create_dir(sandbox.path("ipxe")).unwrap();
    std::fs::write(sandbox.path("ipxe/ipxe.lkrn"), kernel).unwrap();
    sandbox
}

const KRN: &str = "bootstrap image krn --mode prod --farm 7 --ipxe-dir ipxe --boot-url \
                   http://boot.example.test --out boot.lkrn";

#[test]
fn a_medium_is_written_and_described() {
    let sandbox = sandbox();
    // The script's words are not this test's matter.
    let filters = [("[0-9a-f]{64}", "[sha256]"), (r"[0-9.]+ KiB", "[size]")];
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!(sandbox.run(KRN));
    });
    let medium = std::fs::read(sandbox.path("boot.lkrn")).unwrap();
    let text = String::from_utf8_lossy(&medium);
    assert!(text.contains("http://boot.example.test/kernel/net/prod.efi nomodeset"));
}

#[test]
fn a_medium_may_carry_only_the_address_of_its_script() {
    let sandbox = sandbox();
    let shown = sandbox.run(&format!("{KRN} --chain --extra a=/b --output json"));
    assert!(
        shown.contains("\"fetches\": \"http://boot.example.test/ipxe/prod/7/a%3D___b\""),
        "{shown}"
    );
    let medium = std::fs::read(sandbox.path("boot.lkrn")).unwrap();
    assert!(!String::from_utf8_lossy(&medium).contains("/kernel/"));
}

#[test]
fn what_is_there_is_replaced_only_when_that_is_said() {
    let sandbox = sandbox();
    sandbox.write("boot.lkrn", "precious");
    insta::assert_snapshot!(sandbox.run(KRN));
    assert_eq!(sandbox.read("boot.lkrn"), "precious");
    assert!(
        sandbox
            .run(&format!("{KRN} --force"))
            .starts_with("exit code: 0")
    );
    // A device under that name, which a rename would replace.
    std::fs::remove_file(sandbox.path("boot.lkrn")).unwrap();
    std::os::unix::fs::symlink("/dev/null", sandbox.path("boot.lkrn")).unwrap();
    let shown = sandbox.run(&format!("{KRN} --force"));
    assert!(
        shown.starts_with("exit code: 1") && shown.contains("`dd`"),
        "{shown}"
    );
}

#[test]
fn a_missing_ipxe_is_named_with_its_package() {
    let sandbox = sandbox();
    let command = "bootstrap image usb --mode prod --farm 1 --ipxe-dir ipxe --boot-url \
                   http://boot.example.test --out stick.img";
    insta::assert_snapshot!(sandbox.run(command));
    assert!(!sandbox.path("stick.img").exists());
}

#[test]
fn words_that_would_be_commands_are_refused() {
    let sandbox = sandbox();
    for (flag, value) in [
        ("--farm", "1\nshell"),
        ("--farm", "${net0/mac}"),
        ("--extra", "a\nshell"),
        ("--extra", "${x}"),
        ("--extra", "a#b"),
        ("--extra", "\"a\""),
        ("--extra", "a || shell"),
        ("--mode", "prod\nshell"),
        ("--mode", "nope"),
        ("--kernel", "../../x"),
        ("--boot-url", "http://x/\nshell"),
    ] {
        let mut command = sandbox.command("bootstrap image krn --ipxe-dir ipxe --out x");
        if flag != "--mode" {
            command.args(["--mode", "prod"]);
        }
        let output = command.args([flag, value]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag} {value:?}");
    }
    assert!(!sandbox.path("x").exists());
}
