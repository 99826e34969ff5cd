//! The page of speed against the results of the trials.

use crate::generated::{assert_generated, table};
use crate::markdown::{read, rows, section};

#[test]
fn the_tables_of_speed_are_those_of_the_trials() {
    let results = read("trials/RESULTS.md");
    for (name, heading) in [("quick", "## Speed, quick"), ("full", "## Speed, full")] {
        let measured = rows(section(&results, heading)).into_iter();
        // The noise of the machine, and the rows that say on which machine it was.
        let measured = measured.filter(|row| row.len() == 8 && row[0] != "noise");
        let measured = measured.map(|row| row[1..].iter().map(|cell| shown(cell)).collect());
        let head = [
            "Measurement",
            "Guestlist",
            "Reference",
            "Reference result",
            "Ratio",
            "Target",
            "Verdict",
        ];
        assert_generated("docs/speed.md", name, &table(&head, measured));
    }
}

fn shown(cell: &str) -> String {
    match cell.trim_matches('|').trim() {
        "" => "–".to_owned(),
        "MISSED" => "missed".to_owned(),
        text => text.to_owned(),
    }
}
