//! The public items of the library: each operation has an example.

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, ImplItemFn, ItemFn, Lit, Meta, Signature, Visibility};

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
        if !matches!(visibility, Visibility::Public(_)) || signature.asyncness.is_none() {
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
