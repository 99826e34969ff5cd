//! The certificate of a mail server.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::Error;

/// A self-signed certificate for `localhost`.
#[derive(Clone)]
pub struct Certificate {
    acceptor: TlsAcceptor,
    pem: String,
}

impl Certificate {
    /// Generates a key and a certificate.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate() -> Result<Self, Error> {
        generate().map_err(Error::io("no certificate for the mail server"))
    }

    /// The certificate as PEM, for the file that `tls_ca=` in `SMTP_URL` names.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

fn generate() -> io::Result<Certificate> {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let issued = issued.map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(
            vec![issued.cert.der().clone()],
            key.map_err(io::Error::other)?,
        )
        .map_err(io::Error::other)?;
    Ok(Certificate {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        pem: issued.cert.pem(),
    })
}
