//! The files for operations, compared with the metrics that a worker exposes.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value as Json;

use crate::exposition::Exposition;
use crate::support::{CommandLine, text};
use crate::worker::Worker;

/// The metrics of a worker that has not done anything yet.
fn exposition() -> Exposition {
    let command_line = CommandLine::on_sqlite();
    let worker = Worker::listening(&command_line, "worker");
    let mut stream = TcpStream::connect(worker.address()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Exposition::read(answer.split_once("\r\n\r\n").unwrap().1)
}

fn read(name: &str) -> String {
    let operations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operations");
    std::fs::read_to_string(operations.join(name)).unwrap()
}

/// Every string under `key`, at any depth.
fn all(json: &Json, key: &str, found: &mut Vec<String>) {
    match json {
        Json::Object(object) => {
            for (name, value) in object {
                match value.as_str() {
                    Some(value) if name == key => found.push(value.to_owned()),
                    _ => all(value, key, found),
                }
            }
        }
        Json::Array(values) => values.iter().for_each(|value| all(value, key, found)),
        _ => {}
    }
}

/// Asserts that an expression uses only exposed metrics and labels.
fn assert_exposed(expression: &str, exposition: &Exposition) {
    let names = exposition.names();
    let mut rest = expression;
    let mut metrics = Vec::new();
    while let Some(start) = rest.find("guestlist_") {
        let behind = &rest[start..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = behind.find(|c| !is_word(c)).unwrap_or(behind.len());
        let (metric, tail) = behind.split_at(end);
        assert!(names.contains(metric), "{metric} of {expression}");
        let matchers = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'));
        for matcher in matchers.map_or("", |(matchers, _)| matchers).split(',') {
            let matcher = matcher.trim().replace("!=", "=");
            let Some((label, values)) = matcher.split_once('=') else {
                continue;
            };
            let values = values.trim_start_matches('~').trim_matches('"').split('|');
            for value in values.filter(|_| label != "instance") {
                let ours = format!("{label}=\"{value}\"");
                let known = exposition.labels(metric);
                assert!(known.contains(ours.as_str()), "{ours} of {expression}");
            }
        }
        metrics.push(metric);
        rest = tail;
    }
    assert!(
        !metrics.is_empty(),
        "{expression} speaks of nothing of ours"
    );
    let keys: BTreeSet<&str> = metrics
        .iter()
        .flat_map(|metric| exposition.labels(metric))
        .map(|label| label.split('=').next().unwrap())
        .collect();
    for labels in expression.split("by (").skip(1) {
        for label in labels.split(')').next().unwrap().split(", ") {
            assert!(keys.contains(label), "{label} of {expression}");
        }
    }
    let open = |c| expression.matches(c).count();
    assert_eq!(
        (open('('), open('{'), open('[')),
        (open(')'), open('}'), open(']'))
    );
}

#[test]
fn every_metric_of_the_alerts_is_exposed() {
    let exposition = exposition();
    let file: Json = serde_saphyr::from_str(&read("alerts.yml")).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules: Vec<&Json> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 5, "{rules:?}");
    let names: BTreeSet<String> = rules.iter().map(|rule| text(&rule["alert"])).collect();
    assert_eq!(names.len(), rules.len(), "each alert has its own name");
    for rule in rules {
        let known = ["alert", "expr", "for", "labels", "annotations"];
        let keys = rule.as_object().unwrap().keys();
        assert!(
            keys.clone().all(|key| known.contains(&key.as_str())),
            "{rule}"
        );
        assert_exposed(&text(&rule["expr"]), &exposition);
        let wait = rule["for"].as_str().unwrap_or("0m");
        humantime::parse_duration(wait).unwrap();
        let severity = text(&rule["labels"]["severity"]);
        assert!(
            ["critical", "warning"].contains(&severity.as_str()),
            "{rule}"
        );
        for annotation in ["summary", "description"] {
            assert!(text(&rule["annotations"][annotation]).len() > 20, "{rule}");
        }
    }
}

#[test]
fn every_metric_of_the_dashboard_is_exposed() {
    let exposition = exposition();
    let dashboard: Json = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 8);
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "panels overlap: {panel}");
            }
        }
        let mut expressions = Vec::new();
        all(panel, "expr", &mut expressions);
        assert!(!expressions.is_empty(), "{panel}");
        for expression in expressions {
            assert_exposed(&expression, &exposition);
        }
    }
    let shown = panels.iter().map(Json::to_string).collect::<String>();
    for metric in exposition.families.keys() {
        assert!(
            shown.contains(metric),
            "{metric} is nowhere on the dashboard"
        );
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|each| text(&each["name"])).collect();
    assert_eq!(variables, ["datasource", "instance"]);
}

#[test]
fn documented_metrics_are_the_exposed_ones() {
    let exposition = exposition();
    let document = read("../docs/reference/metrics.md");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `guestlist_"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let named: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let exposed: BTreeSet<&str> = exposition.families.keys().map(String::as_str).collect();
    assert_eq!(named, exposed);
    for row in &rows {
        let metric = row[0].trim_matches('`');
        let (kind, help) = &exposition.families[metric];
        assert_eq!(
            (row[1], row[2]),
            (kind.as_str(), help.trim_end_matches('.')),
            "{metric}"
        );
        let sample = if kind == "histogram" {
            format!("{metric}_count")
        } else {
            metric.to_owned()
        };
        for label in exposition.labels(&sample) {
            let (key, value) = label.split_once('=').unwrap();
            assert!(row[3].contains(&format!("`{key}`")), "{label} of {metric}");
            // The first row of a key explains its values; versions have no list.
            let is_said = document.contains(value.trim_matches('"')) || key == "version";
            assert!(is_said, "{label} of {metric}");
        }
    }
}

#[test]
fn metric_names_follow_prometheus_conventions() {
    for (metric, (kind, _)) in exposition().families {
        assert!(metric.starts_with("guestlist_"), "{metric}");
        assert_eq!(metric.ends_with("_total"), kind == "counter", "{metric}");
        assert_eq!(metric.ends_with("_info"), metric == "guestlist_build_info");
        for unit in ["_ms", "_millis", "_minutes", "_hours", "_kb"] {
            assert!(!metric.contains(unit), "{metric} has no base unit");
        }
    }
}
