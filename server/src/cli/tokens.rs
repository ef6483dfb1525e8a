use clap::{Subcommand, builder::PossibleValuesParser};
use domain::operator;
use wire::{
    ProjectId,
    tokens::{CreateToken, Scope},
};

use super::{CliError, DONE, Output, Place};

#[derive(Subcommand)]
pub enum Action {
    /// Makes an API token for an account. It is shown this once.
    Create {
        /// User name or e-mail address.
        who: String,
        #[arg(long)]
        name: String,
        /// What it is for; several are separated by commas.
        #[arg(long, required = true, value_delimiter = ',', value_parser = PossibleValuesParser::new(Scope::ALL.map(Scope::word)))]
        scope: Vec<String>,
        /// The only projects it reaches; all of the account's where there is none.
        #[arg(long)]
        project: Vec<ProjectId>,
        /// Days until it ends; never where they are left out.
        #[arg(long)]
        days: Option<u32>,
    },
}

pub async fn run(place: &Place, action: Action, output: &mut Output) -> Result<u8, CliError> {
    let Action::Create { who, name, scope, project, days } = action;
    let user = operator::find_user(&place.ctx, &who).await?;
    let scopes = Scope::ALL.into_iter().filter(|known| scope.iter().any(|word| word == known.word())).collect();
    let request = CreateToken { name, scopes, projects: (!project.is_empty()).then_some(project), expires_in_days: days };
    let made = operator::create_token(&place.ctx, user.id, request).await?;
    // The token alone goes to stdout, so that it can be put into a file without being seen.
    output.say(&made, || made.secret.clone());
    Ok(DONE)
}
