//! The book: every page is in its summary, and every link and path leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::markdown::{anchors, documents, links, pages, paths, read, workspace};

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("docs/SUMMARY.md");
    let listed = links(&summary).into_iter();
    let listed: BTreeSet<String> = listed.map(|page| format!("docs/{page}")).collect();
    let written = pages();
    assert!(written.len() > 20, "{written:?}");
    assert_eq!(listed, BTreeSet::from_iter(written));
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let wrong = documents
        .iter()
        .flat_map(|document| wrong_links(document, &read(document)));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn planted_wrong_links_are_found() {
    let repository = repository();
    let text = format!(
        "# A page\n\n[good](../guide.md), [good](#a-page), [good]({repository}/blob/main/README.md)\n\
         [good](../guide.md#step-1-the-project) and [elsewhere](https://www.postgresql.org/docs/).\n\n\
         ```sh\n[no link](nowhere.md)\n```\n\n\
         [no file](../guides.md), [no heading](#another-page), [no heading there](../guide.md#step-0),\n\
         [no file]({repository}/blob/main/READYOU.md), [no heading]({repository}/blob/main/README.md#start)\n"
    );
    assert_eq!(
        wrong_links("docs/guide/planted.md", &text),
        [
            "docs/guide/planted.md: ../guides.md: there is no such file".to_owned(),
            "docs/guide/planted.md: #another-page: there is no such heading".to_owned(),
            "docs/guide/planted.md: ../guide.md#step-0: there is no such heading".to_owned(),
            format!(
                "docs/guide/planted.md: {repository}/blob/main/READYOU.md: there is no such file"
            ),
            format!(
                "docs/guide/planted.md: {repository}/blob/main/README.md#start: there is no such heading"
            ),
        ]
    );
}

/// README is shown by package registries, and the pages of the book lie elsewhere once they are
/// built: a relative link would lead nowhere there.
#[test]
fn links_out_of_the_readme_and_of_the_book_are_absolute() {
    let in_book = |link: &String| !link.contains("://") && !link.starts_with('#');
    let readme: Vec<String> = links(&read("README.md"))
        .into_iter()
        .filter(in_book)
        .collect();
    assert_eq!(readme, [""; 0]);
    for page in pages() {
        for link in links(&read(&page)).into_iter().filter(in_book) {
            let path = resolve(&page, link.split('#').next().unwrap());
            assert!(path.starts_with("docs"), "{page}: {link}");
        }
    }
}

#[test]
fn every_path_named_exists() {
    let mut missing = Vec::new();
    // The guide names files of the reader's application.
    for document in documents()
        .into_iter()
        .filter(|name| name != "docs/guide.md")
    {
        for path in paths(&read(&document)) {
            let folder = Path::new(&document).parent().unwrap();
            let places = [Path::new(""), Path::new("templates"), folder];
            let is_there = |place: &Path| workspace().join(place).join(&path).exists();
            if !places.into_iter().any(is_there) {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn front_pages_are_short() {
    for (page, kilobytes) in [("README.md", 8), ("docs/architecture.md", 16)] {
        let size = read(page).len();
        assert!(size <= kilobytes * 1024, "{page} has {size} bytes");
    }
}

/// The address of the repository, as the manifest names it.
fn repository() -> String {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let repository = &manifest["workspace"]["package"]["repository"];
    repository.as_str().unwrap().to_owned()
}

/// The links of a document that lead nowhere, each with the reason.
fn wrong_links(document: &str, text: &str) -> Vec<String> {
    let repository = repository();
    let wrong = links(text).into_iter().filter_map(|link| {
        let reason = follow(document, text, &link, &repository).err()?;
        Some(format!("{document}: {link}: {reason}"))
    });
    wrong.collect()
}

/// Checks that a link leads to a file of the workspace, and to a heading in it; one that leads to
/// another host is not followed.
fn follow(document: &str, text: &str, link: &str, repository: &str) -> Result<(), String> {
    let (address, anchor) = match link.split_once('#') {
        Some((address, anchor)) => (address, Some(anchor)),
        None => (link, None),
    };
    let path = match address.strip_prefix(repository) {
        Some("") => PathBuf::from("README.md"),
        Some(rest) => {
            let places = ["/blob/main/", "/tree/main/", "/raw/main/"];
            let path = places.iter().find_map(|place| rest.strip_prefix(place));
            match path {
                Some(path) => PathBuf::from(path),
                // A page of the repository's host, such as the form to report a vulnerability.
                None => return Ok(()),
            }
        }
        None if address.contains("://") => return Ok(()),
        None if address.is_empty() => {
            return lead_to_heading(text, anchor.unwrap_or_default());
        }
        None => resolve(document, address),
    };
    if !workspace().join(&path).exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else {
        return Ok(());
    };
    let text = fs::read_to_string(workspace().join(&path)).map_err(|error| error.to_string())?;
    lead_to_heading(&text, anchor)
}

fn lead_to_heading(text: &str, anchor: &str) -> Result<(), String> {
    if anchors(text).iter().any(|heading| heading == anchor) {
        Ok(())
    } else {
        Err("there is no such heading".to_owned())
    }
}

/// A path relative to a document, from the folder of the workspace.
fn resolve(document: &str, path: &str) -> PathBuf {
    let mut resolved = Path::new(document).parent().unwrap().to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            component => resolved.push(component),
        }
    }
    resolved
}
