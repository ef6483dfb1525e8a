//! What administrators do: accounts, projects from outside, the queue, and how the installation is.

mod access;
mod csv;
mod jobs;
mod overview;
mod paging;
mod projects;
mod sheets;
mod users;

pub(crate) use access::has_open;
pub use access::{close_project, list_accesses, open_project};
pub use csv::Bytes as CsvBytes;
pub use jobs::{cancel_job, jobs_csv, list_jobs, requeue_dead, requeue_job};
pub use overview::{health, overview, pulse, settings_changes};
pub use projects::{delete_project, give_project, list_projects, projects_csv, restore_project};
pub use sheets::{audit_csv, budgets_csv, models_csv, usage_csv};
pub use users::{list_users, sign_out_user, update_user, user_detail, users_csv};
