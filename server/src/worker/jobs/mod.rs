mod agent_turn;
mod import;
mod sandbox_exec;

pub use agent_turn::AgentTurn;
pub use import::Import;
pub use sandbox_exec::SandboxExec;
