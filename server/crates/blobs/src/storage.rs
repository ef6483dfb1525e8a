use std::{fmt, str::FromStr, sync::Arc};

use crate::{BlobError, Blobs};

/// The kinds of storage that a project can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    Local,
    S3,
}

impl Backend {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Local, Self::S3].into_iter().find(|backend| backend.as_str() == text).ok_or(())
    }
}

/// Every storage that this process can reach.
#[derive(Clone)]
pub struct Storage {
    pub local: Arc<dyn Blobs>,
    pub s3: Option<Arc<dyn Blobs>>,
    /// Where new projects go when nobody says otherwise.
    pub default: Backend,
}

impl Storage {
    pub fn only_local(local: Arc<dyn Blobs>) -> Self {
        Self { local, s3: None, default: Backend::Local }
    }

    pub fn get(&self, backend: Backend) -> Option<&Arc<dyn Blobs>> {
        match backend {
            Backend::Local => Some(&self.local),
            Backend::S3 => self.s3.as_ref(),
        }
    }

    /// As [`Self::get`], by the word in a project's row.
    pub fn by_name(&self, name: &str) -> Result<Arc<dyn Blobs>, BlobError> {
        let found = name.parse().ok().and_then(|backend| self.get(backend));
        found.cloned().ok_or_else(|| BlobError::Unavailable(format!("the storage named {name} is not set up on this server")))
    }

    /// Those that are set up.
    pub fn all(&self) -> impl Iterator<Item = (Backend, &Arc<dyn Blobs>)> {
        [Backend::Local, Backend::S3].into_iter().filter_map(|backend| Some((backend, self.get(backend)?)))
    }
}
