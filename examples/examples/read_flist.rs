//! Reads an flist: what it says of itself, its tree, and the blocks that it takes.
//!
//! ```text
//! cargo run -p bcm-examples --example read_flist -- FILE.flist
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;

use bcm_hub_sync::flist::{Flist, Kind, Limits, Step};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err("usage: read_flist FILE.flist".into());
    };
    // An flist comes from strangers: what it may cost is up to us.
    let limits = Limits {
        unpacked_bytes: 256 << 20,
        ..Limits::default()
    };
    let flist = Flist::open(&path, &limits, &std::env::temp_dir())?;

    if let Some(backend) = flist.backend()? {
        println!(
            "its blocks are in {} of {}:{}",
            backend.namespace, backend.host, backend.port
        );
    }

    // The tree streams: memory does not grow with the number of files.
    for step in flist.walk() {
        let Step::Entry { path, inode } = step? else {
            continue;
        };
        let acl = flist.acl(&inode, &path)?;
        let path = path.display();
        match &inode.kind {
            Kind::Directory(_) => println!("{:04o} {path}/", acl.mode),
            Kind::File(chunks) => println!(
                "{:04o} {path}, {} bytes in {} chunks",
                acl.mode,
                inode.size,
                chunks.len()
            ),
            Kind::Link(target) => println!("     {path} -> {}", target.display()),
            Kind::Special(special) => match special.device(&inode.name) {
                Some(device) => println!("{:04o} {path}, {device:?}", acl.mode),
                None => println!("{:04o} {path}, which kind it does not say", acl.mode),
            },
        }
    }

    let mut references = 0_u64;
    flist.for_each_block(&mut |_key| {
        references += 1;
        ControlFlow::Continue(())
    })?;
    println!("{references} references to blocks");
    Ok(())
}
