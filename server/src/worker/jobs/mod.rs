mod agent_turn;
mod import;
mod sandbox_exec;
mod terminal;

pub use agent_turn::AgentTurn;
pub use import::Import;
pub use sandbox_exec::SandboxExec;
pub use terminal::Terminal;
