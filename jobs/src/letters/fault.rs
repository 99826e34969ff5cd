//! Faults of a host's own templates and phrases.

use handlebars::{RenderError, TemplateError};

/// The reason why a template is not used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: Option<usize>,
    pub(crate) problem: String,
}

impl Fault {
    pub(crate) fn new(problem: &str) -> Self {
        Self {
            line: None,
            problem: problem.to_owned(),
        }
    }
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Self {
        Self {
            line: error.line_no,
            problem: error.reason().to_string(),
        }
    }
}

impl From<TemplateError> for Fault {
    fn from(error: TemplateError) -> Self {
        Self {
            line: error.pos().map(|(line, _)| line),
            problem: error.reason().to_string(),
        }
    }
}
