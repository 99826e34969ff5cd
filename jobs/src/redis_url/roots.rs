//! The file of trusted certificates that `tls_ca` names.

use std::path::PathBuf;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::InvalidRedisUrl;
use super::parameters::TLS_CA;

/// Returns the path in the parameter `tls_ca` of a URL.
pub(super) fn named(url: &str) -> Option<PathBuf> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, path) = pairs.find(|(name, _)| name == TLS_CA)?;
    Some(PathBuf::from(path.as_ref()))
}

/// Reads the file, and refuses it unless it holds certificates and all of them are valid.
pub(super) fn read(path: PathBuf) -> Result<Vec<u8>, InvalidRedisUrl> {
    let checked = || {
        let pem = std::fs::read(&path).map_err(|error| error.to_string())?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| error.to_string())?;
        }
        if certificates.is_empty() {
            return Err("the file holds no certificate".to_owned());
        }
        Ok(pem)
    };
    checked().map_err(|why| InvalidRedisUrl::Roots { path, why })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::redis_url::RedisUrl;

    #[test]
    fn an_error_about_certificates_shows_no_password() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let broken = tempfile::NamedTempFile::new().unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(broken.path(), pem).unwrap();
        let with = |path: &std::path::Path| {
            format!("rediss://:hunter2@localhost/?tls_ca={}", path.display())
        };
        for (url, says) in [
            ("rediss://:hunter2@localhost/#insecure".to_owned(), "tls_ca"),
            (
                "redis://:hunter2@localhost/?tls_ca=/ca".to_owned(),
                "no effect",
            ),
            (
                "redis+sentinel://:hunter2@a/m?tls_ca=/ca".to_owned(),
                "no effect",
            ),
            (
                "redis+cluster://:hunter2@a?tls_ca=/ca".to_owned(),
                "no effect",
            ),
            (with("/nowhere/ca.pem".as_ref()), "/nowhere/ca.pem: No such"),
            (with(empty.path()), "holds no certificate"),
            (with(broken.path()), "tls_ca"),
        ] {
            let told = url.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_private_authority_is_trusted_in_every_form_with_tls() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(file.path(), issued.cert.pem()).unwrap();
        for form in [
            "rediss://a/",
            "rediss+sentinel://a,b/m",
            "rediss+cluster://a,b",
        ] {
            let url = format!("{form}?tls_ca={}", file.path().display());
            let url: RedisUrl = url.parse().unwrap();
            let roots = url.certificates().unwrap().root_cert;
            assert_eq!(roots.unwrap(), issued.cert.pem().into_bytes(), "{form}");
        }
    }
}
