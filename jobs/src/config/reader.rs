//! Reads the variables and collects all mistakes.

use std::ffi::OsString;
use std::fmt;

use super::unknown;
use super::variables::Variable;

/// All mistakes in the configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    mistakes: Vec<Mistake>,
}

/// A mistake in one variable. Values that may be secret are not repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// The variable's name.
    pub variable: String,
    /// The problem with its value.
    pub problem: String,
    /// The form of a valid value.
    pub expected: &'static str,
}

impl ConfigError {
    /// Returns the mistakes, in the order of the table of variables.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; expected {}",
            self.variable, self.problem, self.expected
        )
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration has mistakes:")?;
        self.mistakes
            .iter()
            .try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads variables through `lookup` and continues after a mistake, so that all are found at once.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self {
            lookup,
            mistakes: Vec::new(),
        }
    }

    /// Records as mistakes those of `names` that are close to the name of a variable.
    pub(super) fn misspelled(mut self, names: &[String]) -> Self {
        for name in names {
            if let Some(meant) = unknown::meant(name) {
                self.mistakes.push(Mistake {
                    variable: name.clone(),
                    problem: "there is no variable of this name".to_owned(),
                    expected: meant,
                });
            }
        }
        self
    }

    /// Returns the value of a variable that has a default. After a mistake this is the default,
    /// which is never used.
    pub(super) fn required<T, E: fmt::Display>(
        &mut self,
        variable: Variable,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        match self.optional(variable, &parse) {
            Some(value) => value,
            None => match parse(variable.default) {
                Ok(value) => value,
                Err(problem) => panic!("the default of {} is invalid: {problem}", variable.name),
            },
        }
    }

    /// Returns the value of a variable that may be unset.
    pub(super) fn optional<T, E: fmt::Display>(
        &mut self,
        variable: Variable,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.mistake(variable, problem);
                None
            }
        }
    }

    /// Returns whether a variable has a value, valid or not.
    pub(super) fn is_set(&self, variable: Variable) -> bool {
        (self.lookup)(variable.name).is_some_and(|value| !value.is_empty())
    }

    /// Returns whether a value was set and is invalid.
    pub(super) fn has_mistake(&self, variable: Variable) -> bool {
        let mut mistakes = self.mistakes.iter();
        mistakes.any(|mistake| mistake.variable == variable.name)
    }

    pub(super) fn mistake(&mut self, variable: Variable, problem: impl fmt::Display) {
        let problem = problem.to_string().replace('\n', " ");
        self.mistakes.push(Mistake {
            variable: variable.name.to_owned(),
            problem,
            expected: variable.expected,
        });
    }

    /// Fails if there was any mistake.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let mut mistakes = self.mistakes;
        let place = |name: &str| {
            super::variables::ALL
                .iter()
                .position(|variable| variable.name == name)
        };
        mistakes.sort_by_key(|mistake| place(&mistake.variable));
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { mistakes })
        }
    }

    fn text(&mut self, variable: Variable) -> Option<String> {
        match (self.lookup)(variable.name)?.into_string() {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(_) => {
                self.mistake(variable, "the value is not UTF-8");
                None
            }
        }
    }
}
