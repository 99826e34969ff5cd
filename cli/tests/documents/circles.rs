//! Circles among the files of a package.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use crate::package::Import;

/// Imports between two rooms of one folder. A room is a file with the folder of the same name.
pub(crate) type Rooms<'a> = BTreeMap<(String, String), Vec<&'a Import>>;

/// The imports, as imports between rooms.
///
/// Two files of different rooms count as their rooms in the folder where their ways part:
/// `queue/store.rs` that imports `mailer/config.rs` is `queue` that imports `mailer`. So a noun that is
/// split over a file and its folder counts as one from outside, and inside the folder its parts must
/// not form a circle either. A file and the folder below it may use each other, because they are one
/// noun: the file holds the type, the folder its operations, and each has to name the other.
pub(crate) fn rooms<'a>(imports: impl IntoIterator<Item = &'a Import>) -> Rooms<'a> {
    let mut rooms = Rooms::new();
    for import in imports {
        if let Some(pair) = part(&import.from, &import.to) {
            rooms.entry(pair).or_default().push(import);
        }
    }
    rooms
}

/// Rooms that import each other, directly or through others, each circle in the order of names.
pub(crate) fn circles(rooms: &Rooms) -> BTreeSet<Vec<String>> {
    let mut graph = DiGraph::new();
    let mut nodes = BTreeMap::new();
    for (from, to) in rooms.keys() {
        let [from, to] =
            [from, to].map(|name| *nodes.entry(name).or_insert_with(|| graph.add_node(name)));
        graph.add_edge(from, to, ());
    }
    let circles = tarjan_scc(&graph).into_iter().filter(|scc| scc.len() > 1);
    circles
        .map(|circle| {
            let names = circle.into_iter().map(|node| graph[node].clone());
            BTreeSet::from_iter(names).into_iter().collect()
        })
        .collect()
}

/// True if one room imports another and both are part of the same circle.
pub(crate) fn closes_a_circle(rooms: &Rooms, from: &str, to: &str) -> bool {
    let is_in = |circle: &Vec<String>, room: &str| circle.iter().any(|name| name == room);
    rooms.contains_key(&(from.to_owned(), to.to_owned()))
        && circles(rooms)
            .iter()
            .any(|circle| is_in(circle, from) && is_in(circle, to))
}

/// The imports that make up a circle.
pub(crate) fn within<'a>(rooms: &Rooms<'a>, circle: &[String]) -> Vec<&'a Import> {
    let within = rooms
        .iter()
        .filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
    within.flat_map(|(_, imports)| imports).copied().collect()
}

/// The rooms of the deepest folder that holds both files, unless one file belongs to the other's
/// folder.
fn part(from: &str, to: &str) -> Option<(String, String)> {
    let [from, to] = [from, to].map(|file| {
        let file = file.strip_suffix(".rs").unwrap();
        file.strip_suffix("/mod").unwrap_or(file).split('/')
    });
    let [from, to] = [from.collect::<Vec<_>>(), to.collect()];
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    (same < from.len().min(to.len())).then(|| (from[..=same].join("/"), to[..=same].join("/")))
}
