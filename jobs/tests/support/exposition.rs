//! The part of the Prometheus text format (version 0.0.4) that is needed to read it.

use std::collections::{BTreeMap, BTreeSet};

/// The result of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Type and help of each metric.
    pub(crate) families: BTreeMap<String, (String, String)>,
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Parses a text and asserts that it has the right format.
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

    /// The value of a sample, named as exposed: `name{label="value"}`.
    pub(crate) fn value(&self, sample: &str) -> f64 {
        self.get(sample)
            .unwrap_or_else(|| panic!("no {sample} in {self:#?}"))
    }

    pub(crate) fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The sum of all samples with this name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let samples = self.samples.iter();
        let own = samples.filter(|(sample, _)| sample.split('{').next() == Some(name));
        own.map(|(_, value)| value).sum()
    }

    /// The names of all samples, including those of histograms.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let samples = self.samples.keys();
        samples
            .map(|sample| sample.split('{').next().unwrap())
            .collect()
    }

    /// Every `label="value"` of a sample with this name.
    pub(crate) fn labels(&self, name: &str) -> BTreeSet<&str> {
        let samples = self.samples.keys();
        let own = samples.filter_map(|sample| sample.strip_prefix(name)?.strip_prefix('{'));
        own.flat_map(|labels| labels.trim_end_matches('}').split(','))
            .collect()
    }
}
