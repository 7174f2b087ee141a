//! A node's agent behind TLS, with a certificate of its own or one that belongs to another key.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use imbrex_api::node::{
    BootOutcome, BootStage, Drive, DriveState, Drives, FormatOrder, Memory, Node, NodeState,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::FakeDrive;

pub(crate) type Orders = Arc<Mutex<Vec<(String, FormatOrder)>>>;

/// A fake node, which serves until it is dropped.
pub(crate) struct FakeNode {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: String,
    orders: Orders,
    runtime: Option<Runtime>,
}

/// Whose key the node signs with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signs {
    WithItsOwnKey,
    WithAnotherKey,
}

impl FakeNode {
    pub(crate) fn start(drives: Vec<Drive>, signs: Signs) -> Self {
        Self::start_with(drives, signs, Router::new())
    }

    /// A node that answers `routes` too.
    pub(crate) fn start_with(drives: Vec<Drive>, signs: Signs, routes: Router<Orders>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["imbrex".into()]).unwrap().self_signed(&key).unwrap();
        let signing = if signs == Signs::WithItsOwnKey { key } else { KeyPair::generate().unwrap() };
        let pairs: Vec<String> =
            Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02X}")).collect();
        let acceptor = TlsAcceptor::from(Arc::new(tls(certificate.der().clone(), &signing)));

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let orders = Orders::default();
        let router = Router::new()
            .route("/v1/node", get(|| async { Json(node()) }))
            .route("/v1/drives", get(move || async move { Json(Drives { drives }) }))
            .route("/v1/drives/{id}/format", post(format))
            .merge(routes)
            .with_state(orders.clone());
        runtime.spawn(async move { axum::serve(Tls { listener, acceptor }, router).await });
        Self { address, fingerprint: format!("SHA256:{}", pairs.join(":")), orders, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn orders(&self) -> Vec<(String, FormatOrder)> {
        self.orders.lock().unwrap().clone()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn format(State(orders): State<Orders>, Path(id): Path<String>, Json(order): Json<FormatOrder>) {
    orders.lock().unwrap().push((id, order));
}

fn node() -> Node {
    Node {
        name: Some("fake".into()),
        version: "0.1.0".into(),
        state: NodeState::Running,
        reason: None,
        config_url: None,
        uptime_ms: Some(65_000),
        boot: vec![BootStage {
            stage: "network".into(),
            started_ms: 900,
            took_ms: Some(1500),
            outcome: BootOutcome::Done,
            detail: None,
        }],
        certificate_sha256: None,
        kernel_release: Some("7.2".into()),
        memory: Memory { total_bytes: Some(512 << 20), available_bytes: None },
        agent_rss_bytes: None,
        watchdog: None,
        last_crash: Vec::new(),
        clock_steps: 0,
        helpers_stuck: 0,
    }
}

/// How a node lists a fake drive.
pub(crate) fn serving(drive: &FakeDrive) -> Drive {
    Drive {
        id: format!("wwn-{}", drive.address.port()),
        serial: Some("S1".into()),
        state: DriveState::Serving,
        drive_id: Some(drive.drive_id.clone()),
        data_port: Some(drive.address.port()),
        ..Drive::default()
    }
}

fn tls(certificate: CertificateDer<'static>, key: &KeyPair) -> rustls::ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    // Unlike the usual way to build a server, this does not check that key and certificate belong together.
    let presented = Presented(Arc::new(CertifiedKey::new(vec![certificate], key)));
    rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(presented))
}

#[derive(Debug)]
struct Presented(Arc<CertifiedKey>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
