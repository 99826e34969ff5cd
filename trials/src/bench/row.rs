//! A line of the table: what was measured, beside its limit and its bar.

use std::fmt;

use serde_json::{Value as Json, json};

use super::statistics::Figures;

/// What is asked of the median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// No less than this.
    Least(f64),
    /// No more than this.
    Most(f64),
    /// No less than this share of the limit.
    LeastOfLimit(f64),
    /// No more than this share of the limit.
    MostOfLimit(f64),
}

/// Something measured.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    subject: &'static str,
    measure: String,
    unit: &'static str,
    ours: Figures,
    limit: Option<(String, Figures)>,
    bar: Option<Bar>,
    counted: Option<u64>,
}

impl Row {
    /// # Errors
    /// Without figures.
    pub(crate) fn new(
        subject: &'static str,
        measure: impl Into<String>,
        unit: &'static str,
        ours: Vec<f64>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            subject,
            measure: measure.into(),
            unit,
            ours: Figures::new(ours)?,
            limit: None,
            bar: None,
            counted: None,
        })
    }

    /// Sets what it is held beside.
    pub(crate) fn beside(
        self,
        limit: impl Into<String>,
        figures: Vec<f64>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            limit: Some((limit.into(), Figures::new(figures)?)),
            ..self
        })
    }

    pub(crate) fn bar(self, bar: Bar) -> Self {
        Self {
            bar: Some(bar),
            ..self
        }
    }

    /// Says how many were done each time and found done.
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

    /// From the lowest to the highest of ours, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        self.ours.spread()
    }

    /// Ours by the limit, both by their medians.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (_, limit) = self.limit.as_ref()?;
        Some(self.ours.median() / limit.median())
    }

    /// Whether the bar is met; `None` without one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let ours = self.ours.median();
        Some(match self.bar? {
            Bar::Least(bar) => ours >= bar,
            Bar::Most(bar) => ours <= bar,
            Bar::LeastOfLimit(bar) => self.ratio()? >= bar,
            Bar::MostOfLimit(bar) => self.ratio()? <= bar,
        })
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        }
    }

    /// The cells of the table, as its [`HEADER`] names them.
    pub(crate) fn cells(&self) -> [String; 8] {
        let (limit, limited) = match &self.limit {
            Some((limit, figures)) => (limit.clone(), spread(figures)),
            None => Default::default(),
        };
        [
            self.subject.to_owned(),
            format!("{}, {}", self.measure, self.unit),
            spread(&self.ours),
            limit,
            limited,
            self.ratio()
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default(),
            self.bar.map(|bar| bar.to_string()).unwrap_or_default(),
            self.verdict().to_owned(),
        ]
    }

    pub(crate) fn json(&self) -> Json {
        json!({
            "subject": self.subject,
            "measure": self.measure,
            "unit": self.unit,
            "ours": figures(&self.ours),
            "limit": self.limit.as_ref().map(|(limit, of_limit)| {
                let mut object = figures(of_limit);
                object["of"] = json!(limit);
                object
            }),
            "ratio": self.ratio(),
            "bar": self.bar.map(|bar| bar.to_string()),
            "met": self.is_met(),
            "counted": self.counted,
        })
    }
}

pub(crate) const HEADER: [&str; 8] = [
    "Subject",
    "What",
    "Ours",
    "Beside",
    "Its figure",
    "Ratio",
    "Bar",
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

/// The median, and what it lies between where that reads differently.
fn spread(figures: &Figures) -> String {
    let [median, lowest, highest] =
        [figures.median(), figures.lowest(), figures.highest()].map(number);
    if lowest == highest {
        median
    } else {
        format!("{median} ({lowest}..{highest})")
    }
}

/// With as many digits as are worth reading.
fn number(number: f64) -> String {
    if number.abs() >= 100.0 {
        thousands(number)
    } else if number.abs() >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// A count as people read it: 1,000,000.
pub(crate) fn count(count: u64) -> String {
    thousands(count as f64)
}

fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
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

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Least(bar) => write!(f, "≥ {}", plain(bar)),
            Self::Most(bar) => write!(f, "≤ {}", plain(bar)),
            Self::LeastOfLimit(bar) => write!(f, "≥ {bar} ×"),
            Self::MostOfLimit(bar) => write!(f, "≤ {bar} ×"),
        }
    }
}

fn plain(bar: f64) -> String {
    if bar >= 1000.0 {
        thousands(bar)
    } else {
        bar.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn row(ours: f64) -> Row {
        Row::new("drain", "letters", "a second", vec![ours]).unwrap()
    }

    #[test]
    fn a_bar_is_met_at_itself_and_missed_beyond() {
        for (bar, met, missed) in [
            (Bar::Least(10.0), 10.0, 9.9),
            (Bar::Most(10.0), 10.0, 10.1),
            (Bar::LeastOfLimit(0.5), 10.0, 9.9),
            (Bar::MostOfLimit(0.5), 10.0, 10.1),
        ] {
            let verdict = |ours| row(ours).beside("limit", vec![20.0]).unwrap().bar(bar);
            assert_eq!(verdict(met).verdict(), "met", "{bar}");
            assert_eq!(verdict(missed).verdict(), "MISSED", "{bar}");
        }
        assert_eq!(row(1.0).verdict(), "");
    }

    #[test]
    fn the_median_decides_and_not_the_worst() {
        let row = Row::new("drain", "letters", "a second", vec![1.0, 11.0, 12.0]).unwrap();
        assert_eq!(row.bar(Bar::Least(10.0)).is_met(), Some(true));
    }

    #[test]
    fn a_share_without_a_limit_is_no_verdict() {
        assert_eq!(row(1.0).bar(Bar::LeastOfLimit(0.5)).is_met(), None);
    }

    #[test]
    fn figures_read_well() {
        let row = Row::new(
            "drain",
            "letters",
            "a second",
            vec![7512.4, 7100.0, 12345678.0],
        )
        .unwrap()
        .beside("smtp-source", vec![18500.0])
        .unwrap()
        .bar(Bar::LeastOfLimit(0.4));
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
        assert_eq!(Bar::Least(20000.0).to_string(), "≥ 20,000");
        assert_eq!(Bar::Most(8.0).to_string(), "≤ 8");
    }
}
