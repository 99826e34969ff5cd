//! Speed of Redis alone, to show that it does not limit the worker.

use anyhow::{Context as _, bail};
use guestlist_testkit::program;
use tokio::process::Command;

use crate::bench::environment::Environment;
use crate::bench::row::Row;

/// Number of pushes in one pipeline, as for dispatches.
const PIPELINE: u32 = 16;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let Ok(benchmark) = program::find("redis-benchmark") else {
        environment
            .progress
            .report("skipped, because redis-benchmark is not installed");
        return Ok(Vec::new());
    };
    let url = environment.redis.url();
    let port = url
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap_or_default();
    let mut pushes = Vec::new();
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{} pushes", environment.amounts.pushes),
        );
        let output = Command::new(&benchmark)
            .args(["-h", "127.0.0.1", "-p", port, "-t", "lpush", "--csv"])
            .args([
                "-P",
                &PIPELINE.to_string(),
                "-n",
                &environment.amounts.pushes.to_string(),
            ])
            .kill_on_drop(true)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "redis-benchmark: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        pushes.push(
            rate(&text).with_context(|| {
                format!("the output of redis-benchmark contains no rate: {text}")
            })?,
        );
    }
    let measure = format!("redis-benchmark, LPUSH, {PIPELINE} together");
    Ok(vec![
        Row::new("redis", measure, "a second", pushes)?.counted(environment.amounts.pushes),
    ])
}

/// Returns the second value of the CSV line that starts with the name of the test, with or without quotes.
fn rate(text: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let mut values = line.split(',').map(|value| value.trim_matches('"'));
        values.next().filter(|name| name.starts_with("LPUSH"))?;
        values.next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_redis_benchmark_is_read() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"LPUSH\",\"833333.31\",\"0.812\"\n";
        assert_eq!(rate(text), Some(833333.31));
        assert_eq!(rate("Could not connect"), None);
    }
}
