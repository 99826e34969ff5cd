//! The public items of the packages that hosts link: each operation of the library has an example,
//! and types that may grow are `#[non_exhaustive]`.

use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprLit, Field, ImplItemFn, ItemEnum, ItemFn, ItemStruct, Lit, Meta,
    Signature, Visibility,
};

use crate::markdown::{files, read, relative};

#[test]
fn every_public_operation_has_an_example() {
    let mut found = Operations::default();
    for path in files("src", "rs") {
        let file = relative(&path);
        found.read(&file, &read(&file));
    }
    assert!(found.count > 60, "{} operations", found.count);
    assert!(
        found.without_example.is_empty(),
        "operations without an example in their documentation: {:#?}",
        found.without_example
    );
}

#[test]
fn missing_example_is_found() {
    let mut found = Operations::default();
    found.read(
        "src/planted.rs",
        "impl Guestlist {
             /// Reads.
             pub async fn bare(&self) {}
             /// Reads.
             ///
             /// ```
             /// guestlist.shown();
             /// ```
             pub async fn shown(&self) {}
             pub(crate) async fn internal(&self) {}
         }
         /// Leases.
         pub async fn lease() {}
         async fn private() {}",
    );
    assert_eq!(
        found.without_example,
        ["src/planted.rs: bare", "src/planted.rs: lease"]
    );
    assert_eq!(found.count, 3);
}

/// A field or a variant that a later version or another feature adds must not break a host.
#[test]
fn types_that_may_grow_are_non_exhaustive() {
    for (folder, least) in [("src", 20), ("jobs/src", 30), ("testkit/src", 4)] {
        let mut found = Exhaustive::default();
        for path in files(folder, "rs") {
            found.visit_file(&syn::parse_file(&read(&relative(&path))).unwrap());
        }
        assert!(found.count >= least, "{} types in {folder}", found.count);
        assert_eq!(found.names, [""; 0], "{folder}");
    }
}

#[test]
fn exhaustive_type_is_found() {
    let planted = syn::parse_file(
        "pub struct Open { pub field: u32 }
         #[non_exhaustive]
         pub struct Closed { pub field: u32 }
         pub struct Opaque { field: u32 }
         pub struct Wrapped(u32);
         pub enum Driver { Always, #[cfg(feature = \"sqlite\")] Sometimes }
         #[non_exhaustive]
         pub enum Marked { #[cfg(feature = \"sqlite\")] Sometimes }
         pub enum Plain { One, Two }
         #[derive(Debug, thiserror::Error)]
         pub enum Failure { #[error(\"it failed\")] Failed }
         pub(crate) struct Internal { pub(crate) field: u32 }",
    );
    let mut found = Exhaustive::default();
    found.visit_file(&planted.unwrap());
    assert_eq!(found.names, ["Open", "Driver", "Failure"]);
    assert_eq!(found.count, 5);
}

/// Public structs with a public field, public enums with a variant of a feature and public enums of
/// errors, and the names of those that are exhaustive.
#[derive(Default)]
struct Exhaustive {
    count: usize,
    names: Vec<String>,
}

impl Exhaustive {
    fn note(&mut self, name: &syn::Ident, attributes: &[Attribute]) {
        self.count += 1;
        if !has(attributes, "non_exhaustive") {
            self.names.push(name.to_string());
        }
    }
}

impl Visit<'_> for Exhaustive {
    fn visit_item_struct(&mut self, item: &ItemStruct) {
        let is_open = |field: &Field| is_public(&field.vis);
        if is_public(&item.vis) && item.fields.iter().any(is_open) {
            self.note(&item.ident, &item.attrs);
        }
    }

    fn visit_item_enum(&mut self, item: &ItemEnum) {
        let of_feature = |variant: &syn::Variant| has(&variant.attrs, "cfg");
        let may_grow = item.variants.iter().any(of_feature) || is_error(&item.attrs);
        if is_public(&item.vis) && may_grow {
            self.note(&item.ident, &item.attrs);
        }
    }
}

/// Returns `true` for a type that derives `thiserror::Error`.
fn is_error(attributes: &[Attribute]) -> bool {
    let mut found = false;
    for derive in attributes {
        if derive.path().is_ident("derive") {
            let derived = derive.parse_nested_meta(|meta| {
                let last = meta.path.segments.last();
                found |= last.is_some_and(|name| name.ident == "Error");
                Ok(())
            });
            derived.expect("a list of traits");
        }
    }
    found
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    let is_it = |attribute: &Attribute| attribute.path().is_ident(name);
    attributes.iter().any(is_it)
}

/// The functions that are `pub async`.
#[derive(Default)]
struct Operations {
    file: String,
    count: usize,
    without_example: Vec<String>,
}

impl Operations {
    fn read(&mut self, file: &str, text: &str) {
        file.clone_into(&mut self.file);
        let parsed = syn::parse_file(text).unwrap_or_else(|problem| panic!("{file}: {problem}"));
        self.visit_file(&parsed);
    }

    fn note(&mut self, visibility: &Visibility, signature: &Signature, attributes: &[Attribute]) {
        if !is_public(visibility) || signature.asyncness.is_none() {
            return;
        }
        self.count += 1;
        if !attributes.iter().any(opens_code) {
            let missing = format!("{}: {}", self.file, signature.ident);
            self.without_example.push(missing);
        }
    }
}

impl Visit<'_> for Operations {
    fn visit_item_fn(&mut self, function: &ItemFn) {
        self.note(&function.vis, &function.sig, &function.attrs);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &ImplItemFn) {
        self.note(&function.vis, &function.sig, &function.attrs);
        visit::visit_impl_item_fn(self, function);
    }
}

/// Returns `true` for a line of documentation that opens a block of code.
fn opens_code(attribute: &Attribute) -> bool {
    let Meta::NameValue(meta) = &attribute.meta else {
        return false;
    };
    let Expr::Lit(ExprLit {
        lit: Lit::Str(line),
        ..
    }) = &meta.value
    else {
        return false;
    };
    meta.path.is_ident("doc") && line.value().trim().starts_with("```")
}
