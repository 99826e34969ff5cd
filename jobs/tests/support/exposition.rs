//! As much of the Prometheus text format (version 0.0.4) as is needed to read one.

use std::collections::{BTreeMap, BTreeSet};

/// What a scrape brought.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Type and help of each metric.
    pub(crate) families: BTreeMap<String, (String, String)>,
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a text, and insists that it is one of the format.
    pub(crate) fn read(text: &str) -> Self {
        let mut exposition = Self::default();
        let mut helps = BTreeMap::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                helps.insert(name, help);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                let help = helps[name].to_owned();
                let known = exposition
                    .families
                    .insert(name.to_owned(), (kind.to_owned(), help));
                assert!(known.is_none(), "{name} comes twice");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse().unwrap_or_else(|_| panic!("{line:?}"));
                let known = exposition.samples.insert(sample.to_owned(), value);
                assert!(known.is_none(), "{sample} comes twice");
            }
        }
        exposition
    }

    /// The value of a sample, written as it is exposed: `name{label="value"}`.
    pub(crate) fn value(&self, sample: &str) -> f64 {
        self.get(sample)
            .unwrap_or_else(|| panic!("no {sample} in {self:#?}"))
    }

    pub(crate) fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// What all samples of a name add up to.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let samples = self.samples.iter();
        let own = samples.filter(|(sample, _)| sample.split('{').next() == Some(name));
        own.map(|(_, value)| value).sum()
    }

    /// The names of all samples, those of histograms included.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let samples = self.samples.keys();
        samples
            .map(|sample| sample.split('{').next().unwrap())
            .collect()
    }

    /// Every `label="value"` that a sample of this name has.
    pub(crate) fn labels(&self, name: &str) -> BTreeSet<&str> {
        let samples = self.samples.keys();
        let own = samples.filter_map(|sample| sample.strip_prefix(name)?.strip_prefix('{'));
        own.flat_map(|labels| labels.trim_end_matches('}').split(','))
            .collect()
    }
}
