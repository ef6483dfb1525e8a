pub mod admin;
pub mod dashboard;
pub mod login;
pub mod not_found;
pub mod project;
pub mod project_settings;
pub mod settings;
pub mod signup;
