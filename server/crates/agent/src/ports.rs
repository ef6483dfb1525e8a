//! What listens inside a run can be offered outside of it. The run's worker says what listens; whoever answers browsers says where.

use std::{io, sync::Arc};

use async_trait::async_trait;
use sandbox::JailNet;
use tokio::net::TcpStream;
use wire::{ProjectId, RunId, previews::RunPort};

/// The way to the loopback of one run.
#[async_trait]
pub trait Inside: Send + Sync + 'static {
    /// Connects to `127.0.0.1:port` as a process of the run would.
    async fn connect(&self, port: u16) -> io::Result<TcpStream>;
}

#[async_trait]
impl Inside for JailNet {
    async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        Self::connect(self, port).await
    }
}

/// Gives ports of runs an address outside.
pub trait PortForward: Send + Sync + 'static {
    /// `ports` is all that listens in the run now. Answers the same ports, each with the public port that leads to it by now.
    fn offer(&self, run: RunId, project: ProjectId, inside: &Arc<dyn Inside>, ports: &[u16]) -> Vec<RunPort>;

    /// The run has ended: nothing leads to it any more, and open connections are cut.
    fn close(&self, run: RunId);
}

/// The ports of one live run. Dropping it closes them all.
pub struct OfferedPorts {
    forward: Arc<dyn PortForward>,
    run: RunId,
    project: ProjectId,
    inside: Option<Arc<dyn Inside>>,
}

impl OfferedPorts {
    /// `net` is what the sandbox gave for the run; without one its ports are seen, but can't be reached.
    pub fn new(forward: &Arc<dyn PortForward>, run: RunId, project: ProjectId, net: Option<impl Inside>) -> Self {
        let inside = net.map(|net| Arc::new(net) as Arc<dyn Inside>);
        Self { forward: forward.clone(), run, project, inside }
    }

    /// To be called with all that listens, before that is told to anybody.
    pub fn update(&self, ports: &[u16]) -> Vec<RunPort> {
        match &self.inside {
            Some(inside) => self.forward.offer(self.run, self.project, inside, ports),
            None => ports.iter().map(|port| RunPort { port: *port, public_port: None }).collect(),
        }
    }
}

impl Drop for OfferedPorts {
    fn drop(&mut self) {
        self.forward.close(self.run);
    }
}
