//! Connections that an answer can cut: before its first byte, or in the middle of its body.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Cuts one connection; each request is given its connection's.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(Arc<Mutex<Plan>>);

#[derive(Clone, Copy, Debug, Default)]
enum Plan {
    #[default]
    Whole,
    /// So many bytes after the head of the next answer.
    AfterHead(usize),
    /// So many bytes from now.
    After(usize),
}

impl Cut {
    /// Closes the connection before another byte is written.
    pub(super) fn now(&self) {
        self.plan(Plan::After(0));
    }

    /// Closes the connection when the next answer has written its head and `bytes` of its body.
    pub(super) fn within_body(&self, bytes: usize) {
        self.plan(Plan::AfterHead(bytes));
    }

    fn plan(&self, plan: Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How many bytes of `buffer` may be written.
    fn allowed(&self, buffer: &[u8]) -> usize {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // hyper writes a head in one piece.
        if let Plan::AfterHead(bytes) = *plan {
            let head = buffer
                .windows(4)
                .position(|end| end == b"\r\n\r\n")
                .map_or(0, |at| at + 4);
            *plan = Plan::After(head + bytes);
        }
        match *plan {
            Plan::After(left) => left.min(buffer.len()),
            Plan::Whole | Plan::AfterHead(_) => buffer.len(),
        }
    }

    fn written(&self, bytes: usize) {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Plan::After(left) = &mut *plan {
            *left = left.saturating_sub(bytes);
        }
    }
}

/// The listening socket, whose connections can be cut.
pub(super) struct Door(pub(super) TcpListener);

pub(super) struct Connection {
    socket: TcpStream,
    cut: Cut,
}

impl Listener for Door {
    type Io = Connection;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Connection, Self::Addr) {
        let (socket, address) = Listener::accept(&mut self.0).await;
        // Without this a page waits for the client's acknowledgement; where it fails, it is only slower.
        let _ = socket.set_nodelay(true);
        (
            Connection {
                socket,
                cut: Cut::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().cut.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = self.cut.allowed(buffer);
        if allowed == 0 && !buffer.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = Pin::new(&mut self.socket).poll_write(context, &buffer[..allowed]);
        if let Poll::Ready(Ok(bytes)) = written {
            self.cut.written(bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_after_its_head() {
        let cut = Cut::default();
        let answer = b"HTTP/1.1 200 OK\r\n\r\nbody";
        assert_eq!(cut.allowed(answer), answer.len());
        cut.within_body(2);
        assert_eq!(cut.allowed(answer), answer.len() - 2);
        cut.written(10);
        assert_eq!(cut.allowed(&answer[10..]), answer.len() - 12);
        cut.written(answer.len() - 12);
        assert_eq!(cut.allowed(b"dy"), 0);
    }

    #[test]
    fn nothing_is_written_after_a_cut() {
        let cut = Cut::default();
        cut.now();
        assert_eq!(cut.allowed(b"HTTP/1.1"), 0);
    }
}
