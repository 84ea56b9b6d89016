//! What `bcm dns` says.

use std::net::UdpSocket;

use crate::sandbox::Sandbox;

#[test]
fn records_come_from_the_file_and_private_addresses_are_warned_of() {
    let sandbox = Sandbox::new();
    let file = "[stack]\ndomain = \"example.test\"\naddress = [\"203.0.113.7\", \"10.0.0.9\"]\n";
    sandbox.write("bcm.toml", file);
    insta::assert_snapshot!(sandbox.run("dns records"));
    insta::assert_snapshot!(
        sandbox.run("dns records --wildcard --address 2001:db8::7 --output json")
    );
}

#[test]
fn members_of_the_cluster_lend_their_public_addresses() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "bcm.toml",
        "[stack]\ndomain = \"example.test\"\n[cluster]\nname = \"c\"\n\
         [[cluster.member]]\nhost = \"a@one\"\naddress = \"203.0.113.8\"\n\
         [[cluster.member]]\nhost = \"a@two\"\naddress = \"192.168.0.8\"\n",
    );
    let shown = sandbox.run("dns records");
    assert!(shown.contains("203.0.113.8"), "{shown}");
    assert!(!shown.contains("192.168.0.8"), "{shown}");
}

#[test]
fn what_is_missing_or_no_domain_is_usage() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run("dns records"));
    insta::assert_snapshot!(sandbox.run("dns records --domain example.test"));
    insta::assert_snapshot!(
        sandbox.run("dns check --domain https://example.test --address 203.0.113.7")
    );
}

/// A name server that knows no name.
#[test]
fn names_that_are_not_there_are_missing() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut query) {
            // The same question, as an answer (RFC 1035, 4.1.1): there is no such name. What is
            // behind the question, such as EDNS, is cut off.
            let question = 12 + query[12..length].iter().position(|b| *b == 0).unwrap() + 5;
            let mut answer = query[..question].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x83]);
            answer[6..12].fill(0);
            let _ = server.send_to(&answer, from);
        }
    });
    let shown = Sandbox::new().run(&format!(
        "dns check --domain example.test --address 203.0.113.7 --server {address}"
    ));
    insta::assert_snapshot!(shown);
}
