//! The spans of jobs. Each continues the trace of the request that created its message.
//!
//! Spans leave the installation, for a collector that others may read. They carry ids and words of
//! our own, never an address, a name, a token or the text of a mail server.

use guestlist::outbox::{Cost, Message};
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::mailer::Verdict;
use crate::metrics;
use crate::next::Next;

/// Creates the span of a message's job, which lasts until its outcome is recorded.
///
/// It has no parent in this process, because the code that started the worker is unrelated to the
/// job.
pub(crate) fn job(message: &Message) -> Span {
    let span = info_span!(
        parent: None,
        "job",
        otel.name = metrics::kind(&message.kind),
        otel.kind = "consumer",
        otel.status_code = Empty,
        message = %message.id,
        organization = %message.organization,
        generation = message.generation,
        outcome = Empty,
    );
    #[cfg(feature = "opentelemetry")]
    remote::continue_trace(&span, message.trace_parent.as_deref());
    span
}

/// Records the outcome; a failure marks the span as an error.
pub(crate) fn ended(job: &Span, next: &Next) {
    job.record("outcome", next.run_outcome().name());
    let is_fault = matches!(
        next,
        Next::Dead { .. }
            | Next::Retry {
                cost: Cost::Fault,
                ..
            }
    );
    if is_fault {
        job.record("otel.status_code", "ERROR");
    }
}

/// Creates the span of a letter on its way to the mail server.
pub(crate) fn delivery(message: &Message) -> Span {
    info_span!("deliver", otel.kind = "client", message = %message.id, verdict = Empty)
}

/// Records the verdict of the mailer.
pub(crate) fn delivered(delivery: &Span, verdict: &Verdict) {
    delivery.record("verdict", verdict.class.label());
}

#[cfg(feature = "opentelemetry")]
mod remote {
    use std::collections::HashMap;

    use opentelemetry::Context;
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    /// Makes `span` a child of the span in `trace_parent`. A malformed value, or one of a process
    /// that exports no traces, is ignored.
    pub(super) fn continue_trace(span: &Span, trace_parent: Option<&str>) {
        let Some(trace_parent) = trace_parent else {
            return;
        };
        let carrier = HashMap::from([("traceparent".to_owned(), trace_parent.to_owned())]);
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        if parent.span().span_context().is_valid() {
            let _ = span.set_parent(parent);
        }
    }
}
