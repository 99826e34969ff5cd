//! Replies of Redis as Rust values.

use std::collections::HashMap;
use std::hash::Hash;

use redis::Value;

/// A reply of Redis to a command.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// No value, such as that of a key that does not exist.
    Nothing,
    /// A number.
    Number(i64),
    /// A text, such as the `OK` of a command that has no result.
    Text(String),
    /// Several replies; a map is a list of its keys, each followed by its value.
    List(Vec<Reply>),
}

/// A type that a [`Reply`] can be read as.
pub trait FromReply: Sized {
    /// Reads a reply; `None` if it has another form.
    fn from_reply(reply: Reply) -> Option<Self>;
}

impl FromReply for Reply {
    fn from_reply(reply: Reply) -> Option<Self> {
        Some(reply)
    }
}

/// Ignores the reply.
impl FromReply for () {
    fn from_reply(_: Reply) -> Option<Self> {
        Some(())
    }
}

impl FromReply for String {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Text(text) => Some(text),
            Reply::Number(number) => Some(number.to_string()),
            Reply::Nothing | Reply::List(_) => None,
        }
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl FromReply for $number {
            fn from_reply(reply: Reply) -> Option<Self> {
                String::from_reply(reply)?.parse().ok()
            }
        })+
    };
}
numbers!(u16, u64, usize, i64, f64);

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Nothing => Some(None),
            reply => T::from_reply(reply).map(Some),
        }
    }
}

impl<T: FromReply> FromReply for Vec<T> {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::List(replies) => replies.into_iter().map(T::from_reply).collect(),
            _ => None,
        }
    }
}

impl<A: FromReply, B: FromReply> FromReply for (A, B) {
    fn from_reply(reply: Reply) -> Option<Self> {
        let [a, b] = Vec::from_reply(reply)?.try_into().ok()?;
        Some((A::from_reply(a)?, B::from_reply(b)?))
    }
}

impl<K: FromReply + Eq + Hash, V: FromReply> FromReply for HashMap<K, V> {
    fn from_reply(reply: Reply) -> Option<Self> {
        let mut rest = Vec::<Reply>::from_reply(reply)?.into_iter();
        let mut map = Self::new();
        while let Some(key) = rest.next() {
            map.insert(K::from_reply(key)?, V::from_reply(rest.next()?)?);
        }
        Some(map)
    }
}

impl Reply {
    /// Reads the client's form of a reply; `None` for one that no command of RESP 2 gives.
    pub(super) fn read(value: Value) -> Option<Self> {
        Some(match value {
            Value::Nil => Self::Nothing,
            Value::Int(number) => Self::Number(number),
            Value::Okay => Self::Text("OK".to_owned()),
            Value::SimpleString(text) => Self::Text(text),
            Value::BulkString(bytes) => Self::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Value::Array(values) => {
                Self::List(values.into_iter().map(Self::read).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.to_owned())
    }

    #[test]
    fn reply_is_read_as_the_type_asked_for() {
        assert_eq!(usize::from_reply(Reply::Number(7)), Some(7));
        assert_eq!(f64::from_reply(text("1.5")), Some(1.5));
        assert_eq!(Option::<i64>::from_reply(Reply::Nothing), Some(None::<i64>));
        let pair = Reply::List(vec![text("127.0.0.1"), text("6379")]);
        let address = <(String, u16)>::from_reply(pair.clone());
        assert_eq!(address, Some(("127.0.0.1".to_owned(), 6379)));
        let map = HashMap::from_reply(pair);
        let expected = HashMap::from([("127.0.0.1".to_owned(), 6379_u16)]);
        assert_eq!(map, Some(expected));
    }

    #[test]
    fn reply_of_another_form_is_not_read() {
        assert_eq!(u16::from_reply(text("70000")), None);
        assert_eq!(String::from_reply(Reply::Nothing), None);
        assert_eq!(Vec::<String>::from_reply(text("a")), None);
        let odd = Reply::List(vec![text("a")]);
        assert_eq!(HashMap::<String, String>::from_reply(odd.clone()), None);
        assert_eq!(<(String, String)>::from_reply(odd), None);
    }
}
