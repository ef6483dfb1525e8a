use std::path::{Path, PathBuf};

use blobs::{Backend, S3Config};

use super::parse::Reader;

/// Where file content goes.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    pub local_dir: PathBuf,
    /// Absent where no bucket is named.
    pub s3: Option<S3Config>,
    pub default: Backend,
}

pub fn read(read: &mut Reader, data_dir: &Path) -> StorageConfig {
    let local_dir = read.optional("STORAGE_LOCAL_PATH").map_or_else(|| data_dir.join("blobs"), PathBuf::from);
    let default = read.one_of("STORAGE_BACKEND", &[("local", Backend::Local), ("s3", Backend::S3)]);
    let s3 = read_s3(read, data_dir);
    if default == Backend::S3 && s3.is_none() {
        read.refuse("AWS_S3_BUCKET", "must name the bucket when STORAGE_BACKEND is s3");
    }
    StorageConfig { local_dir, s3, default }
}

fn read_s3(read: &mut Reader, data_dir: &Path) -> Option<S3Config> {
    let (id, secret) = (read.optional("AWS_ACCESS_KEY_ID"), read.optional("AWS_SECRET_ACCESS_KEY"));
    match (&id, &secret) {
        (Some(_), None) => read.refuse("AWS_SECRET_ACCESS_KEY", "must be given with AWS_ACCESS_KEY_ID"),
        (None, Some(_)) => read.refuse("AWS_ACCESS_KEY_ID", "must be given with AWS_SECRET_ACCESS_KEY"),
        _ => {}
    }
    let endpoint = read.http_url("AWS_S3_ENDPOINT_URL").map(|url| url.to_string());
    let cache_size = read.size("STORAGE_CACHE_SIZE", 0, 1 << 50);
    let region = read.text("AWS_S3_REGION");
    let bucket = read.optional("AWS_S3_BUCKET")?;
    let is_name = bucket.len() >= 3 && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !is_name {
        read.refuse("AWS_S3_BUCKET", "must be the name of a bucket alone: letters, digits, dots and hyphens");
    }
    Some(S3Config { bucket, region, key: id.zip(secret), endpoint, cache_dir: data_dir.join("s3-cache"), cache_size })
}
