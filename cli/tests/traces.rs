//! Traces: from the request of a host, through the outbox, to the letter and the collector.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]
#![allow(dead_code, reason = "each test program uses its part of the support")]

#[macro_use]
#[path = "cli/support.rs"]
mod support;
#[path = "traces/collector.rs"]
mod collector;

use std::fs;

use guestlist::{Actor, Database, Guestlist, Invitation, Invite};
use opentelemetry::trace::{SpanContext, TraceContextExt, TracerProvider};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::collector::{Collector, attributes};
use crate::support::{CommandLine, text};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Invites Bob within a traced request of a host, and returns its span.
fn invite_in_a_request(
    command_line: &CommandLine,
    organization: &str,
    sampler: Sampler,
) -> (SpanContext, Invitation) {
    let tracer = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(tracer.tracer("host"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let url = command_line.database_url();
    let request = async {
        let database = Database::connect(&url, 1).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        let organization = organization.parse().unwrap();
        let bob = "bob@acme.example".parse().unwrap();
        let invite = Invite::new(bob, "agent".parse().unwrap());
        let invitation = Guestlist::builder()
            .build()
            .act(Actor::member(&"ann".parse().unwrap()))
            .in_organization(organization)
            .invite(&mut tx, invite)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        database.close().await;
        let context = tracing::Span::current().context();
        (context.span().span_context().clone(), invitation)
    };
    let request = async { request.instrument(info_span!("request")).await };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(request.with_subscriber(subscriber))
}

fn work(command_line: &CommandLine) -> String {
    let ran = command_line.run("work --until-idle").done();
    assert!(command_line.all("jobs").is_empty());
    ran.stderr
}

fn letters(command_line: &CommandLine) -> usize {
    fs::read_dir(command_line.folder().join("letters"))
        .unwrap()
        .count()
}

fn keys(span: &Span) -> Vec<String> {
    let names = attributes(span).into_iter().map(|(key, _)| key);
    names.collect()
}

fn value(span: &Span, key: &str) -> String {
    let found = attributes(span).into_iter().find(|(name, _)| name == key);
    found.unwrap_or_else(|| panic!("no {key}: {span:#?}")).1
}

stories! {
    fn letter_belongs_to_the_trace_of_its_request(command_line) {
        let collector = Collector::start();
        let command_line = command_line.with(ENDPOINT, &collector.url());
        let acme = command_line.organization();
        let (request, invitation) = invite_in_a_request(&command_line, &acme, Sampler::AlwaysOn);
        assert!(request.is_valid());
        let link = text(&command_line.one(&format!("link {} --as ann", invitation.id))["link"]);
        // The log level makes no difference.
        let command_line = command_line.with("RUST_LOG", "off");
        assert_eq!(work(&command_line), "");
        assert_eq!(letters(&command_line), 1);

        let job = collector.span("send_invitation");
        assert_eq!(job.trace_id, request.trace_id().to_bytes());
        assert_eq!(job.parent_span_id, request.span_id().to_bytes());
        assert_eq!(job.kind(), SpanKind::Consumer);
        assert_eq!(value(&job, "organization"), acme);
        assert_eq!(value(&job, "outcome"), "done");
        let deliver = collector.span("deliver");
        assert_eq!(deliver.trace_id, job.trace_id);
        assert_eq!(deliver.parent_span_id, job.span_id);
        assert_eq!(deliver.kind(), SpanKind::Client);
        assert_eq!(value(&deliver, "verdict"), "accepted");
        assert_eq!(value(&deliver, "message"), value(&job, "message"));

        // Attributes are sent to a third party, so a new one must be added to this list.
        assert_eq!(keys(&job), ["generation", "message", "organization", "outcome", "target"]);
        assert_eq!(keys(&deliver), ["message", "target", "verdict"]);
        assert_eq!(job.events.len() + deliver.events.len(), 0);
        let token = link.rsplit('/').next().unwrap();
        for secret in ["acme", "bob", "example", token, &token[20..40]] {
            assert!(!collector.has_seen(secret), "{secret}");
        }
        assert_eq!(collector.services(), ["guestlist"]);
    }

    fn invalid_trace_parent_is_ignored(command_line) {
        let mut command_line = command_line;
        let acme = command_line.organization();
        let zeros = "00-00000000000000000000000000000000-0000000000000000-01";
        for (number, malformed) in ["", "00", "nonsense", zeros, "00-é-ü-01"].iter().enumerate() {
            let collector = Collector::start();
            command_line = command_line.with(ENDPOINT, &collector.url());
            command_line.one(&format!("invite p{number}@acme.example --organization {acme} --role agent --as ann"));
            command_line.sql(&format!("UPDATE guestlist_outbox SET trace_parent = '{malformed}'"));
            work(&command_line);
            let job = collector.span("send_invitation");
            assert!(job.parent_span_id.is_empty(), "{malformed}: {job:#?}");
            assert_eq!(collector.span("deliver").parent_span_id, job.span_id);
            assert_eq!(letters(&command_line), number + 1);
        }
    }
}

#[test]
fn job_without_a_trace_starts_its_own() {
    let collector = Collector::start();
    let command_line = CommandLine::on_sqlite().with(ENDPOINT, &collector.url());
    let acme = command_line.organization();
    for person in ["bob", "eve"] {
        command_line.one(&format!(
            "invite {person}@acme.example --organization {acme} --role agent --as ann"
        ));
    }
    work(&command_line);
    let mut traces: Vec<_> = collector.spans();
    traces.retain(|span| span.name == "send_invitation");
    assert_eq!(traces.len(), 2);
    assert!(traces.iter().all(|span| span.parent_span_id.is_empty()));
    assert_ne!(traces[0].trace_id, traces[1].trace_id);
}

#[test]
fn unsampled_trace_is_not_exported() {
    let collector = Collector::start();
    let command_line = CommandLine::on_sqlite().with(ENDPOINT, &collector.url());
    let acme = command_line.organization();
    invite_in_a_request(&command_line, &acme, Sampler::AlwaysOff);
    work(&command_line);
    assert_eq!(letters(&command_line), 1);
    assert_eq!(collector.spans(), []);
}

#[test]
fn given_up_job_is_an_error_span_with_a_fixed_name() {
    let collector = Collector::start();
    let command_line = CommandLine::on_sqlite().with(ENDPOINT, &collector.url());
    let acme = command_line.organization();
    command_line.one(&format!(
        "invite bob@acme.example --organization {acme} --role agent --as ann"
    ));
    command_line.sql("UPDATE guestlist_outbox SET kind = 'mail bob@acme.example'");
    command_line.run("work --until-idle").done();
    let job = collector.span("other");
    assert_eq!(job.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(value(&job, "outcome"), "dead");
    assert!(!collector.has_seen("bob"));
}

#[test]
fn unreachable_collector_delays_no_letter() {
    let closed = guestlist_testkit::free_port();
    let endpoint = format!("http://127.0.0.1:{closed}");
    let command_line = CommandLine::on_sqlite().with(ENDPOINT, &endpoint);
    let acme = command_line.organization();
    command_line.one(&format!(
        "invite bob@acme.example --organization {acme} --role agent --as ann"
    ));
    let log = work(&command_line);
    assert_eq!(letters(&command_line), 1);
    assert!(log.contains("ERROR") || log.contains("WARN"), "{log}");
}

#[test]
fn nothing_is_exported_by_default() {
    let collector = Collector::start();
    let command_line = CommandLine::on_sqlite();
    assert!(!work(&command_line).contains("traces"));
    let mut command_line = command_line.with(ENDPOINT, &collector.url());
    assert!(work(&command_line).contains("exporting traces"));
    for (variable, off) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        command_line = command_line.with(variable, off);
        assert!(!work(&command_line).contains("traces"));
        command_line = command_line.with(variable, "");
    }
}

#[test]
fn invalid_exporter_settings_are_reported_at_start() {
    let mut command_line = CommandLine::on_sqlite().with(ENDPOINT, "http://127.0.0.1:4317");
    for (variable, wrong, expected) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "milliseconds"),
        (ENDPOINT, "http://not a URL", ENDPOINT),
    ] {
        command_line = command_line.with(variable, wrong);
        let ran = command_line.run("work --until-idle").ended(1);
        assert!(
            ran.stderr.contains("traces cannot be exported: ") && ran.stderr.contains(expected),
            "{ran:?}"
        );
        command_line = command_line.with(variable, "");
    }
}
