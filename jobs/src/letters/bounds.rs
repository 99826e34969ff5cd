//! Bounds of a host's own template, so that a faulty one can neither end the process nor occupy it.

use std::collections::HashMap;

use handlebars::Handlebars;
use handlebars::template::{
    DecoratorTemplate, HelperTemplate, Parameter, Template, TemplateElement,
};

use super::fault::Fault;

/// The maximum size of a file, in bytes. Gmail cuts off letters that are longer than 102 kB.
pub(crate) const MAX_SIZE: u64 = 102 * 1024;

/// The maximum number of blocks inside each other: the parser and the renderer recurse.
const MAX_DEPTH: usize = 16;

/// The maximum number of brackets in one tag, because the parser recurses for those inside each other.
const MAX_BRACKETS: usize = 16;

/// The maximum number of elements that a letter renders.
const MAX_ELEMENTS: u64 = 100_000;

/// The number of items that a list is assumed to have.
const ITEMS: u64 = 32;

/// Checks the depth of a source before it is parsed.
pub(crate) fn check_depth(source: &str) -> Result<(), Fault> {
    // The number of levels that each open block adds; `{{else if}}` opens one more in its block.
    let mut open: Vec<usize> = Vec::new();
    let mut end = 0;
    for (start, _) in source.match_indices("{{") {
        if start < end {
            continue;
        }
        let fault = |problem: String| {
            let line = source[..start].matches('\n').count() + 1;
            Err(Fault {
                line: Some(line),
                problem,
            })
        };
        let tag = &source[start..];
        let tag = &tag[..tag.find("}}").unwrap_or(tag.len())];
        end = start + tag.len();
        let inside = tag.trim_start_matches(['{', '~', ' ', '\t', '\r', '\n']);
        let chained = inside
            .strip_prefix("else")
            .map(|rest| rest.trim_matches(['~', ' ', '\t', '\r', '\n']));
        match (inside.chars().next(), chained, open.last_mut()) {
            (Some('/'), ..) => drop(open.pop()),
            (Some('#' | '^'), ..) => open.push(1),
            (_, Some(rest), Some(levels)) if !rest.is_empty() => *levels += 1,
            _ => {}
        }
        if open.iter().sum::<usize>() > MAX_DEPTH {
            return fault(format!("more than {MAX_DEPTH} blocks inside each other"));
        }
        if inside.matches(['(', '[', '{']).count() > MAX_BRACKETS {
            return fault(format!("more than {MAX_BRACKETS} brackets in one tag"));
        }
    }
    Ok(())
}

/// Checks that the compiled template `name`, and every other that may include it, includes no partial
/// endlessly, and not too many.
pub(crate) fn check_expansion(name: &str, engine: &Handlebars<'_>) -> Result<(), Fault> {
    let mut expansion = Expansion::of(engine);
    expansion.partial(name, 1)?;
    for other in engine.get_templates().keys() {
        expansion.partial(other, 1).map_err(|fault| Fault {
            line: None,
            problem: format!("with it, {other} cannot be used: {}", fault.problem),
        })?;
    }
    Ok(())
}

/// The numbers of elements that partials render.
struct Expansion<'a> {
    engine: &'a Handlebars<'a>,
    /// The definitions of each inline partial. Which of them applies depends on the place, so all do.
    inline: HashMap<&'a str, Vec<&'a Template>>,
    /// The size of each partial; `None` while it is counted.
    sizes: HashMap<String, Option<u64>>,
}

impl<'a> Expansion<'a> {
    fn of(engine: &'a Handlebars<'a>) -> Self {
        let mut inline: HashMap<&str, Vec<&Template>> = HashMap::new();
        let mut waiting: Vec<&Template> = engine.get_templates().values().collect();
        while let Some(template) = waiting.pop() {
            for element in &template.elements {
                match element {
                    TemplateElement::HelperBlock(block) => waiting.extend(branches(block)),
                    TemplateElement::PartialBlock(partial) => waiting.extend(&partial.template),
                    TemplateElement::DecoratorBlock(decorator) => {
                        waiting.extend(&decorator.template);
                        if let (Some(name), Some(body)) =
                            (inline_name(decorator), &decorator.template)
                        {
                            inline.entry(name).or_default().push(body);
                        }
                    }
                    _ => {}
                }
            }
        }
        Self {
            engine,
            inline,
            sizes: HashMap::new(),
        }
    }

    /// Returns the number of elements that a partial renders.
    fn partial(&mut self, name: &str, line: usize) -> Result<u64, Fault> {
        match self.sizes.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err(Fault {
                    line: Some(line),
                    problem: format!("the partial {name} includes itself"),
                });
            }
            None => {}
        }
        self.sizes.insert(name.to_owned(), None);
        let mut definitions = self.inline.get(name).cloned().unwrap_or_default();
        definitions.extend(self.engine.get_template(name));
        let mut size = 0;
        for template in definitions {
            size = size.max(self.template(template)?);
        }
        self.sizes.insert(name.to_owned(), Some(size));
        Ok(size)
    }

    /// Returns the number of elements that a template renders.
    fn template(&mut self, template: &'a Template) -> Result<u64, Fault> {
        let mut size: u64 = 0;
        for (place, element) in template.elements.iter().enumerate() {
            let line = template.mapping.get(place).map_or(1, |mapping| mapping.0);
            let inside = match element {
                TemplateElement::HelperBlock(block) => {
                    let times = if block.name.as_name() == Some("each") {
                        ITEMS
                    } else {
                        1
                    };
                    let mut inside: u64 = 0;
                    for branch in branches(block) {
                        inside = inside.saturating_add(self.template(branch)?);
                    }
                    inside.saturating_mul(times)
                }
                TemplateElement::PartialExpression(it) | TemplateElement::PartialBlock(it) => {
                    let Some(name) = it.name.as_name() else {
                        return Err(Fault {
                            line: Some(line),
                            problem: "the name of a partial is computed".to_owned(),
                        });
                    };
                    let mut inside = self.partial(name, line)?;
                    if let Some(block) = &it.template {
                        inside = inside.saturating_add(self.template(block)?);
                    }
                    inside
                }
                _ => 0,
            };
            size = size.saturating_add(inside).saturating_add(1);
            if size > MAX_ELEMENTS {
                return Err(Fault {
                    line: Some(line),
                    problem: format!("it may render more than {MAX_ELEMENTS} elements"),
                });
            }
        }
        Ok(size)
    }
}

/// Returns the templates of a block: the one for true and the one for false.
fn branches(block: &HelperTemplate) -> impl Iterator<Item = &Template> {
    block.template.iter().chain(&block.inverse)
}

/// Returns the name of the inline partial that a decorator defines.
fn inline_name(decorator: &DecoratorTemplate) -> Option<&str> {
    match (decorator.name.as_name(), decorator.params.first()) {
        (Some("inline"), Some(Parameter::Literal(name))) => name.as_str(),
        _ => None,
    }
}
