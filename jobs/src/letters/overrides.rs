//! A host's own templates and phrases that replace built-in ones.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    bounds::{self, MAX_SIZE},
    fault::Fault,
    languages::Languages,
    lint,
    templates::{Templates, built_in_source},
};

/// A file of the override folder that is not used, or only in part.
///
/// Letters are still sent, with the built-in file in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// The path below the override folder, with `/` between its parts.
    pub file: String,
    /// The line, if it is known.
    pub line: Option<usize>,
    /// The problem, with the variable or phrase concerned.
    pub problem: String,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.problem),
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

/// The error of an override folder that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("the folder of templates {folder} cannot be read: {problem}")]
#[non_exhaustive]
pub struct FolderError {
    /// The folder as configured.
    pub folder: PathBuf,
    /// The error of the file system.
    pub problem: io::Error,
}

/// The depth to which the folder is read; the templates are at most two folders deep.
const DEPTH: usize = 4;

/// Reads the folder and uses each file that passes the checks; returns an alert for each that does
/// not.
///
/// Locales come first, because the templates are tried in every language.
pub(crate) fn apply(
    folder: &Path,
    templates: &mut Templates,
    languages: &mut Languages,
) -> Result<Vec<Alert>, FolderError> {
    let mut files = BTreeMap::new();
    read(folder, "", DEPTH, &mut files).map_err(|problem| FolderError {
        folder: folder.to_owned(),
        problem,
    })?;
    let mut alerts = Vec::new();
    let mut sources = Vec::new();
    for (file, source) in files {
        let tag = file
            .strip_prefix("locales/")
            .and_then(|name| name.strip_suffix(".toml"));
        match source {
            Err(error) => alerts.push(alert(&file, error.to_string())),
            Ok(source) if tag.is_some() => {
                let problems = languages.take_over(tag.unwrap_or_default(), &source);
                alerts.extend(problems.into_iter().map(|fault| faulty(&file, fault)));
            }
            Ok(source) if built_in_source(&file).is_some() => sources.push((file, source)),
            Ok(_) => alerts.push(alert(&file, "no letter has a file of this name".to_owned())),
        }
    }
    for (file, source) in sources {
        if let Err(fault) = take_over(&file, &source, templates, languages) {
            alerts.push(faulty(&file, fault));
        }
    }
    Ok(alerts)
}

fn take_over(
    file: &str,
    source: &str,
    templates: &mut Templates,
    languages: &Languages,
) -> Result<(), Fault> {
    bounds::check_depth(source)?;
    let mut tried = templates.clone();
    tried.set(file, source)?;
    tried.check_expansion(file)?;
    lint::check(file, &tried, languages.iter())?;
    *templates = tried;
    Ok(())
}

/// Collects the files below a folder. Names with a leading dot are ignored (editors, version
/// control, and the `..data` of a mounted Kubernetes volume).
fn read(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, io::Result<String>>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let (path, file) = (entry.path(), format!("{prefix}{name}"));
        if !path.is_dir() || depth == 0 {
            files.insert(file, read_file(&path));
        } else if let Err(error) = read(&path, &format!("{file}/"), depth - 1, files) {
            files.insert(file, Err(error));
        }
    }
    Ok(())
}

/// Reads a regular file of a bounded size. Another would be read without end, as a pipe would.
fn read_file(path: &Path) -> io::Result<String> {
    let refused = |problem: String| Err(io::Error::other(problem));
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return refused("it is no regular file".to_owned());
    }
    if metadata.len() > MAX_SIZE {
        return refused(format!("it is longer than {MAX_SIZE} bytes"));
    }
    fs::read_to_string(path)
}

fn alert(file: &str, problem: String) -> Alert {
    Alert {
        file: file.to_owned(),
        line: None,
        problem,
    }
}

fn faulty(file: &str, fault: Fault) -> Alert {
    Alert {
        file: file.to_owned(),
        line: fault.line,
        problem: fault.problem,
    }
}
