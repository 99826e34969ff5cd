//! No traces: this build has no OpenTelemetry, and says so to who asks for it.

use tracing::warn;
use tracing_subscriber::layer::Identity;

/// Nothing, in the place of the export of traces.
pub(crate) struct Traces(());

impl Traces {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        Ok(Self(()))
    }

    pub(super) fn layer(&self) -> Option<Identity> {
        None
    }

    pub(super) fn announce(&self) {
        if let Some(variable) = super::asked_for_by() {
            warn!(
                "{variable} is set, but no traces are exported: this guestlist was built without the feature opentelemetry"
            );
        }
    }

    pub(crate) async fn end(self) {}
}
