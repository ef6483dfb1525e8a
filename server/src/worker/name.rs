use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use uuid::Uuid;

/// What the worker before this one may need to die, when it was killed a moment ago.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names a worker in leases. It belongs to a work folder, so that a worker that starts again knows its own jobs.
pub struct WorkerName {
    text: String,
    /// Held as long as the worker lives: nobody else goes by this name.
    alone: Option<File>,
}

impl WorkerName {
    /// The name that the folder's earlier workers had, or a new one.
    pub async fn of_folder(work_dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(work_dir)?;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(work_dir.join("worker-name"))?;
        let deadline = std::time::Instant::now() + PATIENCE;
        while let Err(error) = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            if std::time::Instant::now() > deadline {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if text.parse::<Uuid>().is_err() {
            text = Uuid::now_v7().to_string();
            file.set_len(0)?;
            io::Seek::rewind(&mut file)?;
            file.write_all(text.as_bytes())?;
        }
        Ok(Self { text, alone: Some(file) })
    }

    /// A name that nobody had or will have.
    pub fn new_one() -> Self {
        Self { text: Uuid::now_v7().to_string(), alone: None }
    }

    /// Whether the work folder is this worker's alone.
    pub fn has_folder(&self) -> bool {
        self.alone.is_some()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_s_worker_keeps_its_name_and_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = WorkerName::of_folder(folder.path()).await.unwrap();
        let name = first.as_str().to_owned();
        assert!(WorkerName::of_folder(folder.path()).await.is_err());
        drop(first);
        assert_eq!(WorkerName::of_folder(folder.path()).await.unwrap().as_str(), name);
        assert_ne!(WorkerName::new_one().as_str(), name);
        assert!(!WorkerName::new_one().has_folder());
    }
}
