//! The number of seats of an organization.

use std::fmt;
use std::str::FromStr;

/// The seats of an organization without a number of its own, and what counts as taken.
///
/// A member that is not suspended takes a seat, and so does an open invitation, which reserves one;
/// with [`without_pending`](Self::without_pending) only members count. Written as `none`, `25`, or
/// `25,members` if only members count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seats {
    pub(crate) limit: Option<u32>,
    pub(crate) pending: bool,
}

/// The reason why a text is not a number of seats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of seats: write none, 25, or 25,members")]
pub struct InvalidSeats(String);

impl Seats {
    /// Sets no limit. [`set_seats`](crate::ActingIn::set_seats) may still limit an organization.
    pub fn unlimited() -> Self {
        Self {
            limit: None,
            pending: true,
        }
    }

    /// Sets a limit of `seats`.
    pub fn at_most(seats: u32) -> Self {
        Self {
            limit: Some(seats),
            ..Self::unlimited()
        }
    }

    /// Lets open invitations take no seat: then more people can be invited than there are seats,
    /// and the last ones to accept are refused.
    pub fn without_pending(self) -> Self {
        Self {
            pending: false,
            ..self
        }
    }
}

impl Default for Seats {
    fn default() -> Self {
        Self::unlimited()
    }
}

impl FromStr for Seats {
    type Err = InvalidSeats;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSeats(text.to_owned());
        let (number, counted) = match text.trim().split_once(',') {
            Some((number, "members")) => (number, Self::without_pending as fn(Self) -> Self),
            Some(_) => return Err(invalid()),
            None => (text.trim(), (|seats| seats) as fn(Self) -> Self),
        };
        let seats = match number {
            "none" => Self::unlimited(),
            number => Self::at_most(number.parse().map_err(|_| invalid())?),
        };
        Ok(counted(seats))
    }
}

impl fmt::Display for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(seats) => write!(f, "{seats}")?,
            None => f.write_str("none")?,
        }
        f.write_str(if self.pending { "" } else { ",members" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_read_as_they_are_printed() {
        for (text, seats) in [
            ("none", Seats::unlimited()),
            ("25", Seats::at_most(25)),
            ("25,members", Seats::at_most(25).without_pending()),
            ("none,members", Seats::unlimited().without_pending()),
        ] {
            assert_eq!(text.parse(), Ok(seats));
            assert_eq!(seats.to_string(), text);
        }
    }

    #[test]
    fn a_misspelled_number_of_seats_is_refused() {
        for text in ["", "-1", "25.5", "many", "25,pending", "4294967296", "25,"] {
            assert!(text.parse::<Seats>().is_err(), "{text:?} was accepted");
        }
    }
}
