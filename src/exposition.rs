//! Figures in Prometheus' text form.
//!
//! Pure: names, helps, labels and numbers in, a text out. The only module that knows
//! `prometheus_client`. Who counts keeps plain numbers of their own, and what is told is put together when
//! it is asked for; so nothing here is shared between threads.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// The media type of the text.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// What counters end in; the crate adds it.
const TOTAL: &str = "_total";

/// Names and values of labels. Values may hold anything; they are escaped.
pub type Labels = Vec<(&'static str, String)>;

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, rising, and how many lie between each and the one before. The last one
    /// is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// Seconds of all together.
    pub sum: f64,
}

/// Figures that are told together.
#[derive(Debug, Default)]
pub struct Page {
    figures: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Labels, Value)>,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Whole(i64),
    Seconds(f64),
    Histogram(Histogram),
}

/// A number of a gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gauge {
    /// A moment in seconds since 1970, or a number of things.
    Whole(i64),
    /// How long something took.
    Seconds(f64),
}

impl From<i64> for Gauge {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<u64> for Gauge {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Gauge {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<bool> for Gauge {
    fn from(yes: bool) -> Self {
        Self::Whole(i64::from(yes))
    }
}

impl From<f64> for Gauge {
    fn from(seconds: f64) -> Self {
        Self::Seconds(seconds)
    }
}

impl Page {
    /// Adds a number that goes up and down, if it is known: a zero for what is not would be a lie.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: Option<impl Into<Gauge>>,
    ) {
        self.gauges(name, help, value.map(|value| (Labels::new(), value)));
    }

    /// Adds a number that goes up and down, by labels.
    pub fn gauges<G: Into<Gauge>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, G)>,
    ) {
        let value = |gauge: G| match gauge.into() {
            Gauge::Whole(number) => Value::Whole(number),
            Gauge::Seconds(seconds) => Value::Seconds(seconds),
        };
        let samples = samples.into_iter().map(|(labels, gauge)| (labels, value(gauge)));
        self.add(name, help, MetricType::Gauge, samples.collect());
    }

    /// Adds a number that only grows; `name` ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, count: u64) {
        self.counters(name, help, [(Labels::new(), count)]);
    }

    /// Adds a number that only grows, by labels; `name` ends in `_total`.
    pub fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        debug_assert!(name.ends_with(TOTAL), "{name}");
        let name = name.strip_suffix(TOTAL).unwrap_or(name);
        let samples = samples.into_iter().map(|(labels, count)| (labels, Value::Count(count)));
        self.add(name, help, MetricType::Counter, samples.collect());
    }

    /// Adds how often something took how long, by labels.
    pub fn histograms(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Histogram)>,
    ) {
        let samples = samples.into_iter().map(|(labels, one)| (labels, Value::Histogram(one)));
        self.add(name, help, MetricType::Histogram, samples.collect());
    }

    /// All of it as a text.
    pub fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Only the writer could fail, and a text does not.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        samples: Vec<(Labels, Value)>,
    ) {
        if !samples.is_empty() {
            self.figures.push(Figure { name, help, kind, samples });
        }
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Figure { name, help, kind, samples } in &self.figures {
            let mut metric = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, value) in samples {
                if labels.is_empty() {
                    value.encode(&mut metric)?;
                } else {
                    value.encode(&mut metric.encode_family(labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => metric.encode_counter::<NoLabelSet, u64, f64>(count, None),
            Self::Whole(number) => metric.encode_gauge(number),
            Self::Seconds(seconds) => metric.encode_gauge(seconds),
            Self::Histogram(Histogram { buckets, sum }) => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                metric.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_announced_figure_by_figure_and_what_is_not_known_is_left_out() {
        let mut page = Page::default();
        page.gauge("a_files", "Files\\of\na", Some(7_u64));
        page.gauge("a_seconds", "How long it took", Some(0.25));
        page.gauge("a_secret", "Nobody knows it", None::<bool>);
        page.counter("a_bytes_total", "Bytes", 9);
        let labels = vec![("client", "x\"y\\z\n".to_owned()), ("code", String::new())];
        page.counters("a_refusals_total", "Refusals", [(labels, 2)]);
        let buckets = vec![(0.005, 1), (2.5, 2), (f64::INFINITY, 4)];
        page.histograms("a_took_seconds", "Time", [(vec![], Histogram { buckets, sum: 64.5 })]);
        let expected = "# HELP a_files Files\\\\of\\na\n# TYPE a_files gauge\na_files 7\n\
                        # HELP a_seconds How long it took\n# TYPE a_seconds gauge\na_seconds 0.25\n\
                        # HELP a_bytes_total Bytes\n# TYPE a_bytes_total counter\na_bytes_total 9\n\
                        # HELP a_refusals_total Refusals\n# TYPE a_refusals_total counter\n\
                        a_refusals_total{client=\"x\\\"y\\\\z\\n\",code=\"\"} 2\n\
                        # HELP a_took_seconds Time\n# TYPE a_took_seconds histogram\n\
                        a_took_seconds_bucket{le=\"0.005\"} 1\na_took_seconds_bucket{le=\"2.5\"} 3\n\
                        a_took_seconds_bucket{le=\"+Inf\"} 7\na_took_seconds_sum 64.5\n\
                        a_took_seconds_count 7\n";
        assert_eq!(page.text(), expected);
    }
}
