//! A listener on loopback with the tasks of its connections, all of which end with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Pause after the system refused to hand over a connection (no file handles left).
const REFUSED_WAIT: Duration = Duration::from_millis(20);

/// How many connections were ever accepted; watched by those who wait for one.
pub(crate) type ConnectionCount = Arc<watch::Sender<u64>>;

/// A connection as it comes from the system.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    /// 1 for the first.
    pub(crate) number: u64,
}

/// An open listener. Closed, with all its connections, when dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens on `address` and gives each connection to `serve`.
    pub(crate) async fn start<F, Fut>(address: SocketAddr, count: ConnectionCount, serve: F) -> Self
    where
        F: Fn(Accepted) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address)
            .await
            .unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = listener.local_addr().expect("a listener has an address");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, count, serve, stopped));
        Self {
            address,
            stop,
            task,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and every connection, and waits until they are closed.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        let _ = self.task.await;
    }
}

async fn accept<F, Fut>(
    listener: TcpListener,
    count: ConnectionCount,
    serve: F,
    mut stopped: oneshot::Receiver<()>,
) where
    F: Fn(Accepted) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, remote)) = accepted else {
            sleep(REFUSED_WAIT).await;
            continue;
        };
        let number = *count.borrow() + 1;
        count.send_replace(number);
        connections.spawn(serve(Accepted {
            stream,
            remote,
            number,
        }));
    }
    drop(listener);
    connections.shutdown().await;
}
