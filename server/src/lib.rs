//! The program: configuration, wiring, the HTTP doors and the worker. Rules live in `domain`.

pub mod cli;
pub mod config;
pub mod doctor;
pub mod http;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod preview;
pub mod relay;
pub mod replace;
pub mod seats;
pub mod serve;
pub mod telemetry;
pub mod wiring;
pub mod worker;
