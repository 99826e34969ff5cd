//! Long lists, a page at a time, by key and never by offset.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which page of a list: how many items, and after which one.
#[derive(Debug, Clone)]
pub struct Paging {
    after: Option<Cursor>,
    limit: u32,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts, unless this is the last one.
    pub next: Option<Cursor>,
}

/// A place in a list: opaque text that fits in a URL's query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Paging {
    /// The most items of one page.
    pub const MAX_LIMIT: u32 = 1000;

    /// The first `limit` items, at most [`Paging::MAX_LIMIT`].
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The `limit` items behind `cursor`.
    pub fn after(cursor: Cursor, limit: u32) -> Self {
        Self {
            after: Some(cursor),
            limit,
        }
    }

    /// The key behind which the page starts, read as the list's key.
    pub(crate) fn key<K: FromStr>(&self) -> Result<Option<K>, Error> {
        self.after
            .as_ref()
            .map(|cursor| cursor.0.parse().map_err(|_| Error::InvalidCursor))
            .transpose()
    }

    /// One more than asked for, which tells whether there is a next page.
    pub(crate) fn fetch_limit(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX_LIMIT)) + 1
    }
}

/// The first 50 items.
impl Default for Paging {
    fn default() -> Self {
        Self::first(50)
    }
}

impl<T> Page<T> {
    /// Cuts the one item too many off and points at the last that stays.
    pub(crate) fn of(mut items: Vec<T>, paging: &Paging, key: impl Fn(&T) -> String) -> Self {
        let wanted = usize::try_from(paging.fetch_limit() - 1).unwrap_or(usize::MAX);
        let more = items.len() > wanted;
        items.truncate(wanted);
        let next = items.last().filter(|_| more).map(|last| Cursor(key(last)));
        Self { items, next }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}
