//! What there is to say of a replica beside its health.

use std::time::Duration;

use bcm_lxd::Client;
use serde::Serialize;

use super::DeployError;
use super::command::run;
use crate::wanted::Wanted;

const SCRIPT: &str = include_str!("report.sh");

/// How long the answer may take: volumes are counted.
const LIMIT: Duration = Duration::from_secs(120);

/// What was found in an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Bytes that its volumes hold; `None` where it has none.
    pub used: Option<u64>,
    /// Bytes that are left for them.
    pub left: Option<u64>,
    /// When the first of its certificates ends, in seconds since 1970.
    pub certificate_ends: Option<i64>,
}

/// Looks into a replica.
///
/// # Errors
/// The instance does not answer.
pub async fn report(client: &Client, wanted: &Wanted) -> Result<Report, DeployError> {
    let mut argv = vec!["bash", "-c", SCRIPT, "report"];
    argv.extend(wanted.volumes.iter().map(|volume| volume.path.as_str()));
    let said = run(client, &wanted.replica.instance, &argv, LIMIT).await?;
    Ok(parse(&String::from_utf8_lossy(&said)))
}

fn parse(text: &str) -> Report {
    let mut report = Report::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["disk", used, left] => {
                let (Ok(used), Ok(left)) = (used.parse::<u64>(), left.parse::<u64>()) else {
                    continue;
                };
                report.used = Some(report.used.unwrap_or(0) + used);
                report.left = Some(report.left.map_or(left, |other| other.min(left)));
            }
            ["certificate", end] => {
                let ends = report.certificate_ends.into_iter().chain(end.parse());
                report.certificate_ends = ends.min();
            }
            _ => {}
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_room_and_the_first_end_count() {
        let text = "disk 10 500\ndisk 5 300\ncertificate 2000\ncertificate 1000\ncertificate\nx\n";
        let report = parse(text);
        assert_eq!(report.used, Some(15));
        assert_eq!(report.left, Some(300));
        assert_eq!(report.certificate_ends, Some(1000));
        assert_eq!(parse(""), Report::default());
    }
}
