//! Peers that stand still: a connection is not held for one that reads or sends
//! nothing, and a program's request counts until its answer is taken.

use super::rate::Pass;
use crate::base::limits;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes of an answer handed to the connection at once.
const PIECE_BYTES: usize = 16 << 10;

/// Time without a byte, from the first time there was none to be had.
struct Standstill {
    limit: Duration,
    alarm: Pin<Box<Sleep>>,
    stands: bool,
}

impl Standstill {
    fn new(limit: Duration) -> Self {
        let alarm = Box::pin(sleep(limit));
        let stands = false;
        Self {
            limit,
            alarm,
            stands,
        }
    }

    /// What a try says, unless it has said "not now" for too long.
    fn judge<T>(&mut self, tried: Poll<T>, context: &mut Context<'_>) -> Result<Poll<T>, TooSlow> {
        if tried.is_ready() {
            self.stands = false;
            return Ok(tried);
        }
        if !self.stands {
            self.stands = true;
            self.alarm.as_mut().reset(Instant::now() + self.limit);
        }
        match self.alarm.as_mut().poll(context) {
            Poll::Ready(()) => Err(TooSlow(self.limit)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing moved for {} s", .0.as_secs())]
struct TooSlow(Duration);

/// A connection that ends when its peer takes nothing of what is written.
pub(super) struct Connection<S> {
    stream: S,
    writing: Standstill,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        let writing = Standstill::new(limit);
        Self { stream, writing }
    }

    fn written<T>(
        &mut self,
        tried: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let judged = self.writing.judge(tried, context);
        judged.unwrap_or_else(|slow| Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, slow))))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(tried, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(tried, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A request whose body fails when nothing of it comes.
pub(super) async fn request(request: Request) -> Request {
    let limit = Duration::from_secs(limits::STANDSTILL_SECONDS_MAX);
    request.map(|body| {
        let reading = Standstill::new(limit);
        Body::new(Coming { body, reading })
    })
}

struct Coming {
    body: Body,
    reading: Standstill,
}

impl HttpBody for Coming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let tried = Pin::new(&mut self.body).poll_frame(context);
        let judged = self.reading.judge(tried, context);
        judged.unwrap_or_else(|slow| Poll::Ready(Some(Err(axum::Error::new(slow)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer that holds the program's pass until it is as good as taken. It goes
/// in pieces, because the connection asks for the next one when it has room.
pub(super) fn holding(pass: Pass, response: Response) -> Response {
    response.map(|body| {
        let rest = Bytes::new();
        Body::new(Going {
            body,
            rest,
            _pass: pass,
        })
    })
}

struct Going {
    body: Body,
    rest: Bytes,
    _pass: Pass,
}

impl HttpBody for Going {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let next = ready!(Pin::new(&mut self.body).poll_frame(context));
            match next.map(|next| next.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with = SizeHint::new();
        with.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            with.set_upper(upper.saturating_add(rest));
        }
        with
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::{Programs, Rate};
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn run(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn a_peer_that_takes_nothing_ends_the_connection_and_a_slow_one_does_not() {
        run(async {
            let limit = Duration::from_secs(1);
            let (ours, mut peer) = duplex(8);
            let mut connection = Connection::new(ours, limit);
            let reads = async {
                for _ in 0..6 {
                    sleep(limit / 4).await;
                    peer.read_exact(&mut [0; 8]).await.unwrap();
                }
            };
            let (sent, ()) = tokio::join!(connection.write_all(&[0; 56]), reads);
            sent.unwrap();
            let failed = connection.write_all(&[0; 1]).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_body_of_which_nothing_comes_fails() {
        run(async {
            let limit = Duration::from_millis(50);
            let body = Body::new(Never);
            let reading = Standstill::new(limit);
            let mut body = Body::new(Coming { body, reading });
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            let failed = frame.unwrap().unwrap_err();
            assert!(failed.to_string().contains("nothing moved"), "{failed}");
        });
    }

    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    #[test]
    fn a_request_counts_until_its_answer_is_taken() {
        run(async {
            let (per_second, burst) = (1000.0, 1000.0);
            let programs = Programs::new(Rate { per_second, burst });
            let admit = || programs.admit("slow", std::time::Instant::now());
            let content: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
            let answer = |pass| holding(pass, Response::new(Body::from(content.clone())));
            let room = limits::PROGRAM_REQUESTS_MAX;
            let mut held: Vec<Response> = (0..room).map(|_| answer(admit().unwrap())).collect();
            assert!(admit().is_err());
            let mut body = held.pop().unwrap().into_body();
            let mut taken = Vec::new();
            while !body.is_end_stream() {
                assert!(admit().is_err());
                let left = (content.len() - taken.len()) as u64;
                assert_eq!(body.size_hint().exact(), Some(left));
                let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
                let piece = frame.unwrap().unwrap().into_data().unwrap();
                assert!(piece.len() <= PIECE_BYTES);
                taken.extend_from_slice(&piece);
            }
            assert_eq!(taken, content);
            drop(body);
            assert!(admit().is_ok());
        });
    }
}
