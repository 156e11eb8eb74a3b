//! Prometheus' text form, read strictly: what its own parser would take with a shrug fails here.

use std::collections::{BTreeMap, BTreeSet};

/// What a text says.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The type of each figure.
    pub(crate) types: BTreeMap<String, String>,
    /// Each sample as it is written, labels included.
    samples: BTreeMap<String, f64>,
}

impl Figures {
    /// The value of a sample, written with its labels.
    #[track_caller]
    pub(crate) fn value(&self, sample: &str) -> f64 {
        self.find(sample).unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }

    /// The value of a sample, if it is there.
    pub(crate) fn find(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// All samples of a figure that are not zero, from their labels on.
    pub(crate) fn counted(&self, name: &str) -> Vec<String> {
        let samples = self.samples.iter().filter(|(_, value)| **value != 0.0);
        let of = |(sample, value): (&String, &f64)| {
            let labels = sample.strip_prefix(name).filter(|rest| rest.starts_with('{'))?;
            Some(format!("{labels} {value}"))
        };
        samples.filter_map(of).collect()
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }
}

/// Reads a text. Each figure is announced by one HELP and one TYPE, then come its samples and
/// nothing else; names and labels are of the characters that are allowed, no sample is there twice,
/// the buckets of a histogram rise and end with its count.
#[track_caller]
pub(crate) fn parse(text: &str) -> Figures {
    assert!(text.ends_with('\n') && !text.contains('\r'), "{text}");
    let mut figures = Figures::default();
    let (mut helped, mut current) = (String::new(), String::new());
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(is_name(name) && help.len() >= 10 && !help.ends_with('.'), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect(line);
            assert_eq!(name, helped, "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&of), "{line}");
            assert_eq!(name.ends_with("_total"), of == "counter", "{line}");
            let twice = figures.types.insert(name.to_owned(), of.to_owned());
            assert!(twice.is_none(), "{line}");
            name.clone_into(&mut current);
        } else {
            let (sample, value) = line.rsplit_once(' ').expect(line);
            let value: f64 = value.parse().expect(line);
            let (name, labels) = split(sample);
            let suffix = name.strip_prefix(&current).expect(line);
            let histogram = figures.types.get(&current).expect(line) == "histogram";
            let suffixes: &[&str] = if histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            if suffix == "_bucket" {
                let (le, others): (Vec<_>, Vec<_>) =
                    labels.into_iter().partition(|(label, _)| label == "le");
                let bound = le[0].1.replace("+Inf", "inf").parse().expect(line);
                buckets.entry(format!("{current}{others:?}")).or_default().push((bound, value));
            } else if suffix == "_count" {
                let rising = buckets.remove(&format!("{current}{labels:?}")).expect(line);
                assert!(rising.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1));
                assert_eq!(rising.last(), Some(&(f64::INFINITY, value)), "{line}");
            }
            assert!(figures.samples.insert(sample.to_owned(), value).is_none(), "{line} is twice");
        }
    }
    assert!(buckets.is_empty(), "a histogram without a count");
    figures
}

/// A sample's name and labels.
#[track_caller]
fn split(sample: &str) -> (&str, Vec<(String, String)>) {
    let Some((name, rest)) = sample.split_once('{') else {
        assert!(is_name(sample), "{sample}");
        return (sample, vec![]);
    };
    assert!(is_name(name), "{sample}");
    let mut rest = rest.strip_suffix('}').expect(sample);
    let (mut labels, mut known) = (Vec::new(), BTreeSet::new());
    loop {
        let (label, after) = rest.split_once("=\"").expect(sample);
        assert!(is_name(label) && known.insert(label), "{sample}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect(sample) {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect(sample).1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    other => panic!("\\{other} in {sample}"),
                },
                (_, char) => value.push(char),
            }
        };
        labels.push((label.to_owned(), value));
        match &after[end + 1..] {
            "" => return (name, labels),
            more => rest = more.strip_prefix(',').expect(sample),
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_lowercase() || char == '_';
    name.starts_with(plain) && name.chars().all(|char| plain(char) || char.is_ascii_digit())
}
