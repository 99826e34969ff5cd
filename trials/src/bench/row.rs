//! A row of the table: a measurement, its reference and its target.

use std::fmt;

use serde_json::{Value as Json, json};

use super::statistics::Figures;

/// The condition that the median, or every value, has to meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At least this value.
    Min(f64),
    /// At most this value.
    Max(f64),
    /// At least this multiple of the reference.
    MinRatio(f64),
    /// At most this multiple of the reference.
    MaxRatio(f64),
    /// Every value at least this one.
    EachMin(f64),
    /// Every value at most this one.
    EachMax(f64),
    /// Every value exactly this one.
    Each(f64),
}

/// A measurement.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    subject: &'static str,
    measure: String,
    unit: &'static str,
    result: Figures,
    /// Name and result of the reference.
    reference: Option<(String, Figures)>,
    target: Option<Target>,
    counted: Option<u64>,
}

impl Row {
    /// # Errors
    /// If `result` is empty or contains a value that is not finite.
    pub(crate) fn new(
        subject: &'static str,
        measure: impl Into<String>,
        unit: &'static str,
        result: Vec<f64>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            subject,
            measure: measure.into(),
            unit,
            result: Figures::new(result)?,
            reference: None,
            target: None,
            counted: None,
        })
    }

    /// Sets the reference with which it is compared.
    pub(crate) fn reference(
        self,
        name: impl Into<String>,
        result: Vec<f64>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            reference: Some((name.into(), Figures::new(result)?)),
            ..self
        })
    }

    pub(crate) fn target(self, target: Target) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// Sets the number of items that each repetition processed, as verified by the subject.
    pub(crate) fn counted(self, count: u64) -> Self {
        Self {
            counted: Some(count),
            ..self
        }
    }

    pub(crate) fn subject(&self) -> &'static str {
        self.subject
    }

    pub(crate) fn measure(&self) -> &str {
        &self.measure
    }

    /// Returns the difference of the highest and the lowest value as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        self.result.spread()
    }

    /// Returns the median divided by the median of the reference.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (_, reference) = self.reference.as_ref()?;
        Some(self.result.median() / reference.median())
    }

    /// Returns true if the target is met, or `None` without a target or its reference.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let median = self.result.median();
        Some(match self.target? {
            Target::Min(bound) => median >= bound,
            Target::Max(bound) => median <= bound,
            Target::MinRatio(bound) => self.ratio()? >= bound,
            Target::MaxRatio(bound) => self.ratio()? <= bound,
            Target::EachMin(bound) => self.result.lowest() >= bound,
            Target::EachMax(bound) => self.result.highest() <= bound,
            Target::Each(value) => {
                let all = self.result.all();
                all.iter().all(|figure| *figure == value)
            }
        })
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        }
    }

    /// Returns the cells in the order of [`HEADER`].
    pub(crate) fn cells(&self) -> [String; 8] {
        let (reference, reference_result) = match &self.reference {
            Some((name, result)) => (name.clone(), median_and_range(result)),
            None => Default::default(),
        };
        [
            self.subject.to_owned(),
            format!("{}, {}", self.measure, self.unit),
            median_and_range(&self.result),
            reference,
            reference_result,
            self.ratio()
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default(),
            self.target
                .map(|target| target.to_string())
                .unwrap_or_default(),
            self.verdict().to_owned(),
        ]
    }

    pub(crate) fn json(&self) -> Json {
        json!({
            "subject": self.subject,
            "measure": self.measure,
            "unit": self.unit,
            "result": figures(&self.result),
            "reference": self.reference.as_ref().map(|(name, result)| {
                let mut object = figures(result);
                object["name"] = json!(name);
                object
            }),
            "ratio": self.ratio(),
            "target": self.target.map(|target| target.to_string()),
            "met": self.is_met(),
            "counted": self.counted,
        })
    }
}

pub(crate) const HEADER: [&str; 8] = [
    "Subject",
    "Measurement",
    "Result",
    "Reference",
    "Reference result",
    "Ratio",
    "Target",
    "Verdict",
];

fn figures(figures: &Figures) -> Json {
    json!({
        "median": figures.median(),
        "min": figures.lowest(),
        "max": figures.highest(),
        "spread": figures.spread(),
        "all": figures.all(),
    })
}

/// Formats the median, followed by the lowest and the highest value if they differ.
fn median_and_range(figures: &Figures) -> String {
    let [median, lowest, highest] =
        [figures.median(), figures.lowest(), figures.highest()].map(number);
    if lowest == highest {
        median
    } else {
        format!("{median} ({lowest}..{highest})")
    }
}

/// Formats a number with about three significant digits.
fn number(number: f64) -> String {
    if number.abs() >= 100.0 {
        thousands(number)
    } else if number.abs() >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// Formats a count with separators, such as 1,000,000.
pub(crate) fn count(count: u64) -> String {
    thousands(count as f64)
}

fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Min(bound) => write!(f, "≥ {}", plain(bound)),
            Self::Max(bound) => write!(f, "≤ {}", plain(bound)),
            Self::MinRatio(bound) => write!(f, "≥ {bound} ×"),
            Self::MaxRatio(bound) => write!(f, "≤ {bound} ×"),
            Self::EachMin(bound) => write!(f, "each ≥ {}", plain(bound)),
            Self::EachMax(bound) => write!(f, "each ≤ {}", plain(bound)),
            Self::Each(value) => write!(f, "each {}", plain(value)),
        }
    }
}

fn plain(bound: f64) -> String {
    if bound >= 1000.0 {
        thousands(bound)
    } else {
        bound.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn row(result: f64) -> Row {
        Row::new("drain", "letters", "a second", vec![result]).unwrap()
    }

    #[test]
    fn a_target_is_met_at_its_bound() {
        for (target, met, missed) in [
            (Target::Min(10.0), 10.0, 9.9),
            (Target::Max(10.0), 10.0, 10.1),
            (Target::MinRatio(0.5), 10.0, 9.9),
            (Target::MaxRatio(0.5), 10.0, 10.1),
        ] {
            let row = |result| {
                let row = row(result).reference("reference", vec![20.0]).unwrap();
                row.target(target)
            };
            assert_eq!(row(met).verdict(), "met", "{target}");
            assert_eq!(row(missed).verdict(), "MISSED", "{target}");
        }
        assert_eq!(row(1.0).verdict(), "");
    }

    #[test]
    fn the_median_is_compared_with_the_target() {
        let row = Row::new("drain", "letters", "a second", vec![1.0, 11.0, 12.0]).unwrap();
        assert_eq!(row.target(Target::Min(10.0)).is_met(), Some(true));
    }

    #[test]
    fn every_value_is_compared_where_each_must_meet_the_target() {
        let row = |figures: [f64; 3]| Row::new("refusal", "wait", "s", figures.into()).unwrap();
        for (target, met, missed) in [
            (Target::EachMin(10.0), [10.0, 11.0, 12.0], [9.9, 11.0, 12.0]),
            (
                Target::EachMax(12.0),
                [10.0, 11.0, 12.0],
                [10.0, 11.0, 12.1],
            ),
            (Target::Each(1.0), [1.0; 3], [1.0, 1.0, 2.0]),
        ] {
            assert_eq!(row(met).target(target).verdict(), "met", "{target}");
            assert_eq!(row(missed).target(target).verdict(), "MISSED", "{target}");
        }
    }

    #[test]
    fn a_target_without_its_reference_has_no_verdict() {
        assert_eq!(row(1.0).target(Target::MinRatio(0.5)).is_met(), None);
    }

    #[test]
    fn numbers_are_formatted_for_people() {
        let row = Row::new(
            "drain",
            "letters",
            "a second",
            vec![7512.4, 7100.0, 12345678.0],
        )
        .unwrap()
        .reference("smtp-source", vec![18500.0])
        .unwrap()
        .target(Target::MinRatio(0.4));
        let cells = [
            "drain",
            "letters, a second",
            "7,512 (7,100..12,345,678)",
            "smtp-source",
            "18,500",
            "0.41",
            "≥ 0.4 ×",
            "met",
        ];
        assert_eq!(row.cells(), cells);
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(number(0.123), "0.12");
        assert_eq!(number(54.32), "54.3");
        assert_eq!(Target::Min(20000.0).to_string(), "≥ 20,000");
        assert_eq!(Target::Max(8.0).to_string(), "≤ 8");
    }
}
