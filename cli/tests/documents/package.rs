//! The modules of one package, read from its sources: their names, their files, what each imports.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::syntax::{self, Mention};

/// A line of one file that uses something another file of the package defines.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
}

/// The module tree of one crate.
pub(crate) struct Package {
    modules: Vec<Module>,
}

/// A module, inline or a file of its own.
#[derive(Default)]
pub(crate) struct Module {
    /// The file, as a path of the workspace.
    pub(crate) file: String,
    /// The folder in which the files of its `mod` declarations are searched.
    folder: String,
    parent: Option<usize>,
    /// Several modules may share a name when `cfg` chooses between them.
    children: BTreeMap<String, Vec<usize>>,
    pub(crate) items: BTreeSet<String>,
    /// Names bound by `use`, each with the path it stands for.
    pub(crate) bindings: Vec<(String, Vec<String>)>,
    pub(crate) globs: Vec<Vec<String>>,
    pub(crate) mentions: Vec<Mention>,
}

/// The target of a path.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Module(usize),
    /// Something defined in this module.
    Item(usize),
}

/// Names that are being looked up, so that a circle of re-exports ends.
type Pending = HashSet<(usize, String)>;

impl Package {
    /// Reads the crate that starts at the file `root`. `source` gives the text of a file.
    pub(crate) fn read(root: &str, source: &dyn Fn(&str) -> Option<String>) -> Package {
        let mut package = Package {
            modules: Vec::new(),
        };
        let (folder, _) = root.rsplit_once('/').unwrap();
        package.read_file(root, folder, None, source);
        package
    }

    /// The files of the crate, `#[cfg(test)]` modules left out.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let files = self.modules.iter().map(|module| module.file.clone());
        files.collect()
    }

    /// The imports between different files, each with the first line that makes it. The root file
    /// declares and re-exports the others, so what it names is left out.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = BTreeMap::new();
        for (index, module) in self.modules.iter().enumerate() {
            for mention in &module.mentions {
                for target in self.resolve(index, &mention.path, &mut Pending::new()) {
                    let to = match target {
                        // A single word of code is a variable or an item, never a module.
                        Target::Module(_) if mention.path.len() == 1 && !mention.is_use => continue,
                        Target::Module(to) | Target::Item(to) => &self.modules[to].file,
                    };
                    if *to != module.file && module.file != self.modules[0].file {
                        imports.entry((&module.file, to)).or_insert(mention.line);
                    }
                }
            }
        }
        let imports = imports.into_iter().map(|((from, to), line)| Import {
            from: from.clone(),
            to: to.clone(),
            line,
        });
        imports.collect()
    }

    fn read_file(
        &mut self,
        file: &str,
        folder: &str,
        parent: Option<usize>,
        source: &dyn Fn(&str) -> Option<String>,
    ) -> usize {
        let text = source(file).unwrap_or_else(|| panic!("no file {file}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| {
            let line = error.span().start().line;
            panic!("{file}:{line}: {error}")
        });
        self.read_items(file, folder, parent, &parsed.items, source)
    }

    fn read_items(
        &mut self,
        file: &str,
        folder: &str,
        parent: Option<usize>,
        items: &[syn::Item],
        source: &dyn Fn(&str) -> Option<String>,
    ) -> usize {
        let index = self.modules.len();
        let mut module = Module {
            file: file.to_owned(),
            folder: folder.to_owned(),
            parent,
            ..Module::default()
        };
        let declared = syntax::read_items(&mut module, items);
        self.modules.push(module);
        for declaration in declared {
            let child = self.read_module(index, declaration, source);
            let name = declaration.ident.to_string();
            let children = &mut self.modules[index].children;
            children.entry(name).or_default().push(child);
        }
        index
    }

    fn read_module(
        &mut self,
        parent: usize,
        declaration: &syn::ItemMod,
        source: &dyn Fn(&str) -> Option<String>,
    ) -> usize {
        let Module { file, folder, .. } = &self.modules[parent];
        let (file, beside) = (file.clone(), folder.clone());
        let folder = format!("{beside}/{}", declaration.ident);
        if let Some((_, items)) = &declaration.content {
            return self.read_items(&file, &folder, Some(parent), items, source);
        }
        if let Some(path) = syntax::path_attribute(&declaration.attrs) {
            let (here, _) = file.rsplit_once('/').unwrap();
            let path = format!("{here}/{path}");
            let (folder, _) = path.rsplit_once('/').unwrap();
            return self.read_file(&path, folder, Some(parent), source);
        }
        let places = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
        let place = places.iter().find(|place| source(place).is_some());
        let place = place.unwrap_or_else(|| panic!("{file} declares {folder}, which has no file"));
        self.read_file(place, &folder, Some(parent), source)
    }

    /// The target of a path written in `module` inside this crate; nothing for another crate's
    /// item.
    fn resolve(&self, module: usize, path: &[String], pending: &mut Pending) -> Vec<Target> {
        let (first, rest) = path.split_first().unwrap();
        let start = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(module)],
            "super" => {
                let parent = self.modules[module].parent;
                parent.map(Target::Module).into_iter().collect()
            }
            name => self.look_up(module, name, pending),
        };
        rest.iter().fold(start, |targets, name| {
            self.step(&targets, name, pending).unwrap_or(targets)
        })
    }

    /// One segment further: nothing where what was reached has no modules below it, such as an enum.
    fn step(&self, targets: &[Target], name: &str, pending: &mut Pending) -> Option<Vec<Target>> {
        let modules: Vec<usize> = targets
            .iter()
            .filter_map(|target| match target {
                Target::Module(module) => Some(*module),
                Target::Item(_) => None,
            })
            .collect();
        if modules.is_empty() {
            return None;
        }
        let found = modules.into_iter().flat_map(|module| {
            if name == "super" {
                let parent = self.modules[module].parent;
                return parent.map(Target::Module).into_iter().collect();
            }
            let found = self.look_up(module, name, pending);
            // Made by a macro or re-exported from another crate: it counts as that module's
            // item.
            let own = || vec![Target::Item(module)];
            if found.is_empty() { own() } else { found }
        });
        Some(found.collect())
    }

    /// The targets of a name in a module: declared there, bound by `use`, or found through a glob.
    fn look_up(&self, module: usize, name: &str, pending: &mut Pending) -> Vec<Target> {
        let place = (module, name.to_owned());
        if !pending.insert(place.clone()) {
            return Vec::new();
        }
        let found = self.look_up_once(&self.modules[module], module, name, pending);
        pending.remove(&place);
        found
    }

    fn look_up_once(
        &self,
        module: &Module,
        index: usize,
        name: &str,
        pending: &mut Pending,
    ) -> Vec<Target> {
        let children = module.children.get(name).into_iter().flatten();
        let mut found: Vec<Target> = children.copied().map(Target::Module).collect();
        if module.items.contains(name) {
            found.push(Target::Item(index));
        }
        for (_, path) in module.bindings.iter().filter(|(bound, _)| bound == name) {
            found.extend(self.resolve(index, path, pending));
        }
        if !found.is_empty() {
            return found;
        }
        for glob in &module.globs {
            for target in self.resolve(index, glob, pending) {
                if let Target::Module(behind) = target {
                    found.extend(self.look_up(behind, name, pending));
                }
            }
        }
        found
    }
}
