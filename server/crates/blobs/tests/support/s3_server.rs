//! A server that speaks S3 over HTTP, with its buckets as folders. It can be switched off and on again at the same address.
#![allow(dead_code)]

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use blobs::{S3Blobs, S3Config};
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::{net::TcpListener, sync::watch};

pub const BUCKET: &str = "files";
const KEY: (&str, &str) = ("test-key", "test-secret");

pub struct S3Server {
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    requests: Arc<AtomicUsize>,
    is_on: watch::Sender<bool>,
}

impl S3Server {
    /// With an empty bucket named [`BUCKET`].
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_on, watched) = watch::channel(true);
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // Off, it is as a machine that hangs up at once.
                let mut watched = watched.clone();
                if !*watched.borrow() {
                    continue;
                }
                let (service, counted) = (service.clone(), counted.clone());
                let counting = hyper::service::service_fn(move |request| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    hyper::service::Service::call(&service, request)
                });
                tokio::spawn(async move {
                    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), counting);
                    tokio::select! {
                        _ = serving => {}
                        _ = watched.wait_for(|on| !on) => {}
                    }
                });
            }
        });
        Self { address, folder, requests, is_on }
    }

    pub fn switch(&self, on: bool) {
        self.is_on.send_replace(on);
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn config(&self, cache_dir: impl Into<PathBuf>, cache_size: u64) -> S3Config {
        S3Config {
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            key: Some((KEY.0.to_owned(), KEY.1.to_owned())),
            endpoint: Some(self.endpoint()),
            cache_dir: cache_dir.into(),
            cache_size,
        }
    }

    pub async fn blobs(&self, cache_dir: impl Into<PathBuf>, cache_size: u64) -> S3Blobs {
        S3Blobs::open(self.config(cache_dir, cache_size)).await.unwrap()
    }

    /// Where the server keeps an object.
    pub fn object(&self, sha256: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join("blobs").join(sha256)
    }
}
