//! A drain by this `guestlist` command and by another one, in turn.

use anyhow::Context as _;

use super::drain::drain;
use crate::bench::environment::Environment;
use crate::bench::row::{Row, Target};
use crate::bench::statistics::rate;

/// Smallest number of repetitions.
const LEAST: u16 = 5;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let other = environment.beside.clone();
    let other = other.context("this subject needs another guestlist command: --beside FILE")?;
    let count = environment.amounts.letters;
    let repeat = environment.repeat.max(LEAST);
    let (mut this_one, mut other_one) = (Vec::new(), Vec::new());
    for repetition in 1..=repeat {
        environment.progress.report_repetition(
            repetition,
            repeat,
            format!("{count} letters by each command"),
        );
        let command = environment.command.clone();
        // The one that begins changes each time, so that neither always has the colder caches.
        for is_other in [repetition % 2 == 0, repetition % 2 == 1] {
            if is_other {
                other_one.push(rate(
                    count,
                    drain(environment, &other, count).await?.duration,
                ));
            } else {
                this_one.push(rate(
                    count,
                    drain(environment, &command, count).await?.duration,
                ));
            }
        }
    }
    let row = Row::new(
        "beside",
        "letters, one worker from its start to its end",
        "a second",
        this_one,
    )?;
    let row = row.reference("the command of --beside", other_one)?;
    Ok(vec![row.target(Target::MinRatio(0.97)).counted(count)])
}
