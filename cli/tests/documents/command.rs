//! The page of commands, and every command named in a document, against the command's own help.

use std::process::Command;

use crate::generated::{assert_generated, table};
use crate::markdown::{pages, read, spans};

/// Runs the command as its reader would, in an empty environment.
pub(crate) fn guestlist(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_guestlist"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}

/// A command and its help.
struct Entry {
    name: String,
    summary: String,
    help: String,
}

/// The help of the command named by these words.
fn help(words: &[&str]) -> Option<String> {
    let words = [&["help"], words].concat();
    let (ended_well, text) = guestlist(&words);
    ended_well.then_some(text)
}

/// The names of the commands that a help lists.
fn listed(help: &str) -> Vec<&str> {
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect()
}

/// Every command, each followed by its own commands.
fn commands() -> Vec<Entry> {
    let mut commands = Vec::new();
    add_commands(&mut commands, &[]);
    assert!(commands.len() > 30, "{}", commands.len());
    commands
}

fn add_commands(commands: &mut Vec<Entry>, parent: &[&str]) {
    let parent_help = help(parent).unwrap();
    for name in listed(&parent_help) {
        let words = [parent, &[name]].concat();
        let help = help(&words).unwrap();
        let summary = help.split("\n\n").next().unwrap().replace('\n', " ");
        let summary = summary.trim_end_matches('.').to_owned();
        let name = words.join(" ");
        commands.push(Entry {
            name,
            summary,
            help,
        });
        add_commands(commands, &words);
    }
}

#[test]
fn the_page_of_commands_is_their_help() {
    assert_generated("docs/reference/commands.md", "statuses", &statuses());
    let commands = commands();
    let rows = commands.iter().map(|command| {
        let anchor = command.name.replace(' ', "-");
        let name = format!("[`guestlist {}`](#guestlist-{anchor})", command.name);
        vec![name, command.summary.clone()]
    });
    let table = table(&["Command", "What it does"], rows);
    assert_generated("docs/reference/commands.md", "commands", &table);

    let help: String = commands
        .iter()
        .map(|command| {
            let lines = command.help.trim_end().lines().map(str::trim_end);
            let help: Vec<&str> = lines.collect();
            format!(
                "### guestlist {}\n\n```text\n{}\n```\n\n",
                command.name,
                help.join("\n")
            )
        })
        .collect();
    assert_generated("docs/reference/commands.md", "help", &help);
}

/// The exit statuses, as the help of the command names them.
fn statuses() -> String {
    let (_, help) = guestlist(&["--help"]);
    let (_, statuses) = help.split_once("Exit status: ").unwrap();
    let statuses = statuses.lines().next().unwrap().trim_end_matches('.');
    let rows = statuses.split(", ").map(|status| {
        let (number, meaning) = status.split_once(' ').unwrap();
        vec![format!("`{number}`"), meaning.to_owned()]
    });
    table(&["Exit status", "Meaning"], rows)
}

#[test]
fn every_command_and_option_named_exists() {
    let mut named = 0;
    for page in pages() {
        let document = read(&page);
        let blocks = document.split("\n```sh\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap().lines());
        let mut commands: Vec<String> = lines.map(str::to_owned).collect();
        commands.extend(spans(&document));
        commands.retain(|command| command.starts_with("guestlist "));
        named += commands.len();
        for command in commands {
            assert_exists(&page, &command);
        }
    }
    assert!(named > 60, "{named}");
}

/// A command's name is two words where the first has commands of its own.
fn assert_exists(page: &str, command: &str) {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let mut path = Vec::new();
    let mut text = String::new();
    for name in words.iter().copied().take_while(is_name) {
        path.push(name);
        text = help(&path).unwrap_or_else(|| panic!("{page}: {command} is no command"));
        if listed(&text).is_empty() {
            break;
        }
    }
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(text.contains(option), "{page}: {command} has no {option}");
    }
}
