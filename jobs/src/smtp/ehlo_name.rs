//! The name that the worker gives to the mail server in EHLO and HELO.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use lettre::transport::smtp::extension::ClientId;

/// A fully qualified domain name such as `worker.acme.example`, or an address literal such as
/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EhloName(ClientId);

/// The reason why a text is not a name for EHLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEhloName {
    /// It is not a domain name in ASCII (RFC 5321 section 4.1.2).
    #[error("not a domain name of letters, digits, hyphens and dots")]
    Domain,
    /// The domain name has no dot; mail servers refuse such names.
    #[error("a name without a dot is not fully qualified")]
    NotQualified,
    /// An IP address without brackets.
    #[error("an address needs brackets, as in [192.0.2.1] or [IPv6:2001:db8::1]")]
    NoBrackets,
    /// The brackets contain no IP address of a known form.
    #[error("not an address in brackets, as in [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal,
}

impl EhloName {
    /// Returns the name of this host, or, if it is not fully qualified, the address from which the
    /// connection comes.
    ///
    /// RFC 5321 sections 4.1.1.1 and 4.1.4 ask for exactly this. The domain of the sender is no
    /// substitute: it is not the name of this host, and servers check EHLO against the address of
    /// the client (RFC 7208 section 2.3).
    pub(super) fn of_host(local: IpAddr) -> Self {
        Self::from_host_name(&ClientId::default().to_string(), local)
    }

    fn from_host_name(host: &str, local: IpAddr) -> Self {
        let name = host.trim_end_matches('.').parse();
        name.ok()
            .filter(|Self(name)| matches!(name, ClientId::Domain(_)))
            .unwrap_or_else(|| Self::from(local))
    }

    /// Returns the name in the form of lettre's commands.
    pub(super) fn client_id(&self) -> ClientId {
        self.0.clone()
    }
}

impl From<IpAddr> for EhloName {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => ClientId::Ipv4(address),
            IpAddr::V6(address) => ClientId::Ipv6(address),
        })
    }
}

impl FromStr for EhloName {
    type Err = InvalidEhloName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let brackets = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Some(literal) = brackets {
            return literal_address(literal).ok_or(InvalidEhloName::Literal);
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(InvalidEhloName::NoBrackets);
        }
        if text.len() > 255 || !text.split('.').all(is_label) {
            return Err(InvalidEhloName::Domain);
        }
        if !text.contains('.') {
            return Err(InvalidEhloName::NotQualified);
        }
        Ok(Self(ClientId::Domain(text.to_owned())))
    }
}

fn literal_address(text: &str) -> Option<EhloName> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(EhloName(ClientId::Ipv4(address)));
    }
    let (tag, address) = text.split_once(':')?;
    let address = address.parse::<Ipv6Addr>().ok()?;
    tag.eq_ignore_ascii_case("IPv6")
        .then_some(EhloName(ClientId::Ipv6(address)))
}

/// Returns whether a text is a label of a domain name (RFC 1035 section 2.3.4, RFC 5321 section 4.1.2).
fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&label.len())
        && label.chars().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for EhloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_is_a_qualified_domain_or_a_literal() {
        for text in [
            "worker.acme.example",
            "xn--bcher-kva.example",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert_eq!(text.parse::<EhloName>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("", InvalidEhloName::Domain),
            ("worker", InvalidEhloName::NotQualified),
            ("worker.", InvalidEhloName::Domain),
            ("-worker.acme.example", InvalidEhloName::Domain),
            ("a_b.example", InvalidEhloName::Domain),
            ("bücher.example", InvalidEhloName::Domain),
            (
                "a.example\r\nMAIL FROM:<x@y.example>",
                InvalidEhloName::Domain,
            ),
            ("192.0.2.1", InvalidEhloName::NoBrackets),
            ("2001:db8::1", InvalidEhloName::NoBrackets),
            ("[2001:db8::1]", InvalidEhloName::Literal),
            ("[IPv6:192.0.2.1]", InvalidEhloName::Literal),
            ("[worker.acme.example]", InvalidEhloName::Literal),
        ] {
            assert_eq!(text.parse::<EhloName>(), Err(expected), "{text:?}");
        }
        let long = format!("{}example", "a.".repeat(125));
        assert_eq!(long.parse::<EhloName>(), Err(InvalidEhloName::Domain));
    }

    #[test]
    fn a_host_without_a_qualified_name_gives_its_address() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        for (host, local, expected) in [
            ("worker.acme.example", v4, "worker.acme.example"),
            ("worker.acme.example.", v4, "worker.acme.example"),
            ("3f2a91c07b5d", v4, "[192.0.2.1]"),
            ("a_b.example", v4, "[192.0.2.1]"),
            ("", v6, "[IPv6:2001:db8::1]"),
            ("3f2a91c07b5d", mapped, "[192.0.2.1]"),
            ("[127.0.0.1]", v4, "[192.0.2.1]"),
        ] {
            assert_eq!(EhloName::from_host_name(host, local).to_string(), expected);
        }
    }
}
