//! Which of the listed kernels are mirrored. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use bcm_core::patterns::Patterns;

use crate::kernel::KernelName;

/// What is mirrored beside what run modes link to, which always is.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Only kernels that upstream lists with a time within this window before now; `None` takes
    /// all. Default 365 days.
    pub since: Option<Duration>,
    /// At most this many, the newest. Default: as many as there are.
    pub newest: Option<usize>,
    /// Only kernels whose name matches.
    pub names: Patterns,
    /// These in any case.
    pub pins: BTreeSet<KernelName>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            since: Some(Duration::from_secs(365 * 24 * 60 * 60)),
            newest: None,
            names: Patterns::default(),
            pins: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// Which of `listed` (names with their times in seconds since 1970) are mirrored at the time
    /// `now`. Of two with the same time, the one whose name comes first counts as the newer.
    #[must_use]
    pub fn choose<'a>(
        &self,
        listed: impl Iterator<Item = (&'a KernelName, i64)>,
        now: i64,
    ) -> BTreeSet<KernelName> {
        let oldest = self.since.map(|window| {
            let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
            now.saturating_sub(window)
        });
        let mut pinned = BTreeSet::new();
        let mut chosen: Vec<(i64, &KernelName)> = Vec::new();
        for (name, timestamp) in listed {
            if self.pins.contains(name) {
                pinned.insert(name.clone());
            }
            let recent = oldest.is_none_or(|oldest| timestamp >= oldest);
            if recent && self.names.matches(name.as_str()) {
                chosen.push((timestamp, name));
            }
        }
        chosen.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        chosen.truncate(self.newest.unwrap_or(usize::MAX));
        pinned.extend(chosen.into_iter().map(|(_, name)| name.clone()));
        pinned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_numbers_globs_and_pins() {
        let name = |text: &str| KernelName::new(text).unwrap();
        let listed: Vec<_> = [
            ("a-old", 100),
            ("b", 900),
            ("c", 950),
            ("d", 1000),
            ("e-dev", 990),
        ]
        .map(|(text, time)| (name(text), time))
        .into();
        let choose = |policy: &Policy| -> Vec<String> {
            let listed = listed.iter().map(|(name, time)| (name, *time));
            policy
                .choose(listed, 1000)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        let all = Policy {
            since: None,
            ..Policy::default()
        };
        assert_eq!(choose(&all), ["a-old", "b", "c", "d", "e-dev"]);
        let mut policy = Policy {
            since: Some(Duration::from_secs(100)),
            ..all
        };
        assert_eq!(choose(&policy), ["b", "c", "d", "e-dev"]);
        policy.names = Patterns::new(["!*-dev"].into_iter()).unwrap();
        assert_eq!(choose(&policy), ["b", "c", "d"]);
        policy.newest = Some(1);
        assert_eq!(choose(&policy), ["d"]);
        policy.pins = [name("a-old"), name("not-listed")].into();
        assert_eq!(choose(&policy), ["a-old", "d"]);
    }
}
