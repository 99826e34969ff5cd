//! An OpenTelemetry collector on loopback: OTLP over HTTP, in protobuf.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Accepts all exports until it is dropped.
pub(crate) struct Collector {
    _runtime: Runtime,
    port: u16,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let bodies = Arc::<Mutex<Vec<Bytes>>>::default();
        runtime.spawn(accept(listener, Arc::clone(&bodies)));
        Self {
            _runtime: runtime,
            port,
            bodies,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let bodies = self.bodies.lock().unwrap();
        bodies
            .iter()
            .map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap())
            .collect()
    }

    /// Every span received so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|it| it.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The one span of this name.
    pub(crate) fn span(&self, name: &str) -> Span {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{name}: {spans:#?}");
        spans.remove(0)
    }

    /// The service names of the senders.
    pub(crate) fn services(&self) -> Vec<String> {
        let resources = self.requests().into_iter().flat_map(|it| it.resource_spans);
        let attributes = resources.flat_map(|it| it.resource.unwrap_or_default().attributes);
        let names = attributes.filter(|attribute| attribute.key == "service.name");
        names.map(|name| text(name.value.unwrap().value)).collect()
    }

    /// True if anything received contains `text`, in upper or lower case.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let bodies = self.bodies.lock().unwrap();
        assert!(!bodies.is_empty(), "nothing was exported");
        bodies
            .iter()
            .any(|body| String::from_utf8_lossy(body).to_lowercase().contains(&text))
    }
}

/// The keys and values of a span, sorted.
pub(crate) fn attributes(span: &Span) -> Vec<(String, String)> {
    let mut attributes: Vec<_> = span
        .attributes
        .iter()
        .map(|it| (it.key.clone(), text(it.value.clone().unwrap().value)))
        .collect();
    attributes.sort();
    attributes
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn accept(listener: TcpListener, bodies: Arc<Mutex<Vec<Bytes>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let bodies = Arc::clone(&bodies);
        let service = service_fn(move |request: Request<Incoming>| {
            let bodies = Arc::clone(&bodies);
            async move { Ok::<_, Infallible>(take(request, &bodies).await) }
        });
        let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(serving.await) });
    }
}

async fn take(request: Request<Incoming>, bodies: &Mutex<Vec<Bytes>>) -> Response<Full<Bytes>> {
    let is_ours = request.method() == "POST"
        && request.uri().path() == "/v1/traces"
        && request.headers()["content-type"] == "application/x-protobuf";
    if !is_ours {
        let mut response = Response::new(Full::default());
        *response.status_mut() = hyper::StatusCode::NOT_FOUND;
        return response;
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    bodies.lock().unwrap().push(body);
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    Response::new(Full::new(answer.into()))
}
