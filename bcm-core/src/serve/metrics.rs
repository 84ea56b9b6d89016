//! Metrics in Prometheus' text format (version 0.0.4).

use std::fmt::{Display, Write};

/// The content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows while the process runs.
    Counter,
    /// A number that goes up and down.
    Gauge,
}

/// Writes metrics, one family after the other.
///
/// ```
/// use bcm_core::serve::metrics::{Kind, Metrics};
/// let mut metrics = Metrics::default();
/// metrics.family("bcm_kernels", Kind::Gauge, "Kernels held.");
/// metrics.sample("bcm_kernels", &[("listed", "yes")], 7);
/// assert!(metrics.into_text().ends_with("bcm_kernels{listed=\"yes\"} 7\n"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Metrics(String);

impl Metrics {
    /// Begins a family: its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// Adds one sample of the family `name`.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// A family with a single sample.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// All that was written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_leave_their_quotes() {
        let mut metrics = Metrics::default();
        metrics.single("a", Kind::Counter, "One\nline.", 1.5);
        metrics.family("b", Kind::Gauge, "Two.");
        metrics.sample("b", &[("x", "a\"b\\c\nd"), ("y", "")], 2);
        assert_eq!(
            metrics.into_text(),
            "# HELP a One\\nline.\n# TYPE a counter\na 1.5\n# HELP b Two.\n# TYPE b gauge\n\
             b{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 2\n"
        );
    }
}
