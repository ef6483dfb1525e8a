//! The coding agent: a pure machine ([`fsm`]) decides, the driver carries out. It works on a branch of the project and hands what it
//! made to review; it can never do more than the user on whose behalf it acts.

mod ask;
mod branch;
mod cleanup;
mod clone;
mod context;
mod driver;
mod exec;
pub mod fsm;
mod keeper;
mod ports;
mod prompt;
mod sample;
mod terminals;
mod test_run;
mod text;
pub mod tools;
mod workspace;

pub use branch::Branch;
pub use cleanup::{CleanedUp, clean_workspaces};
pub use clone::clone_repository;
pub use driver::{Deps, Outcome, run_turn};
pub use exec::{Bench, Executed, Order, execute, run_in_checkout};
pub use keeper::{Hold, Keeper};
pub use ports::{Inside, OfferedPorts, PortForward};
pub use sample::Sample;
pub use terminals::{Bucket, Seat, Shown, TerminalHub, TerminalRelay, run_terminal};
pub use workspace::{Collected, SyncError, branch_to_change_set, commit_run_changes, ensure_checkout};
