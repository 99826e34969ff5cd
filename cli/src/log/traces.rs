//! The export of traces to a collector by OTLP over HTTP, configured by OpenTelemetry's variables.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::{Subscriber, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{DynFilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

use super::variable;

/// The time the collector has for the last spans. Every letter is recorded before, so if the
/// platform kills the process during this time, only spans are lost.
const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The export of traces, if the environment configures it.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        let Some(asked_for_by) = super::asked_for_by() else {
            return Ok(Self(None));
        };
        let exporter =
            exporter().with_context(|| format!("{asked_for_by}: traces cannot be exported"))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(Some(provider)))
    }

    /// Returns the layer that exports the spans of Guestlist's own crates; other crates' spans and
    /// log events are left out.
    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer("guestlist-jobs");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        // A filter that may be cached is not asked again. The answer to an earlier `enabled!` of
        // tracing, as sqlx calls it, would then decide instead (tokio-rs/tracing issue 2519).
        let ours = DynFilterFn::new(|metadata, _| {
            metadata.is_span() && metadata.target().starts_with("guestlist")
        });
        Some(layer.with_filter(ours.with_max_level_hint(LevelFilter::INFO)))
    }

    pub(super) fn announce(&self) {
        if self.0.is_some() {
            info!("exporting traces");
        }
    }

    /// Exports the remaining spans.
    pub(crate) async fn end(self) {
        let Some(provider) = self.0 else { return };
        // The shutdown blocks its thread.
        let ended = tokio::task::spawn_blocking(move || {
            provider.shutdown_with_timeout(LAST_EXPORT_TIMEOUT)
        })
        .await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the last traces were not exported: {error}"),
            Err(error) => warn!(%error, "the last traces were not exported: {error}"),
        }
    }
}

/// Describes this service: `guestlist`, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES is
/// set.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name("guestlist")
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match variable("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

fn exporter() -> anyhow::Result<SpanExporter> {
    let protocol = first_of([
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ]);
    if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
        bail!("the protocol {protocol:?} is not supported; use http/protobuf");
    }
    let client = client(timeout()?)?;
    Ok(SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()?)
}

/// Builds the HTTP client with the TLS of this process, rustls with ring, instead of the client's
/// default.
fn client(timeout: Duration) -> anyhow::Result<reqwest::blocking::Client> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let building = move || {
        reqwest::blocking::Client::builder()
            .timeout(timeout)
            .tls_backend_preconfigured(tls)
            .build()
    };
    // A blocking client must not be built inside the async runtime.
    let built = std::thread::spawn(building).join();
    Ok(built.map_err(|_| anyhow::anyhow!("the HTTP client panicked"))??)
}

fn timeout() -> anyhow::Result<Duration> {
    let timeout = first_of([
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ]);
    let Some(text) = timeout else {
        return Ok(opentelemetry_otlp::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT);
    };
    let milliseconds = text.trim().parse();
    milliseconds
        .map(Duration::from_millis)
        .with_context(|| format!("the timeout {text:?} is not a number of milliseconds"))
}

fn first_of(names: [&str; 2]) -> Option<String> {
    names.into_iter().find_map(variable)
}
