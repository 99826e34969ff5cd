//! Fields of files in /proc.

use std::fs;

/// Returns the value of the first `NAME: VALUE` line of a file in /proc.
pub(crate) fn proc_field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
