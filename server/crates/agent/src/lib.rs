//! The coding agent: a pure machine ([`fsm`]) decides, the driver carries out. It works on a branch of the project and hands what it
//! made to review; it can never do more than the user on whose behalf it acts.

mod ask;
mod branch;
mod cleanup;
mod clone;
mod compaction;
mod context;
mod driver;
mod exec;
pub mod fsm;
mod generate;
mod keeper;
pub mod mcp;
mod models;
mod ports;
mod sample;
mod terminals;
mod test_run;
mod text;
mod toolbox;
pub mod tools;
mod workspace;

pub use branch::Branch;
pub use cleanup::{CleanedUp, clean_workspaces};
pub use clone::clone_repository;
pub use driver::{Deps, Outcome, run_turn};
pub use exec::{Bench, Executed, Order, execute, run_in_checkout};
pub use generate::{Generation, Piece, generate};
pub use keeper::{Hold, Keeper};
pub use models::Pool;
pub use ports::{Inside, OfferedPorts, PortForward};
pub use sample::Sample;
pub use terminals::{Bucket, Seat, Shown, TerminalHub, TerminalRelay, run_terminal};
pub use toolbox::Toolbox;
pub use workspace::{Collected, SyncError, branch_to_change_set, commit_run_changes, ensure_checkout};
