//! The log on stderr, and the traces of a worker.

use std::env;
use std::io::{self, IsTerminal};

use guestlist_jobs::config::LogFormat;
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

#[cfg(not(feature = "opentelemetry"))]
#[path = "log/no_traces.rs"]
mod traces;
#[cfg(feature = "opentelemetry")]
mod traces;

pub(super) use self::traces::Traces;

/// Starts the log with the filter `default`, unless RUST_LOG is set.
pub(super) fn start(format: LogFormat, default: &str) {
    tracing_subscriber::registry()
        .with(filter(default))
        .with(lines(format))
        .init();
}

/// Starts the log, and the export of traces if the environment configures it.
///
/// # Errors
/// If the environment configures an export that is not possible.
pub(super) fn start_with_traces(format: LogFormat, default: &str) -> anyhow::Result<Traces> {
    let traces = Traces::from_env()?;
    match traces.layer() {
        // An event that the log filters out may still belong to a trace.
        Some(layer) => tracing_subscriber::registry()
            .with(layer)
            .with(lines(format).with_filter(filter(default)))
            .init(),
        None => start(format, default),
    }
    traces.announce();
    Ok(traces)
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

/// Returns the variable that configures the export of traces, one of OpenTelemetry's two.
fn asked_for_by() -> Option<&'static str> {
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    let asking = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    asking
        .into_iter()
        .find(|name| !is_off && variable(name).is_some())
}

/// Reads a variable; empty counts as unset.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
