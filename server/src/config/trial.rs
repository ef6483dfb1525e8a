//! What a start at a terminal adds to the settings, which `make run` asks for: a first start is a trial, with the sample project and the
//! demonstration model; the log is for people; and it is said where to look.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::{AppEnv, Config, LogFormat};

impl Config {
    /// Settings that say otherwise win, wherever they are written.
    pub fn for_trial(mut self) -> Self {
        if self.is_default("LOG_FORMAT") {
            self.log.format = LogFormat::Text;
        }
        if self.env == AppEnv::Development && self.is_default("DEV_SEED_DATA") {
            self.dev_seed_data = self.began_as_trial();
        }
        self
    }

    /// What somebody at a terminal needs to know once the server listens.
    pub fn greeting(&self, listening: SocketAddr) -> String {
        let site = match &self.http.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(listening)),
        };
        format!("Open {site} in a browser. The first account to sign up administers it. Ctrl+C stops the server.\n")
    }

    /// Only an installation that began as a trial has the sample and the demonstration model, and it keeps them.
    fn began_as_trial(&self) -> bool {
        let mark = self.data_dir.join("trial");
        if mark.exists() {
            return true;
        }
        if !self.is_default("DATABASE_URL") || has_database(&self.data_dir) {
            return false;
        }
        // A folder that can't be written is told with its reason when the server is put together.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.data_dir);
        made.and_then(|()| fs::File::create(mark)).is_ok()
    }

    fn is_default(&self, name: &str) -> bool {
        self.shown.iter().any(|setting| setting.name == name && setting.source == "default")
    }
}

fn has_database(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|extension| extension == "db"))
}

/// Nobody can open the address that stands for all of them.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let host: IpAddr = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(host, listening.port())
}
