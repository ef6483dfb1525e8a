//! Runs untrusted commands and keeps the directories they work in.
//!
//! Nothing else in the product starts a process. [`Sandbox::start`] turns a [`Spec`] into a stream of output and
//! a [`Finished`]; [`Workspaces`] turns rows and blobs into directories and back. The crate knows no database.
//!
//! One run is: server → `<helper> __launch` (drops to the project's uid, mounts a branch's overlay) → bubblewrap →
//! `<helper> __jail` (pid 1 of the jail) → the command. One pipe, whose only writing end the server holds, carries
//! the jail's configuration and later the stop signals; when it closes, the jail ends, so no run outlives the server.
//! A second channel brings sockets out of the jail's network namespace: for previews of what a run serves, and for the
//! proxy in `egress`, the only way out of the jail and only there when the run's [`Network`] says so.

mod bwrap;
mod cgroup;
mod disk;
mod egress;
mod environment;
mod jail;
mod launch;
mod net;
mod observe;
mod output;
mod pipes;
mod probe;
mod run;
mod spec;
mod supervise;
mod sweep;
mod verdict;
mod workspace;

pub use disk::DiskRoom;
pub use egress::{Cidr, EgressDecision, EgressPolicy, why_closed};
pub use jail::jail_main;
pub use launch::launch_main;
pub use net::JailNet;
pub use observe::UsageSample;
pub use pipes::PtyInput;
pub use probe::{CgroupBackend, Config, Finding, Probe, Tier, TierChoice, is_open_to_others};
pub use run::{Refused, RefusedKind, Running, Sandbox, Stopper};
pub use spec::{Channel, Chunk, Exit, ExitKind, Finished, Kind, Limits, Network, RunDir, Spec, StopGrace, Usage, shell};
pub use sweep::SweepReport;
pub use workspace::{
    BranchAction, BranchChange, BytesSource, Change, ChangeAction, Changes, Cleaned, Collision, EntryKind, InUse, ListEntry, SavedFile,
    TreeEntry, Watch, WorkspaceError, Workspaces,
};

/// First argument under which a program that embeds this crate must call [`jail_main`], before any thread starts.
pub const JAIL_ARG: &str = "__jail";
/// First argument under which a program that embeds this crate must call [`launch_main`], before any thread starts.
pub const LAUNCH_ARG: &str = "__launch";

/// Call at the very top of `main`: takes over when the program was started as launcher or jail helper, else returns.
pub fn take_over_if_helper() {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(a) if a == JAIL_ARG => jail_main(args.collect()),
        Some(a) if a == LAUNCH_ARG => launch_main(args.collect()),
        _ => {}
    }
}
