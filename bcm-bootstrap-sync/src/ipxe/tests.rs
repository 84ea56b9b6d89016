use super::*;

fn script() -> BootScript {
    BootScript {
        server: ServerUrl::new("http://boot.example.test").unwrap(),
        mode: RunMode::new("prod").unwrap(),
        title: "Production".to_owned(),
        farm: None,
        extra: ExtraArguments::default(),
        boots: Boots::RunMode,
    }
}

/// The labels that a script jumps to, and those that it has.
fn labels(script: &str) -> (Vec<&str>, Vec<&str>) {
    let wanted = script
        .split_whitespace()
        .zip(script.split_whitespace().skip(1))
        .filter_map(|(word, next)| (word == "goto").then_some(next))
        .collect();
    let there = script
        .lines()
        .filter_map(|line| line.strip_prefix(':'))
        .collect();
    (wanted, there)
}

#[test]
fn the_command_line_has_what_a_node_reads() {
    let mut script = script();
    let base = "nomodeset version=v3 runmode=prod panic=7200";
    assert_eq!(script.command_line(), base);
    script.extra = ExtraArguments::of_segment("a=___b").unwrap();
    assert_eq!(script.command_line(), format!("{base} a=/b"));
    script.farm = Some(FarmId::new("7").unwrap());
    assert_eq!(script.command_line(), format!("{base} farmer_id=7 a=/b"));
}

#[test]
fn the_kernel_is_that_of_the_mode_or_the_one_named() {
    let mut script = script();
    let fetch = |script: &BootScript| {
        let text = script.render();
        let line = text.lines().find(|line| line.starts_with("imgfetch"));
        line.unwrap().to_owned()
    };
    assert!(fetch(&script).contains(" http://boot.example.test/kernel/net/prod.efi nomodeset"));
    script.boots = Boots::Kernel(KernelName::new("zero-os+1.efi").unwrap());
    assert!(fetch(&script).contains(" http://boot.example.test/kernel/zero-os%2B1.efi nomodeset"));
}

#[test]
fn every_jump_lands() {
    let server = script().server;
    for text in [
        script().render(),
        chain(&server, "/ipxe/prod"),
        provision(&server),
        generic(&server, &RunModes::default()),
    ] {
        let (wanted, there) = labels(&text);
        for label in &wanted {
            assert!(there.contains(label), "{label} in {text}");
        }
        for label in &there {
            assert_eq!(there.iter().filter(|other| other == &label).count(), 1);
        }
        assert!(text.starts_with("#!ipxe\n") && text.ends_with("reboot\n"));
        // Quotes would swallow what follows them.
        assert!(!text.contains(['\'', '"', '\\', ';']), "{text}");
        assert!(text.is_ascii());
    }
}

#[test]
fn paths_lead_back() {
    let mut script = script();
    assert_eq!(script.path().unwrap(), "/prod");
    script.extra = ExtraArguments::new("a=/b c").unwrap();
    assert_eq!(script.path(), None);
    script.farm = Some(FarmId::new("7").unwrap());
    assert_eq!(script.path().unwrap(), "/prod/7/a%3D___b%20c");
    script.boots = Boots::Kernel(KernelName::new("k.efi").unwrap());
    assert_eq!(script.path().unwrap(), "/prod/7/a%3D___b%20c/k.efi");
    script.extra = ExtraArguments::default();
    assert_eq!(script.path().unwrap(), "/prod/7/%20/k.efi");
}
