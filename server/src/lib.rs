//! The program: configuration, wiring, the HTTP doors and the worker. Rules live in `domain`.

pub mod config;
pub mod doctor;
pub mod http;
pub mod logging;
pub mod preview;
pub mod relay;
pub mod replace;
pub mod serve;
pub mod wiring;
pub mod worker;
