//! The syntax of one file: names it defines, names it binds, and every path in it.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, Meta, UseTree};

use crate::package::Module;

/// A path in the code, such as `crate::queue::Lane`.
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) is_use: bool,
}

/// Adds to `module` the names and paths of its items. Returns the modules they declare, except
/// those of `#[cfg(test)]`.
pub(crate) fn read_items<'a>(module: &mut Module, items: &'a [Item]) -> Vec<&'a ItemMod> {
    let mut declared = Vec::new();
    for item in items.iter().filter(|item| !is_test(attributes(item))) {
        match item {
            Item::Mod(declaration) => declared.push(declaration),
            _ => {
                module.items.extend(defined(item).map(Ident::to_string));
                Paths { module }.visit_item(item);
            }
        }
    }
    declared
}

/// The file named by `#[path = "…"]`.
pub(crate) fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("path"))?;
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    match &meta.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(path),
            ..
        }) => Some(path.value()),
        _ => None,
    }
}

/// Collects the paths below an item.
struct Paths<'a> {
    module: &'a mut Module,
}

impl Paths<'_> {
    fn mention(&mut self, path: Vec<String>, span: Span, is_use: bool) {
        let line = span.start().line;
        self.module.mentions.push(Mention { path, line, is_use });
    }

    fn bind(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |ident: &Ident| [prefix, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.bind(&with(&path.ident), &path.tree),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bind(prefix, tree);
                }
            }
            UseTree::Glob(glob) => {
                self.mention(prefix.to_vec(), glob.star_token.spans[0], true);
                self.module.globs.push(prefix.to_vec());
            }
            UseTree::Name(name) => self.bind_as(prefix, &name.ident, None),
            UseTree::Rename(rename) => self.bind_as(prefix, &rename.ident, Some(&rename.rename)),
        }
    }

    /// Binds one name. `self` at the end of a group stands for the path before it.
    fn bind_as(&mut self, prefix: &[String], ident: &Ident, rename: Option<&Ident>) {
        let mut path = prefix.to_vec();
        if ident != "self" || prefix.is_empty() {
            path.push(ident.to_string());
        }
        let name = rename.map_or_else(|| path[path.len() - 1].clone(), Ident::to_string);
        self.mention(path.clone(), ident.span(), true);
        if name != "_" {
            self.module.bindings.push((name, path));
        }
    }

    /// Finds the paths in the tokens of a macro, which have no syntax of their own.
    fn tokens(&mut self, prefix: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match first {
                TokenTree::Group(group) => self.tokens(prefix, group.stream()),
                TokenTree::Ident(ident) => {
                    let mut path = prefix.to_vec();
                    path.push(ident.to_string());
                    while let Some((next, after)) = behind_colons(rest) {
                        match next {
                            TokenTree::Ident(next) => path.push(next.to_string()),
                            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                                self.tokens(&path, group.stream());
                            }
                            _ => break,
                        }
                        rest = after;
                    }
                    self.mention(path, ident.span(), false);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.bind(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| &segment.ident);
        let names = names.map(Ident::to_string).collect();
        self.mention(names, path.segments[0].ident.span(), false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        visit::visit_macro(self, invoked);
        self.tokens(&[], invoked.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(&[], list.tokens.clone());
        }
    }

    /// `pub(in crate::x)` names a scope and imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// The token after `::`, and the rest.
fn behind_colons(tokens: &[TokenTree]) -> Option<(&TokenTree, &[TokenTree])> {
    match tokens {
        [
            TokenTree::Punct(first),
            TokenTree::Punct(second),
            next,
            rest @ ..,
        ] if first.as_char() == ':' && second.as_char() == ':' => Some((next, rest)),
        _ => None,
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test")
        }
        _ => false,
    })
}

/// The name an item defines in its module.
fn defined(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::TraitAlias(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
