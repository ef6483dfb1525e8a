//! The scripted model server as a program, for browser tests and for trying things by hand:
//! `cargo run -p llm --example model_server -- --port 4010`. See `server/tests/support/model_server.rs`
//! for the script's format.

use std::io::{self, Write};

#[path = "../../../tests/support/model_server.rs"]
mod model_server;

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = read_port().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    let server = model_server::ModelServer::start_on(port).await?;
    let mut out = io::stdout();
    writeln!(out, "listening {}", server.url())?;
    out.flush()?;
    server.run().await;
    Ok(())
}

/// Zero, the default, takes a free port.
fn read_port() -> Result<u16, String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(0),
        (Some("--port"), Some(port)) => port.parse().map_err(|_| format!("--port takes a number, not {port}")),
        _ => Err("usage: model_server [--port PORT]".into()),
    }
}
