//! The listener, its connections, and what surrounds each request: statistics, latency, pacing.

use std::convert::Infallible;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Shared;
use super::access::{Doorkeeper, Hosts};
use super::service::Front;
use super::stats::Counted;
use super::wire::{Pacer, ReceivedBody, SentBody};

/// Pause after an accept that failed, so that running out of descriptors does not burn a processor.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

/// Accepts until told to stop. Whoever holds an `alive` is still running.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    let service = s3_service(&shared);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.changed() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = Connection { shared: shared.clone(), service: service.clone() };
                let (stopping, alive) = (stopping.clone(), alive.clone());
                tokio::spawn(async move {
                    connection.serve(stream, stopping).await;
                    drop(alive);
                });
            }
            // Out of descriptors, or the client has gone again: neither is the listener's end.
            Err(error) => {
                tracing::debug!(%error, "accept");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    drop(alive);
}

fn s3_service(shared: &Arc<Shared>) -> S3Service {
    let options = &shared.options;
    let mut builder = S3ServiceBuilder::new(Front(shared.clone()));
    builder.set_auth(SimpleAuth::from_single(options.access_key.as_str(), options.secret_key.as_str()));
    builder.set_access(Doorkeeper(shared.clone()));
    builder.set_host(Hosts);
    builder.build()
}

struct Connection {
    shared: Arc<Shared>,
    service: S3Service,
}

impl Connection {
    async fn serve(self, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        let _counted = Counted::new(self.shared.stats.clone());
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let pacer = self.shared.options.bandwidth_per_connection.map(|rate| Arc::new(Pacer::new(rate)));
        let handler = service_fn(|request| self.answer(request, pacer.clone()));
        let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
        let stopped = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => true,
            served = &mut connection => {
                if let Err(error) = served {
                    tracing::debug!(%error, "connection");
                }
                false
            }
        };
        if stopped {
            // A crash, not a farewell: what lies in the socket's buffer is lost too.
            if let Err(error) = connection.into_parts().io.into_inner().set_zero_linger() {
                tracing::debug!(%error, "SO_LINGER");
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        pacer: Option<Arc<Pacer>>,
    ) -> Result<Response<SentBody>, Infallible> {
        let stats = &self.shared.stats;
        if let Some(answer) = self.statistics(&request) {
            return Ok(answer.map(|body| SentBody::new(body.into(), Arc::default(), None)));
        }
        let request = request.map(|inner| s3s::Body::http_body(ReceivedBody { inner, stats: stats.clone() }));
        let answer = self.service.call(request).await.unwrap_or_else(|error| {
            tracing::warn!(?error, "a request failed inside the server");
            plain(StatusCode::INTERNAL_SERVER_ERROR, String::new()).map(s3s::Body::from)
        });
        stats.answer(answer.status().as_u16());
        if !self.shared.options.latency.is_zero() {
            tokio::time::sleep(self.shared.options.latency).await;
        }
        Ok(answer.map(|body| SentBody::new(body, stats.clone(), pacer)))
    }

    /// The pages that are no S3.
    fn statistics(&self, request: &Request<Incoming>) -> Option<Response<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/-/stats") => Some(plain(StatusCode::OK, self.shared.stats.snapshot().to_json())),
            (&Method::POST, "/-/stats/reset") => {
                self.shared.stats.reset();
                Some(plain(StatusCode::NO_CONTENT, String::new()))
            }
            _ => None,
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(text));
    *answer.status_mut() = status;
    answer
}
