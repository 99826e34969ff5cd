//! The audit trail.

use clap::Args;
use guestlist::{Connection, Event};
use serde_json::{Value as Json, json};

use super::arguments::{Limit, Within};
use super::context::Context;
use super::failure::{Done, Status};
use super::output::{Row, moment, or_dash};

/// Print the history of an organization, oldest first. Works for a deleted organization too.
#[derive(Debug, Args)]
#[command(
    name = "events",
    after_help = "Example:\n  guestlist events --organization ID --json"
)]
pub(crate) struct List {
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Done {
        let organization = self.within.organization;
        let fetch = async |connection: Connection<'_>, paging: &_| {
            let page = context
                .guestlist
                .events(connection, organization, paging)
                .await?;
            Ok(page.map(Listed))
        };
        if context.list(self.limit.limit, fetch).await? == 0 {
            context.organization(organization).await?;
        }
        Ok(Status::Done)
    }
}

struct Listed(Event);

impl Row for Listed {
    const HEADER: &'static [&'static str] = &["at", "what", "who", "subject"];

    fn json(&self) -> Json {
        let Self(event) = self;
        let mut object = json!({
            "event": event.id,
            "organization": event.organization,
            "kind": event.kind,
            "subject": event.subject,
            "before": event.before,
            "after": event.after,
            "at": event.at,
        });
        if let (Json::Object(object), Json::Object(by)) = (&mut object, json!(event.attribution)) {
            object.extend(by);
        }
        object
    }

    fn cells(&self) -> Vec<String> {
        let Self(event) = self;
        vec![
            moment(event.at),
            event.kind.to_string(),
            or_dash(event.attribution.actor.as_ref()),
            event.subject.clone(),
        ]
    }
}
