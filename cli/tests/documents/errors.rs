//! The page of errors against `guestlist::Error`.

use std::collections::BTreeMap;

use syn::{Arm, Attribute, Expr, Fields, ImplItem, ImplItemFn, Item, Lit, Meta, Pat, Stmt};

use crate::generated::{assert_generated, table};
use crate::markdown::read;

#[test]
fn the_page_of_errors_is_the_librarys_own() {
    let file = syn::parse_file(&read("src/error.rs")).unwrap();
    let words = by_variant(&file, "code");
    let faults = by_variant(&file, "fault");
    let variants = file.items.iter().find_map(|item| match item {
        Item::Enum(found) if found.ident == "Error" => Some(&found.variants),
        _ => None,
    });
    let rows = variants.unwrap().iter().map(|variant| {
        let name = variant.ident.to_string();
        let (fault, status) = match faults[&name].as_str() {
            "Rule" => ("rule", 3),
            "Input" => ("input", 2),
            "Infrastructure" => ("infrastructure", 1),
            other => panic!("no exit status for Fault::{other}"),
        };
        let fields: Vec<String> = match &variant.fields {
            Fields::Named(fields) => fields
                .named
                .iter()
                .map(|field| format!("`{}`", field.ident.as_ref().unwrap()))
                .collect(),
            Fields::Unnamed(_) | Fields::Unit => Vec::new(),
        };
        let fields = if fields.is_empty() {
            "–".to_owned()
        } else {
            fields.join(", ")
        };
        vec![
            format!("`{}`", words[&name]),
            format!("`{name}`"),
            fields,
            fault.to_owned(),
            status.to_string(),
            documentation(&variant.attrs),
        ]
    });
    let head = ["Word", "Variant", "Data", "Fault", "Exit status", "Meaning"];
    assert_generated("docs/reference/errors.md", "errors", &table(&head, rows));
}

/// The answer of a method of `Error` that is one `match`, for each variant: the text of a literal or
/// the last name of a path.
fn by_variant(file: &syn::File, method: &str) -> BTreeMap<String, String> {
    let methods = file.items.iter().flat_map(|item| match item {
        Item::Impl(found) if found.trait_.is_none() => found.items.as_slice(),
        _ => &[],
    });
    let body = methods.filter_map(|item| match item {
        ImplItem::Fn(found) if found.sig.ident == method => Some(arms(found)),
        _ => None,
    });
    let mut answers = BTreeMap::new();
    for arm in body.flatten() {
        let answer = match &*arm.body {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => text.value(),
                _ => panic!("{method} answers no text"),
            },
            Expr::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
            _ => panic!("{method} answers neither a text nor a path"),
        };
        for variant in variants(&arm.pat) {
            answers.insert(variant, answer.clone());
        }
    }
    answers
}

fn arms(method: &ImplItemFn) -> &[Arm] {
    match method.block.stmts.as_slice() {
        [Stmt::Expr(Expr::Match(found), None)] => &found.arms,
        _ => panic!("{} is not one match", method.sig.ident),
    }
}

fn variants(pattern: &Pat) -> Vec<String> {
    let path = match pattern {
        Pat::Or(several) => return several.cases.iter().flat_map(variants).collect(),
        Pat::Path(found) => &found.path,
        Pat::Struct(found) => &found.path,
        Pat::TupleStruct(found) => &found.path,
        _ => panic!("a pattern that names no variant"),
    };
    vec![path.segments.last().unwrap().ident.to_string()]
}

/// The doc comment as one line, its links to items as code.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(found) if found.path.is_ident("doc") => match &found.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value().trim().to_owned()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    let text = lines.collect::<Vec<_>>().join(" ");
    text.replace("[`", "`").replace("`]", "`")
}
