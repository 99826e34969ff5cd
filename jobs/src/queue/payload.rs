//! The encoding of a dispatch as bytes, and its task id.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Dispatch;

/// The version of the layout; no other is understood. A dispatch of a newer process is dropped here
/// and dispatched again when its lease expires, for a process that can read it.
const VERSION: u8 = 1;

/// Decoded bytes of the queue: `None` if they are no dispatch.
///
/// Decoding never fails, because a codec that fails ends apalis's worker, and the same bytes
/// would end the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payload(pub(super) Option<Dispatch>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    message: Uuid,
    generation: i64,
}

impl Payload {
    pub(super) fn encode(dispatch: Dispatch) -> Vec<u8> {
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
            .map(|wire| Dispatch {
                message: wire.message,
                generation: wire.generation,
            });
        Self(dispatch)
    }
}

impl Dispatch {
    /// Returns `message:generation`: apalis ignores an id that it has seen, so each lease has its own.
    pub(super) fn task_id(&self) -> String {
        format!("{}:{}", self.message, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISPATCH: Dispatch = Dispatch {
        message: Uuid::from_u128(7),
        generation: i64::MAX,
    };

    #[test]
    fn a_dispatch_is_decoded_as_it_was_encoded() {
        let bytes = Payload::encode(DISPATCH);
        assert_eq!(Payload::decode(&bytes), Payload(Some(DISPATCH)));
    }

    #[test]
    fn bytes_that_are_no_dispatch_decode_to_none() {
        let whole = Payload::encode(DISPATCH);
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
