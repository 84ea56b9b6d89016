//! How long a boot medium takes once iPXE is in memory: to make it, and to make it and copy all of its
//! bytes, as a server does that sends it. Beside it, the copying alone.
//!
//! ```sh
//! cargo bench -p bcm-bootstrap-sync --bench boot_media [-- FOLDER-OF-IPXE]
//! ```

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench talks to a person, and fails loudly"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bcm_bootstrap_sync::image::{Media, Medium, Prebuilt, Script};
use bcm_bootstrap_sync::ipxe::{BootScript, Boots, ExtraArguments, FarmId, ServerUrl};
use bcm_bootstrap_sync::run_mode::RunMode;

const ROUNDS: u64 = 301;

fn main() {
    let mut folders: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .map(PathBuf::from)
        .collect();
    if folders.is_empty() {
        folders = Prebuilt::FOLDERS.map(PathBuf::from).to_vec();
    }
    let begin = Instant::now();
    let media = Media::new(Prebuilt::read(&folders));
    println!("iPXE read in {:.1} ms", milliseconds(begin.elapsed()));
    println!("medium      bytes     made in     and copied    p99          copying alone");
    for medium in Medium::ALL {
        if let Err(error) = media.make(medium, &script(0)) {
            println!("{:8}  {error}", medium.name());
            continue;
        }
        let mut buffer = Vec::new();
        let (mut made, mut sent, mut copied) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Another farm each time: nothing of the last medium can be taken again.
            let begin = Instant::now();
            let content = media.make(medium, &script(round)).unwrap();
            made.push(begin.elapsed());
            buffer.clear();
            content.write_to(&mut buffer).unwrap();
            sent.push(begin.elapsed());
            let begin = Instant::now();
            black_box(buffer.clone());
            copied.push(begin.elapsed());
        }
        println!(
            "{:8}  {:8}  {:>9.4} ms  {:>9.4} ms  {:>9.4} ms  {:>9.4} ms",
            medium.name(),
            buffer.len(),
            milliseconds(quantile(&mut made, 50)),
            milliseconds(quantile(&mut sent, 50)),
            milliseconds(quantile(&mut sent, 99)),
            milliseconds(quantile(&mut copied, 50)),
        );
    }
}

fn script(farm: u64) -> Script {
    let script = BootScript {
        server: ServerUrl::new("http://boot.example.test").unwrap(),
        mode: RunMode::new("prod").unwrap(),
        title: "production".to_owned(),
        farm: Some(FarmId::new(&farm.to_string()).unwrap()),
        extra: ExtraArguments::default(),
        boots: Boots::RunMode,
    };
    Script::new(script.render()).unwrap()
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
