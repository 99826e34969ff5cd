//! Other JSON where a string is expected, a common way to inject queries, is refused by type.

use guestlist::{
    Action, Cursor, Delivery, EmailAddress, EventId, EventKind, InvitationId, LimitKind, Locale,
    MessageId, Name, OrganizationId, PersonalMessage, Role, RoleModel, SessionKey, Status, UserId,
    outbox::Task,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

/// Values to send instead of `text`, which is valid.
fn instead_of(text: &str) -> Vec<Json> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!([]),
        json!([text]),
        json!([[text]]),
        json!([text, text]),
        json!({}),
        json!({ "$ne": null }),
        json!({ "$gt": "" }),
        json!({ "$in": [text] }),
        json!({ "$regex": ".*" }),
        json!({ text: null }),
        json!({ text: text }),
        json!({ text: {} }),
        json!({ text: [] }),
        json!({ "0": text }),
        json!({ "email": text }),
        json!({ "toString": text, "length": 1 }),
        json!(text.as_bytes()),
    ]
}

#[derive(Deserialize)]
struct Body<T> {
    #[expect(dead_code, reason = "only whether it can be read is asked")]
    field: T,
}

fn reads<T: DeserializeOwned>(json: &Json) -> bool {
    let text = json.to_string();
    let body = json!({ "field": json }).to_string();
    serde_json::from_value::<T>(json.clone()).is_ok()
        || serde_json::from_str::<T>(&text).is_ok()
        || serde_json::from_str::<Body<T>>(&body).is_ok()
}

fn takes_only_a_string<T: DeserializeOwned>(valid: &str) {
    let name = std::any::type_name::<T>();
    assert!(reads::<T>(&json!(valid)), "{name} is not {valid:?}");
    for wrong in instead_of(valid) {
        assert!(!reads::<T>(&wrong), "{name} was read from {wrong}");
    }
}

#[test]
fn public_values_are_read_only_from_strings() {
    let id = "01a206f3-c0d9-7145-a1bc-2971c8b37363";
    takes_only_a_string::<OrganizationId>(id);
    takes_only_a_string::<InvitationId>(id);
    takes_only_a_string::<EventId>(id);
    takes_only_a_string::<MessageId>(id);
    takes_only_a_string::<EmailAddress>("a@b.co");
    takes_only_a_string::<Name>("Acme");
    takes_only_a_string::<PersonalMessage>("Hello");
    takes_only_a_string::<Role>("agent");
    takes_only_a_string::<Locale>("en");
    takes_only_a_string::<UserId>("u1");
    takes_only_a_string::<SessionKey>("s1");
    takes_only_a_string::<Cursor>("0");
    for word in Status::ALL {
        takes_only_a_string::<Status>(word.as_str());
    }
    for word in Delivery::ALL {
        takes_only_a_string::<Delivery>(word.as_str());
    }
    for word in EventKind::ALL {
        takes_only_a_string::<EventKind>(word.as_str());
    }
    for word in Action::ALL {
        takes_only_a_string::<Action>(word.as_str());
    }
    for word in LimitKind::ALL {
        takes_only_a_string::<LimitKind>(word.as_str());
    }
}

#[test]
fn task_ids_are_read_by_their_type() {
    let id = "01a206f3-c0d9-7145-a1bc-2971c8b37363";
    let task = |invitation: Json, letter: Json| json!({ "kind": "send_invitation", "ids": { "invitation": invitation, "letter": letter } });
    assert!(reads::<Task>(&task(json!(id), json!(1))));
    for wrong in instead_of(id) {
        assert!(!reads::<Task>(&task(wrong.clone(), json!(1))), "{wrong}");
    }
    for wrong in [
        json!("1"),
        json!(1.5),
        json!(null),
        json!([1]),
        json!({ "$gt": 0 }),
        json!(u64::MAX),
    ] {
        assert!(!reads::<Task>(&task(json!(id), wrong.clone())), "{wrong}");
    }
}

#[test]
fn role_model_rejects_values_of_the_wrong_type() {
    for wrong in [
        "1",
        "true",
        "['owner']",
        "{ owner = 1 }",
        "1979-05-27",
        "[]",
        "{}",
    ] {
        for document in [
            format!("keeps = {wrong}\n[[role]]\nname = 'owner'"),
            format!("keeps = 'owner'\n[[role]]\nname = {wrong}"),
            format!("keeps = 'owner'\n[[role]]\nname = 'owner'\nincludes = {wrong}"),
            format!("keeps = 'owner'\nrole = {wrong}"),
        ] {
            let refused = RoleModel::from_toml(&document);
            assert!(refused.is_err(), "{document}");
        }
    }
}
