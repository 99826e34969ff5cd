//! The page of variables against the command.

use guestlist_jobs::config::variables;

use crate::command::guestlist;
use crate::generated::{assert_generated, table};

#[test]
fn the_table_of_variables_is_the_commands_own() {
    let (_, json) = guestlist(&["variables", "--json"]);
    let rows: Vec<Vec<String>> = json.lines().map(row).collect();
    assert_eq!(rows.len(), variables::ALL.len());
    let table = table(&["Variable", "Default", "Meaning"], rows);
    assert_generated("docs/reference/variables.md", "variables", &table);
}

fn row(json: &str) -> Vec<String> {
    let variable: serde_json::Value = serde_json::from_str(json).unwrap();
    let text = |key: &str| variable[key].as_str().unwrap();
    let default = variable["default"]
        .as_str()
        .map_or("–".to_owned(), |default| format!("`{default}`"));
    let meaning = format!("{} Takes {}.", text("meaning"), text("expected"));
    // Unescaped, an address in angle brackets would become a link.
    let meaning = meaning.replace('<', "\\<");
    vec![format!("`{}`", text("variable")), default, meaning]
}
