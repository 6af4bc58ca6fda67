//! A server: bound, serving, and shut down in order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum_server::{
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use pigeon_hub::ca::ServerCertificate;
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{backend::Backend, guard::Guard, limits::RestLimits, router, shared::Rest, tls};

/// Streams that one HTTP/2 connection may have at once.
const STREAMS: u32 = 256;

/// Bytes of a request's header.
const HEADER: u32 = 64 << 10;

/// What a server needs to know.
#[derive(Debug)]
pub struct RestConfig {
    /// Where it listens (TCP); port 0 for any.
    pub listen: SocketAddr,
    /// The certificate, with its chain and key. Without one it speaks plain HTTP, and only on loopback.
    pub tls: Option<ServerCertificate>,
    /// What clients may take.
    pub limits: RestLimits,
}

/// The API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Tokens would go over the network for everyone to read.
    #[error("failed to serve the API on {listen}: plain HTTP is for loopback only")]
    Plain {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("failed to listen for the API on {listen}")]
    Listen {
        /// Where it was to listen.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("failed to use the certificate of the API")]
    Certificate(#[from] rustls::Error),
}

/// A server of the API. Dropped without [`shutdown`](Self::shutdown), it is cut off.
pub struct Server {
    address: SocketAddr,
    rest: Rest,
    handle: axum_server::Handle<SocketAddr>,
    certificate: Option<RustlsConfig>,
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Listen, and answer from now on.
    ///
    /// # Errors
    /// [`RestError`]
    pub async fn bind(config: RestConfig, backend: Arc<dyn Backend>) -> Result<Self, RestError> {
        let RestConfig { listen, tls, limits } = config;
        if tls.is_none() && !listen.ip().is_loopback() {
            return Err(RestError::Plain { listen });
        }
        let certificate = tls.map(tls::changeable).transpose()?;
        let failed = |source| RestError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let connections = Arc::new(Semaphore::new(limits.connections));
        let rest = Rest::new(backend, limits, certificate.is_some());
        let service = router::router(rest.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let handle = axum_server::Handle::new();
        let mut server = axum_server::Server::from_listener(listener).handle(handle.clone());
        let times = &rest.limits;
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(times.header_time);
        server
            .http_builder()
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(times.silence)
            .keep_alive_timeout(times.silence)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER);
        let task = match &certificate {
            Some(config) => {
                let inner = RustlsAcceptor::new(config.clone()).handshake_timeout(times.header_time);
                let inner = inner.acceptor(NoDelayAcceptor::new());
                tokio::spawn(server.acceptor(Guard { inner, connections, rest: rest.clone() }).serve(service))
            }
            None => {
                let guard = Guard { inner: NoDelayAcceptor::new(), connections, rest: rest.clone() };
                tokio::spawn(server.acceptor(guard).serve(service))
            }
        };
        Ok(Self { address, rest, handle, certificate, task: Some(task) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Room for requests that go on.
    #[cfg(test)]
    pub(super) fn free_streams(&self) -> usize {
        self.rest.streams.available_permits()
    }

    /// Take another certificate for the connections to come.
    ///
    /// # Errors
    /// [`RestError::Certificate`], if it cannot be used, or the server speaks plain HTTP.
    pub fn set_certificate(&self, certificate: ServerCertificate) -> Result<(), RestError> {
        let plain = || rustls::Error::General("the API speaks plain HTTP".to_owned());
        let current = self.certificate.as_ref().ok_or_else(plain)?;
        current.reload_from_config(tls::config(certificate)?);
        Ok(())
    }

    /// Go down in order: nothing new is taken; streams of events are ended where they are, with what their clients need
    /// to go on elsewhere; what is under way may end within `deadline`, and is cut off then; and what was begun and must
    /// not be left half done is seen to its end.
    pub async fn shutdown(mut self, deadline: Duration) {
        let until = Instant::now() + deadline;
        self.rest.stop.cancel();
        self.handle.graceful_shutdown(Some(deadline));
        if let Some(task) = self.task.take() {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the server of the API ended badly"),
                Err(error) => tracing::error!(%error, "the server of the API ended badly"),
            }
        }
        self.rest.deeds.close();
        // The clients are gone: what is left are writes to the store, and good-byes.
        let grace = until.max(Instant::now() + Duration::from_secs(5));
        if timeout_at(grace, self.rest.deeds.wait()).await.is_err() {
            tracing::warn!(left = self.rest.deeds.len(), "deeds of clients go on as the API goes down");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.rest.stop.cancel();
        self.handle.shutdown();
    }
}
