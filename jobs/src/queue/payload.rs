//! The encoding of a dispatch as bytes.

use guestlist::{MessageId, Ticket};
use serde::{Deserialize, Serialize};

/// The version of the layout; no other is understood. A dispatch of a newer process is dropped here
/// and dispatched again when its lease expires, for a process that can read it.
const VERSION: u8 = 1;

/// Decoded bytes of the queue: `None` if they are no dispatch.
///
/// Decoding never fails, because a codec that fails ends apalis's worker, and the same bytes
/// would end the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payload(pub(super) Option<Ticket>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    message: MessageId,
    generation: i64,
}

impl Payload {
    pub(super) fn encode(dispatch: Ticket) -> Vec<u8> {
        let wire = Wire {
            v: VERSION,
            message: dispatch.message,
            generation: dispatch.generation,
        };
        serde_json::to_vec(&wire).expect("a struct of two numbers and a uuid is always JSON")
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let dispatch = serde_json::from_slice(bytes)
            .ok()
            .filter(|wire: &Wire| wire.v == VERSION)
            .map(|wire| Ticket::new(wire.message, wire.generation));
        Self(dispatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch() -> Ticket {
        Ticket::new(uuid::Uuid::from_u128(7).into(), i64::MAX)
    }

    #[test]
    fn a_dispatch_is_decoded_as_it_was_encoded() {
        let bytes = Payload::encode(dispatch());
        assert_eq!(Payload::decode(&bytes), Payload(Some(dispatch())));
    }

    /// Processes of several versions share a queue.
    #[test]
    fn bytes_and_task_id_are_those_of_earlier_versions() {
        let bytes = r#"{"v":1,"message":"00000000-0000-0000-0000-000000000007","generation":9223372036854775807}"#;
        assert_eq!(Payload::encode(dispatch()), bytes.as_bytes());
        let id = "00000000-0000-0000-0000-000000000007:9223372036854775807";
        assert_eq!(dispatch().to_string(), id);
    }

    #[test]
    fn bytes_that_are_no_dispatch_decode_to_none() {
        let whole = Payload::encode(dispatch());
        for length in 0..whole.len() {
            assert_eq!(Payload::decode(&whole[..length]), Payload(None));
        }
        let text = String::from_utf8(whole).expect("JSON is UTF-8");
        for foreign in [
            text.replace("\"v\":1", "\"v\":2"),
            text.replace("\"v\":1", "\"v\":1,\"more\":0"),
            text.replace("{\"v\":1,", "{"),
            "\u{0}\u{1}".into(),
        ] {
            assert_eq!(Payload::decode(foreign.as_bytes()), Payload(None));
        }
        assert_eq!(Payload::decode(&[0xff, 0xfe, 0x00]), Payload(None));
    }
}
