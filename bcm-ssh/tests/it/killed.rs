//! A connection ends when the process that made it is killed.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command as Process, Stdio},
    thread,
    time::{Duration, Instant},
};

use bcm_ssh::{Command, HostKeyPolicy, Remote, Ssh, SshOptions};

use crate::{Outcome, Test, block_on, sshd::Sshd};

pub(crate) const TESTS: &[Test] = &[(
    "a_killed_process_leaves_no_connection",
    a_killed_process_leaves_no_connection,
)];

/// With this argument the test program connects to the sshd whose folder and address follow, says
/// which process serves the connection, and waits.
pub(crate) const HOLD: &str = "hold-a-connection";

pub(crate) fn hold() {
    let mut arguments = std::env::args().skip(2);
    let folder = arguments.next().unwrap();
    let address = arguments.next().unwrap();
    let folder = Path::new(&folder);
    let options = SshOptions::new(HostKeyPolicy::Strict, folder)
        .ssh_config(folder.join("ssh_config"))
        .known_hosts(folder.join("known_hosts"))
        .identity(folder.join("id"));
    block_on(async {
        let host = Ssh::connect(&address.parse()?, &options).await?;
        let output = host.run(Command::script("echo $PPID", [""; 0])).await?;
        println!("{}", output.stdout_text());
        // A command that runs when the process is killed, and ends when the test says so.
        let script = "while [ -d \"$1\" ] && ! [ -e \"$1/over\" ]; do sleep 0.05; done";
        host.run(Command::script(script, [folder.to_str().unwrap()]))
            .await?;
        Ok(())
    })
    .unwrap();
}

fn a_killed_process_leaves_no_connection() -> Outcome {
    let sshd = Sshd::start();
    sshd.know(&sshd.public_key());
    sshd.options(HostKeyPolicy::Strict);
    let mut holder = Process::new(std::env::current_exe()?)
        .arg(HOLD)
        .arg(sshd.folder.path())
        .arg(sshd.address.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line)?;
    let serving = Path::new("/proc").join(line.trim());
    assert!(serving.exists(), "{line:?}");
    holder.kill()?;
    holder.wait()?;
    // The master goes when the commands of its other sessions have ended.
    std::fs::write(sshd.folder.path().join("over"), "")?;
    let start = Instant::now();
    while serving.exists() {
        assert!(start.elapsed() < Duration::from_secs(45), "{}", sshd.log());
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
