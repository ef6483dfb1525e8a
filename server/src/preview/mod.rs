//! Previews: what listens inside a run is shown on an origin of its own, to people who may see its project.
//!
//! A run's worker says what listens ([`PortForward`]). Each port of each run gets a port of this machine, or a name below
//! `PREVIEW_DOMAIN` that the site's own listener answers. Both end in the same gate: without a ticket for exactly this preview nothing
//! is passed on, and nothing that belongs to this site goes in or comes out.

mod access;
mod gate;
mod headers;
mod listener;
mod page;
mod pool;
mod proxy;

use std::{
    collections::HashMap,
    net::IpAddr,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use agent::{Inside, PortForward};
use axum::{body::Body, extract::Request, http::header, response::Response};
use domain::{
    Services,
    previews::{self, HOST_PREFIX, Preview},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use wire::{ProjectId, RunId, previews::RunPort};

use access::Access;
use pool::Pool;

/// Ports of one run that can be opened.
const PORTS_PER_RUN: usize = 16;
/// Requests and sockets of one preview at a time.
const REQUESTS: usize = 256;

#[derive(Debug, Clone)]
pub struct PreviewConfig {
    /// Where ports of previews are opened.
    pub host: IpAddr,
    /// `None`: no ports are opened.
    pub ports: Option<RangeInclusive<u16>>,
    /// Previews are names below this domain instead.
    pub domain: Option<String>,
}

/// All previews of this process. Cheap to clone.
#[derive(Clone)]
pub struct PreviewHub(Arc<Hub>);

struct Hub {
    services: Arc<Services>,
    config: PreviewConfig,
    access: Access,
    state: Mutex<State>,
}

struct State {
    offers: HashMap<(RunId, u16), Arc<Offer>>,
    names: HashMap<String, Arc<Offer>>,
    listeners: HashMap<u16, Arc<TcpListener>>,
    pool: Pool,
}

/// One port of one live run.
struct Offer {
    preview: Preview,
    inside: Arc<dyn Inside>,
    /// The port of its own, where that is the way.
    public_port: Option<u16>,
    /// Something listened when it was last looked at. A server that restarts keeps its address.
    listens: AtomicBool,
    closed: CancellationToken,
    requests: Arc<Semaphore>,
}

impl Offer {
    /// Cookies do not know ports, so the name does.
    fn cookie_name(&self) -> String {
        self.public_port.map_or_else(|| "cxd_preview".to_owned(), |port| format!("cxd_preview_{port}"))
    }
}

/// What a host name leads to.
enum Named {
    /// Not a name of previews.
    Other,
    /// Nothing that is open now.
    Closed,
    Open(Arc<Offer>),
}

impl PreviewHub {
    pub fn new(services: Arc<Services>, config: PreviewConfig) -> Self {
        // With names, a port would be a second way in.
        let ports = config.ports.clone().filter(|_| config.domain.is_none());
        let state = State { offers: HashMap::new(), names: HashMap::new(), listeners: HashMap::new(), pool: Pool::new(ports) };
        Self(Arc::new(Hub { access: Access::new(services.clone()), services, config, state: Mutex::new(state) }))
    }

    /// Answers requests whose host name is one of previews; gives the others back.
    pub async fn answer_named(&self, request: Request) -> Result<Response, Request> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        match self.0.named(host) {
            Named::Other => Err(request),
            Named::Closed => Ok(page::closed()),
            Named::Open(offer) => Ok(gate::answer(&self.0, &offer, request).await),
        }
    }
}

impl PortForward for PreviewHub {
    fn offer(&self, run: RunId, project: ProjectId, inside: &Arc<dyn Inside>, ports: &[u16]) -> Vec<RunPort> {
        let mut state = self.0.lock();
        for ((owner, port), offer) in &state.offers {
            if *owner == run {
                offer.listens.store(ports.contains(port), Ordering::Relaxed);
            }
        }
        let mut answer = Vec::with_capacity(ports.len());
        for port in ports {
            let preview = Preview { run, project, port: *port };
            let offer = state.offers.get(&(run, *port)).cloned().or_else(|| self.open(&mut state, preview, inside));
            answer.push(RunPort { port: *port, public_port: offer.and_then(|offer| offer.public_port) });
        }
        answer
    }

    fn close(&self, run: RunId) {
        let mut state = self.0.lock();
        let ports: Vec<u16> = state.offers.keys().filter(|(owner, _)| *owner == run).map(|(_, port)| *port).collect();
        for port in ports {
            state.close(run, port);
        }
    }
}

impl PreviewHub {
    fn open(&self, state: &mut State, preview: Preview, inside: &Arc<dyn Inside>) -> Option<Arc<Offer>> {
        if state.offers.keys().filter(|(owner, _)| *owner == preview.run).count() >= PORTS_PER_RUN {
            return None;
        }
        let label = match self.0.config.domain {
            Some(_) => Some(previews::label(&self.0.services, preview.run, preview.port).ok()?),
            None => None,
        };
        let own = if label.is_none() { Some(self.take_port(state, preview.project)?) } else { None };
        let offer = Arc::new(Offer {
            preview,
            inside: inside.clone(),
            public_port: own.as_ref().map(|(port, _)| *port),
            listens: AtomicBool::new(true),
            closed: CancellationToken::new(),
            requests: Arc::new(Semaphore::new(REQUESTS)),
        });
        state.offers.insert((preview.run, preview.port), offer.clone());
        if let Some(label) = label {
            state.names.insert(label, offer.clone());
        }
        if let Some((port, listener)) = own {
            state.listeners.insert(port, listener.clone());
            tokio::spawn(listener::listen(self.0.clone(), offer.clone(), listener));
        }
        Some(offer)
    }

    /// A port that is free on this machine, else that of a preview in which nothing listens any more.
    fn take_port(&self, state: &mut State, project: ProjectId) -> Option<(u16, Arc<TcpListener>)> {
        for port in state.pool.free(project) {
            // What another program holds is skipped.
            if let Ok(listener) = listener::bind(self.0.config.host, port) {
                state.pool.take(port, project);
                return Some((port, Arc::new(listener)));
            }
        }
        let idle = state.offers.values().find(|offer| offer.public_port.is_some() && !offer.listens.load(Ordering::Relaxed))?;
        let (preview, port) = (idle.preview, idle.public_port?);
        let listener = state.listeners.get(&port).cloned()?;
        state.close(preview.run, preview.port);
        state.pool.take(port, project);
        Some((port, listener))
    }
}

impl State {
    fn close(&mut self, run: RunId, port: u16) {
        let Some(offer) = self.offers.remove(&(run, port)) else { return };
        offer.closed.cancel();
        self.names.retain(|_, named| !Arc::ptr_eq(named, &offer));
        if let Some(port) = offer.public_port {
            self.listeners.remove(&port);
            self.pool.release(port);
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_secure(&self) -> bool {
        self.services.settings.secure_cookies
    }

    fn named(&self, host: &str) -> Named {
        let Some(domain) = &self.config.domain else { return Named::Other };
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        let label =
            host.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.')).and_then(|rest| rest.strip_prefix(HOST_PREFIX));
        let Some(label) = label.filter(|label| !label.contains('.')) else { return Named::Other };
        self.lock().names.get(label).map_or(Named::Closed, |offer| Named::Open(offer.clone()))
    }
}

/// A response without a body.
fn empty(status: axum::http::StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
