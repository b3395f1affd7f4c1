//! Connections: how many, how slow, how large a request head may be.

use super::{Api, pace, router};
use crate::base::limits;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// A bound listener that does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds `address`, which configuration has proved to be loopback.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens; the port is real even when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until `stop` says true, then lets open requests finish.
pub async fn serve(server: Server, api: Arc<Api>, mut stop: watch::Receiver<bool>) {
    let router = router(api);
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    loop {
        // Connections over the limit wait in the kernel's backlog.
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, server.listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                #[expect(
                    clippy::disallowed_methods,
                    reason = "counted by `slots`, awaited below"
                )]
                tokio::spawn(async move {
                    connection(stream, router, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let all = u32::try_from(limits::CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(Duration::from_secs(10), slots.acquire_many(all)).await;
}

async fn connection(stream: TcpStream, router: axum::Router, mut stop: watch::Receiver<bool>) {
    let limit = Duration::from_secs(limits::STANDSTILL_SECONDS_MAX);
    let stream = pace::Connection::new(stream, limit);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::HEAD_SECONDS_MAX))
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
