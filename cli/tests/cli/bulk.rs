//! Inviting the addresses of a file.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};

use serde_json::{Value as Json, json};

use crate::support::{CommandLine, Ran, text};

fn people(count: usize) -> String {
    (0..count).fold("email,role,locale\n".to_owned(), |file, n| {
        file + &format!("p{n}@acme.example,agent,en\n")
    })
}

fn outcomes(rows: &[Json]) -> Vec<(u64, String)> {
    rows.iter()
        .map(|row| (row["line"].as_u64().unwrap(), text(&row["outcome"])))
        .collect()
}

fn bulk(acme: &str) -> String {
    format!("invite --file people.csv --organization {acme} --as ann --json")
}

stories! {
    fn second_run_invites_nobody_twice(command_line) {
        let acme = command_line.organization();
        let mut file = b"locale,Email , role,note\r\n".to_vec();
        for n in 0..10 {
            file.extend(format!("de,good{n}@acme.example,agent,x\r\n").bytes());
        }
        let bad: [(&[u8], &str, Option<&str>, &str); 9] = [
            (b"en,nonsense,agent,x", "invalid", Some("email"), "invalid_email_address"),
            (b"en,\"a@b.co\nb@b.co\",agent,x", "invalid", Some("email"), "invalid_email_address"),
            (b"en,bad1@acme.example,King!,x", "invalid", Some("role"), "invalid_role"),
            (b"en,bad2@acme.example,,x", "invalid", Some("role"), "invalid_role"),
            (b"en_US,bad3@acme.example,agent,x", "invalid", Some("locale"), "invalid_locale"),
            (b"en,bad4@acme.example,agent", "invalid", None, "invalid_row"),
            (b"en,b\xffd@acme.example,agent,x", "invalid", Some("email"), "not_utf8"),
            (b"en,bad5@acme.example,king,x", "refused", None, "unknown_role"),
            (b"en,ANN@acme.example,agent,x", "already_member", None, "already_member"),
        ];
        for (row, ..) in bad {
            file.extend(row);
            file.extend(b"\r\n");
        }
        file.extend(b"de,Good3@acme.example,agent,x\r\n");
        command_line.write("people.csv", &file);

        let untouched = command_line.run(&format!("{} --dry-run", bulk(&acme))).ended(3);
        assert!(command_line.all(&format!("invitations --organization {acme}")).is_empty());
        assert!(command_line.all("jobs").is_empty());

        let ran = command_line.run(&bulk(&acme)).ended(3);
        let rows = ran.json();
        assert_eq!(outcomes(&rows), outcomes(&untouched.json()));
        for (n, row) in rows[..10].iter().enumerate() {
            assert_eq!((&row["outcome"], &row["line"]), (&json!("invited"), &json!(n + 2)));
        }
        let lines = [12, 13, 15, 16, 17, 18, 19, 20, 21];
        for ((row, line), (_, outcome, column, word)) in rows[10..19].iter().zip(lines).zip(bad) {
            assert_eq!((&row["line"], &row["outcome"]), (&json!(line), &json!(outcome)), "{row}");
            assert_eq!(row.get("column").and_then(Json::as_str), column, "{row}");
            let side = if outcome == "invalid" { "invalid" } else { "refused" };
            assert_eq!(row[side], word, "{row}");
        }
        assert_eq!((&rows[19]["line"], &rows[19]["outcome"]), (&json!(22), &json!("already_pending")));
        assert_eq!(rows[19]["invitation"], rows[3]["invitation"]);
        let summary = "20 rows: 10 invited, 1 already pending, 1 already members, 1 refused, 7 invalid.";
        assert!(ran.stderr.contains(summary), "{}", ran.stderr);

        let again = command_line.run(&bulk(&acme)).ended(3).json();
        assert!(again[..10].iter().all(|row| row["outcome"] == "already_pending"), "{again:?}");
        let listed = command_line.all(&format!("invitations --organization {acme}"));
        assert_eq!((listed.len(), &listed[0]["locale"]), (10, &json!("de")));
    }

    fn killed_run_is_resumed(command_line) {
        let command_line = command_line.with("GUESTLIST_LIMITS", "none");
        let acme = command_line.organization();
        let (mut child, stdin) = start(&command_line, &acme, 1200);
        let mut outcomes = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(outcomes.by_ref().take(1000).count(), 1000);
        child.kill().unwrap();
        child.wait().unwrap();
        drop(stdin);
        assert_eq!(command_line.one("jobs")["count"], 1000);

        command_line.write("people.csv", people(1200));
        let again = command_line.run(&bulk(&acme)).ended(3).json();
        assert!(again[..1000].iter().all(|row| row["outcome"] == "already_pending"));
        assert!(again[1000..].iter().all(|row| row["outcome"] == "invited"));
        assert_eq!(command_line.one("jobs")["count"], 1200);
    }

    fn failure_midway_reports_the_progress(command_line) {
        let acme = command_line.organization();
        let command_line = command_line.with("GUESTLIST_LIMITS", "none");
        let (mut child, mut stdin) = start(&command_line, &acme, 700);
        let mut outcomes = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(outcomes.by_ref().take(500).count(), 500);
        command_line.sql("ALTER TABLE guestlist_outbox RENAME TO away");
        stdin.write_all(b"last@acme.example,agent,en\n").unwrap();
        drop(stdin);
        let last: Json = serde_json::from_str(&outcomes.next().unwrap().unwrap()).unwrap();
        assert_eq!((&last["error"], &last["rows"], &last["invited"]), (&json!("database"), &json!(500), &json!(500)));
        let ran = Ran::of(child.wait_with_output().unwrap()).ended(1);
        assert!(ran.stderr.contains("It is safe to run the same command again"), "{ran:?}");
        command_line.sql("ALTER TABLE away RENAME TO guestlist_outbox");
        assert_eq!(command_line.all(&format!("invitations --organization {acme}")).len(), 500);
    }
}

/// A bulk invite that has read `rows` rows from a stdin that stays open.
fn start(command_line: &CommandLine, acme: &str, rows: usize) -> (std::process::Child, ChildStdin) {
    let line = format!("invite --file - --organization {acme} --as ann --json");
    let mut child = command_line
        .command(&line)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(people(rows).as_bytes()).unwrap();
    (child, stdin)
}

#[test]
fn file_with_twenty_thousand_rows_is_invited() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_LIMITS", "none");
    let acme = command_line.organization();
    command_line.write("people.csv", people(20_000));
    let ran = command_line.run(&bulk(&acme)).done();
    assert_eq!(ran.stdout.lines().count(), 20_000);
    assert_eq!(command_line.one("jobs")["count"], 20_000);
}

#[test]
fn missing_columns_stop_before_any_write() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    for (file, says) in [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        (
            "email;role\na@acme.example;agent\n",
            "separated by semicolons",
        ),
        ("email\trole\na@acme.example\tagent\n", "separated by tabs"),
        ("PK\u{3}\u{4}\0\0\0email,role\n", "no text in UTF-8"),
        (
            "email,\"role\na@acme.example,agent\n",
            "a quote (\") is opened and never closed",
        ),
        (
            "mail,role\na@acme.example,agent\n",
            "no column email; it has: mail, role",
        ),
        ("email,locale\na@acme.example,en\n", "no column role"),
        (
            "email,role,EMAIL\na@acme.example,agent,b@acme.example\n",
            "column email twice",
        ),
    ] {
        command_line.write("people.csv", file);
        let ran = command_line.run(&bulk(&acme)).ended(2).object();
        assert_eq!(
            (&ran["invalid"], &ran["line"]),
            (&json!("header"), &json!(1))
        );
        assert!(text(&ran["message"]).contains(says), "{ran}");
    }
    assert!(
        command_line
            .all(&format!("invitations --organization {acme}"))
            .is_empty()
    );
}

#[test]
fn file_in_utf16_is_refused_with_a_reason() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    let utf16: Vec<u8> = "\u{feff}email,role\na@acme.example,agent\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    command_line.write("people.csv", utf16);
    let ran = command_line.run(&bulk(&acme)).ended(2).object();
    assert!(text(&ran["message"]).contains("no text in UTF-8"), "{ran}");
}

#[test]
fn unclosed_quote_is_reported_with_its_line() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    for end in ["", "\n", "\n\n"] {
        let file = format!(
            "email,role,note\n\na@acme.example,agent,\"two\nlines\"\n\
             b@acme.example,\"agent,x\nc@acme.example,agent,y{end}"
        );
        command_line.write("people.csv", file);
        let rows = command_line
            .run(&format!("{} --dry-run", bulk(&acme)))
            .ended(2)
            .json();
        assert_eq!(
            outcomes(&rows),
            [(3, "invited".to_owned()), (5, "invalid".to_owned())]
        );
        assert_eq!(rows[1]["invalid"], "unclosed_quote");
        assert_eq!(rows[1]["email"], "b@acme.example");
    }
    let closed = "email,role,note\na@acme.example,agent,\"ends with a break\n\"";
    command_line.write("people.csv", closed);
    let rows = command_line.run(&bulk(&acme)).done().json();
    assert_eq!(outcomes(&rows), [(2, "invited".to_owned())]);
}

#[test]
fn options_supply_missing_role_and_locale() {
    let command_line = CommandLine::on_sqlite();
    let acme = command_line.organization();
    command_line.write(
        "people.csv",
        "\u{feff}email,role\n\na@acme.example,\n\nb@acme.example,admin\n",
    );
    let ran = command_line
        .run(&format!("{} --role agent --locale pt-BR", bulk(&acme)))
        .done();
    assert_eq!(
        outcomes(&ran.json()),
        [(3, "invited".to_owned()), (5, "invited".to_owned())]
    );
    let listed = command_line.all(&format!("invitations --organization {acme}"));
    assert_eq!(
        (&listed[0]["role"], &listed[0]["locale"]),
        (&json!("agent"), &json!("pt-BR"))
    );
    assert_eq!(listed[1]["role"], "admin");
}

#[test]
fn limit_refuses_single_rows_and_the_run_continues() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_LIMITS", "organization=3/1d");
    let acme = command_line.organization();
    command_line.write("people.csv", people(5) + "nonsense,agent,en\n");
    let rows = command_line.run(&bulk(&acme)).ended(3).json();
    assert_eq!(
        rows.iter()
            .filter(|row| row["outcome"] == "invited")
            .count(),
        3
    );
    let throttled = rows
        .iter()
        .filter(|row| row["refused"] == "throttled" && row["retry_after"].is_u64());
    assert_eq!(throttled.count(), 2);
    assert_eq!(rows[5]["outcome"], "invalid");
}
