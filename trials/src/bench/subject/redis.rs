//! What Redis can do, so that nobody takes it for what holds letters up.

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::bench::environment::Stage;
use crate::bench::program;
use crate::bench::row::Row;

/// How many pushes go together, as dispatches do.
const PIPELINE: u32 = 16;

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let Ok(benchmark) = program::find("redis-benchmark") else {
        stage
            .progress
            .say("redis-benchmark is not installed, so this is left out");
        return Ok(Vec::new());
    };
    let url = stage.redis.url();
    let port = url
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap_or_default();
    let mut pushes = Vec::new();
    for time in 1..=stage.repeat {
        stage.progress.time(
            time,
            stage.repeat,
            format!("{} pushes", stage.amounts.pushes),
        );
        let output = Command::new(&benchmark)
            .args(["-h", "127.0.0.1", "-p", port, "-t", "lpush", "--csv"])
            .args([
                "-P",
                &PIPELINE.to_string(),
                "-n",
                &stage.amounts.pushes.to_string(),
            ])
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "redis-benchmark: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        pushes.push(rate(&said).with_context(|| format!("redis-benchmark says no rate: {said}"))?);
    }
    let what = format!("redis-benchmark, LPUSH, {PIPELINE} together");
    Ok(vec![
        Row::new("redis", what, "a second", pushes)?.counted(stage.amounts.pushes),
    ])
}

/// The second value of the line that begins with the test's name, whatever quotes there are.
fn rate(said: &str) -> Option<f64> {
    said.lines().find_map(|line| {
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
        let said = "\"test\",\"rps\",\"avg_latency_ms\"\n\"LPUSH\",\"833333.31\",\"0.812\"\n";
        assert_eq!(rate(said), Some(833333.31));
        assert_eq!(rate("Could not connect"), None);
    }
}
