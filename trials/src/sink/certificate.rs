//! The self-signed certificate of the server.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Creates a certificate for localhost. Returns the acceptor that presents it and its PEM text for clients
/// to trust.
pub(super) fn issue() -> anyhow::Result<(TlsAcceptor, String)> {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key =
        PrivateKeyDer::try_from(issued.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), issued.cert.pem()))
}
