mod agent_turn;
mod cleanup;
mod export;
mod git_import;
mod import;
mod move_storage;
mod sandbox_exec;
mod terminal;

pub use agent_turn::AgentTurn;
pub use cleanup::Cleanup;
pub use export::Export;
pub use git_import::GitImport;
pub use import::Import;
pub use move_storage::MoveStorage;
pub use sandbox_exec::SandboxExec;
pub use terminal::Terminal;
