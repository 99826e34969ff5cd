//! Pages of long lists, by key and not by offset.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The page of a list to read: the number of items and the item it follows.
#[derive(Debug, Clone)]
pub struct Paging {
    after: Option<Cursor>,
    limit: u32,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<Cursor>,
}

/// A position in a list: opaque text that fits in the query of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Paging {
    /// The maximum number of items of one page.
    pub const MAX_LIMIT: u32 = 1000;

    /// Asks for the first `limit` items, at most [`Paging::MAX_LIMIT`].
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// Asks for the `limit` items after `cursor`.
    pub fn after(cursor: Cursor, limit: u32) -> Self {
        Self {
            after: Some(cursor),
            limit,
        }
    }

    /// Parses the cursor as the key of the list.
    pub(crate) fn key<K: FromStr>(&self) -> Result<Option<K>, Error> {
        self.after
            .as_ref()
            .map(|cursor| cursor.0.parse().map_err(|_| Error::InvalidCursor))
            .transpose()
    }

    /// Returns one more than the page's limit, to see if there is a next page.
    pub(crate) fn fetch_limit(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX_LIMIT)) + 1
    }
}

/// Asks for the first 50 items.
impl Default for Paging {
    fn default() -> Self {
        Self::first(50)
    }
}

impl<T> Page<T> {
    /// Makes another value of each item; the cursor stays.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(make).collect(),
            next: self.next,
        }
    }

    /// Removes the one extra item and sets the cursor to the last item of the page.
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
