//! An S3 server as a program, for browser tests, benchmarks and trying things by hand: `cargo run -p blobs --example s3_server`. Its
//! bucket is `files`, its key `test-key` with the secret `test-secret`; what it holds is gone when it ends.

use std::io::{self, Write};

#[path = "../tests/support/s3_server.rs"]
mod s3_server;

#[tokio::main]
async fn main() -> io::Result<()> {
    let server = s3_server::S3Server::start().await;
    let mut out = io::stdout();
    writeln!(out, "listening {}", server.endpoint())?;
    out.flush()?;
    std::future::pending().await
}
