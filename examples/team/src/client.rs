//! The client address of a request.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;

use crate::app::App;

/// The IP address that a request came from.
pub(crate) struct Client(pub(crate) IpAddr);

impl FromRequestParts<App> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let connected = connected.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
        Ok(Self(from_proxy(parts, app).unwrap_or(connected)))
    }
}

/// Returns the address that the reverse proxy wrote, if one is configured. A proxy appends to the header, so only
/// the last entry is trusted; the client can forge the entries before it.
fn from_proxy(parts: &Parts, app: &App) -> Option<IpAddr> {
    let header = app.config.client_header.as_ref()?;
    let last = parts.headers.get_all(header).iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}
