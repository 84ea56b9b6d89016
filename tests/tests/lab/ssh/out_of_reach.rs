//! Machines that go away, and one that is only reached through another.

use super::*;

pub(super) fn a_power_cut_while_connected() -> Outcome {
    block_on(async {
        let (lab, machine) = (lab()?, fresh_machine()?);
        let options = options(&lab).alive_interval(Duration::from_secs(1));
        let host = Ssh::connect(&destination("bcm", &machine), &options).await?;
        let running = host.run(
            Command::new("sleep")
                .arg("3600")
                .deadline(Duration::from_secs(100)),
        );
        let cut = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            machine.power_cut()
        };
        let (ran, cut) = tokio::join!(running, cut);
        cut?;
        let error = ran.unwrap_err();
        assert!(matches!(error, RunError::Lost { .. }), "{error:?}");
        assert!(!host.is_connected().await);
        machine.power_on()?;
        assert!(
            connect("bcm", &machine)
                .await?
                .run(Command::new("true"))
                .await?
                .success()
        );
        Ok(())
    })
}

pub(super) fn an_unplugged_machine() -> Outcome {
    block_on(async {
        let (lab, machine) = (lab()?, fresh_machine()?);
        let options = options(&lab).alive_interval(Duration::from_secs(1));
        let host = Ssh::connect(&destination("bcm", &machine), &options).await?;
        machine.unplug()?;
        let start = Instant::now();
        let error = host
            .run(Command::new("true").deadline(Duration::from_secs(60)))
            .await
            .unwrap_err();
        // Three questions at one second each.
        assert!(matches!(error, RunError::Lost { .. }), "{error:?}");
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{:?}",
            start.elapsed()
        );
        machine.plug()?;
        machine.wait_ssh(Duration::from_secs(60))?;
        connect("bcm", &machine).await?;
        Ok(())
    })
}

pub(super) fn through_a_jump_host() -> Outcome {
    block_on(async {
        let (lab, gate, inside) = (lab()?, machine(1)?, fresh_machine()?);
        // Only the gate can reach it.
        inside.root_script(
            &format!(
                "nft 'add table inet lab; add chain inet lab in {{ type filter hook input priority 0; }}; \
                 add rule inet lab in ip saddr != {} tcp dport 22 drop; \
                 add rule inet lab in meta nfproto ipv6 tcp dport 22 drop'",
                gate.address()
            ),
            Duration::from_secs(20),
        )?;
        assert!(!inside.port_open(22));
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        let text = fs::read_to_string(lab.ssh_config())?;
        fs::write(
            &config,
            format!(
                "Host {}\n  ProxyJump {}\n{text}",
                inside.name(),
                gate.name()
            ),
        )?;
        let host = Ssh::connect(
            &destination("bcm", &inside),
            &options(&lab).ssh_config(config),
        )
        .await?;
        assert_eq!(
            host.run(Command::new("hostname")).await?.stdout_text(),
            inside.name()
        );
        Ok(())
    })
}
