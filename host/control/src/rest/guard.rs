//! Connections: so many at once, and none that does nothing for ever.
//!
//! What hyper sees to (the time of a request's header, of an HTTP/2 ping) is not said again here. It leaves open the first
//! bytes of a connection, by which it tells HTTP/1 from HTTP/2; a client that does not read its answer; and the end of a
//! connection whose request was refused before it was read: were it closed at once, the kernel would take the answer back
//! that is still on its way.

use std::{
    future::Future as _,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

use super::shared::Rest;

/// Bytes by which the version of HTTP is told.
const OPENING: usize = 24;

/// What is read and thrown away at the end, at most.
const LINGER: usize = 1 << 20;

/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Accepts what `inner` does, within bounds.
#[derive(Clone)]
pub(super) struct Guard<A> {
    pub(super) inner: A,
    pub(super) connections: Arc<Semaphore>,
    pub(super) rest: Rest,
}

impl<A, I, S> Accept<I, S> for Guard<A>
where
    A: Accept<I, S, Future: Send + 'static, Stream: Send, Service: Send> + 'static,
    I: Send + 'static,
    S: Send + 'static,
{
    type Stream = Guarded<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            self.rest.figures.turned_away("connections");
            tracing::debug!("a connection is closed as it comes: there are too many");
            return Box::pin(std::future::ready(Err(io::Error::other("too many connections"))));
        };
        let (accepted, silence) = (self.inner.accept(stream, service), self.rest.limits.silence);
        // The first bytes may take as long as a header.
        let opening = Instant::now() + self.rest.limits.header_time;
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let opening = Some(Box::pin(tokio::time::sleep_until(opening)));
            let end = End::Open;
            Ok((Guarded { stream, opening, read: 0, silence, stalled: None, end, _permit: permit }, service))
        })
    }
}

/// A connection within bounds.
pub(super) struct Guarded<S> {
    stream: S,
    /// When the first bytes must have come.
    opening: Option<Pin<Box<Sleep>>>,
    read: usize,
    silence: Duration,
    /// When the client must have read something.
    stalled: Option<Pin<Box<Sleep>>>,
    end: End,
    _permit: OwnedSemaphorePermit,
}

enum End {
    Open,
    /// Nothing more is written, and this much may still be thrown away.
    Lingering {
        left: usize,
        until: Pin<Box<Sleep>>,
    },
    Closed,
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buf);
        if self.opening.is_none() {
            return polled;
        }
        self.read += buf.filled().len() - before;
        if self.read >= OPENING {
            self.opening = None;
        } else if polled.is_pending()
            && let Some(opening) = &mut self.opening
            && opening.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// A write that has waited too long fails.
    fn watched<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let silence = self.silence;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watched(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.watched(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let End::Open = this.end {
            let polled = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.watched(context, polled))?;
            this.end = End::Lingering { left: LINGER, until: Box::pin(tokio::time::sleep(LINGER_TIME)) };
        }
        let mut thrown = [0; 8 << 10];
        while let End::Lingering { left, until } = &mut this.end {
            let mut buf = ReadBuf::new(&mut thrown);
            let over = match pin!(&mut this.stream).poll_read(context, &mut buf) {
                Poll::Pending => {
                    ready!(until.as_mut().poll(context));
                    true
                }
                Poll::Ready(Err(_)) => true,
                Poll::Ready(Ok(())) => {
                    let read = buf.filled().len();
                    *left = left.saturating_sub(read);
                    read == 0 || *left == 0
                }
            };
            if over {
                this.end = End::Closed;
            }
        }
        Poll::Ready(Ok(()))
    }
}
