//! A control host with agents, and the API in front of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_api::{
    Chunk, ChunkBuilder, Digest, Pigeon, Role,
    client::{Endpoint, RestClient, Trust},
};
use pigeon_cli::embedded::{Embedded, Options};
use pigeon_control::{
    Metrics, Principal,
    rest::{Backend, RestConfig, RestLimits, Server},
};
use tempfile::TempDir;

/// Tokens that are known, and what they allow.
const TOKENS: [(&str, Role); 2] = [("the-admin", Role::Admin), ("the-viewer", Role::Viewer)];

/// One client for all, and tokens that never change.
struct Behind(Arc<dyn Pigeon>);

#[async_trait]
impl Backend for Behind {
    fn client_as(&self, _: &str) -> Arc<dyn Pigeon> {
        self.0.clone()
    }

    fn principal(&self, secret: &str) -> Option<Principal> {
        let (name, role) = TOKENS.into_iter().find(|(token, _)| *token == secret)?;
        Some(Principal { name: name.to_owned(), role })
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        Ok(())
    }

    async fn metrics(&self) -> Metrics {
        Metrics::default()
    }
}

pub(crate) struct Place {
    pub(crate) embedded: Embedded,
    server: Option<Server>,
    address: SocketAddr,
    tls: bool,
    _dir: TempDir,
}

impl Place {
    pub(crate) async fn start(tls: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let mut embedded = Embedded::start(Options::new(dir.path())).await.unwrap();
        embedded.add_agents(2).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut place = Self { embedded, server: None, address, tls, _dir: dir };
        place.serve().await;
        place
    }

    /// Serve the API, where it was served before.
    pub(crate) async fn serve(&mut self) {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let tls = self.tls.then(|| self.embedded.app().server_certificate(&names).unwrap());
        let config = RestConfig { listen: self.address, tls, limits: RestLimits::default() };
        let server = Server::bind(config, Arc::new(Behind(self.embedded.client()))).await.unwrap();
        self.address = server.address();
        self.server = Some(server);
    }

    /// Serve it no longer; what is under way is cut off.
    pub(crate) async fn silence(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown(Duration::ZERO).await;
        }
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("{}://{host}:{}", if self.tls { "https" } else { "http" }, self.address.port())
    }

    pub(crate) fn fingerprint(&self) -> Digest {
        Digest::of(self.embedded.app().ca_certificate())
    }

    pub(crate) fn client(&self) -> RestClient {
        client(&self.url("127.0.0.1"), "the-admin", Trust::Fingerprint(self.fingerprint()))
    }

    pub(crate) async fn stop(mut self) {
        self.silence().await;
        self.embedded.stop(Duration::from_secs(1)).await;
    }
}

pub(crate) fn client(server: &str, token: &str, trust: Trust) -> RestClient {
    RestClient::new(Endpoint { server: server.to_owned(), token: Some(token.to_owned()), trust }).unwrap()
}

/// Chunks of items for the plugin `json`, of which every third is invalid.
pub(crate) fn chunks(chunks: u64, items: u64) -> Vec<Chunk> {
    let mut builder = ChunkBuilder::default();
    let chunk = |number: u64| {
        for item in number * items..(number + 1) * items {
            let body = if item % 3 == 0 { "{".to_owned() } else { format!("[{item}]") };
            builder.push(|id| id.extend_from_slice(format!("item-{item}").as_bytes()), item + 1, body.as_bytes());
        }
        builder.finish(Bytes::from(number.to_string()))
    };
    (0..chunks).map(chunk).collect()
}
