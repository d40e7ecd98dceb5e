//! One TCP connection as hyper reads and writes it: how much comes in while nobody knows who is there, and how it ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use roost_shared::Code;
use roost_shared::limits::{BEFORE_WELCOME_MAX, SEND_STALL_MS};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Sleep;
use tokio_io_timeout::TimeoutStream;

use crate::access::Charge;

/// A peer that was refused while it was still sending is read from for this long, into nothing: a connection that is
/// closed on unread bytes is reset, and the refusal lost with it.
const LINGER: Duration = Duration::from_secs(1);

/// The bytes a socket may bring before Welcome. The WebSocket library's sizes are those of a whole message from the upgrade
/// on; the stream below it is what can be narrowed, and widened at Welcome.
#[derive(Default)]
pub struct Valve {
    state: Mutex<State>,
    over: Notify,
}

#[derive(Default)]
enum State {
    /// HTTP, whose heads and bodies are bounded where they are read, or a device that was let in.
    #[default]
    Wide,
    Narrow(Narrow),
}

struct Narrow {
    left: usize,
    charge: Charge,
    over: Option<Code>,
    reader: Option<Waker>,
}

impl Valve {
    /// Lets no more in from here on than a Hello takes.
    pub fn narrow(&self, charge: Charge) {
        let narrow = Narrow { left: BEFORE_WELCOME_MAX, charge, over: None, reader: None };
        *self.state.lock() = State::Narrow(narrow);
    }

    /// Lets everything in from here on, and gives back what was charged.
    pub fn widen(&self) {
        let was = std::mem::take(&mut *self.state.lock());
        if let State::Narrow(Narrow { reader: Some(reader), .. }) = was {
            reader.wake();
        }
    }

    /// Waits until a socket brought more than it may before Welcome.
    pub async fn overflow(&self) -> Code {
        loop {
            self.over.notified().await;
            if let Some(code) = self.is_over() {
                return code;
            }
        }
    }

    fn is_over(&self) -> Option<Code> {
        match &*self.state.lock() {
            State::Wide => None,
            State::Narrow(narrow) => narrow.over,
        }
    }

    /// The number of bytes that may be read now.
    fn poll_room(&self, context: &Context<'_>) -> Poll<usize> {
        match &mut *self.state.lock() {
            State::Wide => Poll::Ready(usize::MAX),
            State::Narrow(narrow) if narrow.over.is_none() && narrow.left > 0 => Poll::Ready(narrow.left),
            State::Narrow(narrow) => {
                narrow.over.get_or_insert(Code::TooLarge);
                narrow.reader = Some(context.waker().clone());
                self.over.notify_one();
                Poll::Pending
            }
        }
    }

    fn took(&self, bytes: usize) {
        if let State::Narrow(narrow) = &mut *self.state.lock() {
            narrow.left = narrow.left.saturating_sub(bytes);
            if let Err(code) = narrow.charge.add(bytes) {
                narrow.over = Some(code);
            }
        }
    }
}

/// A connection, read through its [`Valve`].
pub struct Line {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    valve: Arc<Valve>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl Line {
    /// Takes an accepted connection over.
    pub fn new(stream: TcpStream, valve: Arc<Valve>) -> Self {
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        // A write that makes no progress for this long ends the connection, however slow a steady reader may be.
        stream.set_write_timeout(Some(Duration::from_millis(SEND_STALL_MS)));
        Self { stream: Box::pin(stream), valve, linger: None }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        let room = ready!(line.valve.poll_room(context)).min(into.remaining());
        let mut part = ReadBuf::new(into.initialize_unfilled_to(room));
        ready!(line.stream.as_mut().poll_read(context, &mut part))?;
        let bytes = part.filled().len();
        into.advance(bytes);
        line.valve.took(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.linger.is_none() {
            ready!(line.stream.as_mut().poll_shutdown(context))?;
        }
        let linger = line.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        // The time is asked first: who sends without a pause must not keep it from being asked.
        if linger.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut nothing = [0; 4 * 1024];
        loop {
            let mut part = ReadBuf::new(&mut nothing);
            match line.stream.as_mut().poll_read(context, &mut part) {
                Poll::Ready(Ok(())) if !part.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
