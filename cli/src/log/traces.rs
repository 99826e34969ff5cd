//! The export of traces to a collector, by OTLP over HTTP, as OpenTelemetry's own variables say.

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

/// How long the collector may take for the last spans. By then every letter is recorded, so a
/// platform that has no patience left cuts off nothing else.
const FAREWELL: Duration = Duration::from_secs(2);

/// The export of traces, where the environment asks for it.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        let Some(asked_for_by) = super::asked_for_by() else {
            return Ok(Self(None));
        };
        let exporter = exporter().with_context(|| format!("{asked_for_by}: no traces"))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(Some(provider)))
    }

    /// Spans of the worker's own; what other crates trace is left out, and so are lines of the log.
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
        // A filter whose answer may be kept is not asked again, and then whatever was asked before by
        // tracing's `enabled!`, as sqlx does, decides instead (tokio-rs/tracing issue 2519).
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

    /// Exports what is still here.
    pub(crate) async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It waits without yielding.
        let ended =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FAREWELL)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the last traces were not exported: {error}"),
            Err(error) => warn!(%error, "the last traces were not exported: {error}"),
        }
    }
}

/// `guestlist`, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise.
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
        bail!("the protocol {protocol:?} is not spoken here, only http/protobuf is");
    }
    let client = client(timeout()?)?;
    Ok(SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()?)
}

/// The one TLS of this process, rustls with ring, instead of what the client would choose.
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
    // A blocking client must not be made where a runtime is at work.
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
