//! Several real nats-servers that form one cluster on loopback.

use std::net::TcpListener;

use crate::nats_server::{NatsServer, NatsServerBuilder};

/// The name of each node, by its number.
fn name(number: usize) -> String {
    format!("node-{number}")
}

/// A cluster of nodes, each of which can be killed, suspended and started again.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts `count` nodes that are set up as `builder` says and waits until they take connections.
    /// They may still be choosing leaders then.
    ///
    /// # Panics
    /// If a node does not come up; its log is shown.
    pub async fn start(builder: &NatsServerBuilder, count: usize) -> Self {
        let ports = free_ports(count);
        let routes: Vec<String> = ports
            .iter()
            .map(|port| format!("nats-route://127.0.0.1:{port}"))
            .collect();
        let starting = ports.iter().enumerate().map(|(number, port)| {
            let cluster = format!(
                "cluster {{ name: tidings, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
                routes.join(", ")
            );
            builder.clone().name(&name(number)).config(&cluster).start()
        });
        Self {
            nodes: futures_util::future::join_all(starting).await,
        }
    }

    /// The nodes; the name of the first is `node-0`, and so on.
    #[must_use]
    pub fn into_nodes(self) -> Vec<NatsServer> {
        self.nodes
    }

    /// The nodes, as one and its peers.
    ///
    /// # Panics
    /// If the cluster was started without nodes.
    #[must_use]
    pub fn into_first_and_peers(mut self) -> (NatsServer, Vec<NatsServer>) {
        let first = self.nodes.remove(0);
        (first, self.nodes)
    }
}

/// Ports that are free now. All are held until all are found, so that they differ.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("there are free ports"))
        .collect();
    held.iter()
        .map(|listener| listener.local_addr().expect("it is bound").port())
        .collect()
}
