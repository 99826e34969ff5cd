//! The trace of a change, so that the worker's spans can continue it.

/// Returns the current span as a W3C `traceparent`; `None` outside of a trace and without the
/// feature `opentelemetry`.
///
/// Source of the format: <https://www.w3.org/TR/trace-context/#traceparent-header>. The trace
/// state, whose contents vendors define, is left out: an outbox row holds ids only.
pub(crate) fn current() -> Option<String> {
    #[cfg(feature = "opentelemetry")]
    {
        use opentelemetry::trace::{TraceContextExt, TraceFlags};
        use tracing_opentelemetry::OpenTelemetrySpanExt;

        let context = tracing::Span::current().context();
        let span = context.span().span_context().clone();
        let flags = span.trace_flags() & TraceFlags::SAMPLED;
        span.is_valid()
            .then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
    }
    #[cfg(not(feature = "opentelemetry"))]
    None
}
