//! TLS in front of plain http, for the hosts of one site.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, KeyPair, PublicKeyData as _, generate_simple_self_signed};
use sha2::{Digest, Sha256};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The domain that the hosts share. Whoever has one of them may set cookies for it.
pub(crate) const SITE: &str = "site.test";

/// Where the application is.
pub(crate) const APP: &str = "app.site.test";

/// One certificate for every host of the site, made anew in each run.
static CERTIFICATE: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| generate_simple_self_signed([format!("*.{SITE}")]).expect("a certificate can be made"));

/// By what a browser is told to trust the certificate: the digest of its public key.
pub(crate) fn fingerprint() -> String {
    STANDARD.encode(Sha256::digest(CERTIFICATE.signing_key.subject_public_key_info()))
}

/// Listens on a port of its own until it is dropped.
pub(crate) struct Front {
    port: u16,
    task: JoinHandle<()>,
}

impl Front {
    /// Passes on what it decrypts, to the byte.
    pub(crate) async fn of(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let acceptor = TlsAcceptor::from(Arc::new(settings()));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Either side may hang up at any time, as a browser does that opened one connection too many.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, task }
    }

    pub(crate) fn origin(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings() -> ServerConfig {
    let key = PrivateKeyDer::try_from(CERTIFICATE.signing_key.serialize_der()).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3 is among them")
        .with_no_client_auth()
        .with_single_cert(vec![CERTIFICATE.cert.der().clone()], key)
        .expect("the key is the certificate's")
}
