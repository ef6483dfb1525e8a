use std::io::{BufRead, IsTerminal, Read};

use clap::Subcommand;
use domain::{accounts, admin, links, operator};
use serde_json::json;
use wire::{
    admin::{UpdateUser, UserQuery},
    links::OneTimeLink,
    users::{CreateUser, User, UserRole, UserState},
};

use super::{
    CliError, DONE, Output, Place,
    output::{done, table},
};

/// Longer than any password that is taken, so that a too long one is refused rather than cut.
const PASSWORD_BYTES: u64 = 2 << 20;
const PAGE: u32 = 200;

#[derive(Subcommand)]
pub enum Action {
    /// Makes an account, and a link with which its owner sets a password.
    Create {
        username: String,
        email: String,
        #[arg(long)]
        full_name: Option<String>,
        /// Makes it an administrator.
        #[arg(long)]
        admin: bool,
        /// Reads the password from standard input instead of making a link.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Lists accounts.
    List {
        /// Only those with this in their name or address.
        #[arg(long)]
        search: Option<String>,
    },
    /// Signs somebody out and lets them in no more.
    Disable { who: String },
    /// Lets somebody in again.
    Enable { who: String },
    /// Makes somebody an administrator.
    MakeAdmin { who: String },
    /// Makes a link with which somebody sets a new password.
    ResetPassword {
        who: String,
        /// Reads the new password from standard input instead, and ends all sessions.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Ends all sessions of somebody.
    SignOut { who: String },
}

pub async fn run(place: &Place, action: Action, output: &mut Output) -> Result<u8, CliError> {
    let ctx = &place.ctx;
    match action {
        Action::Create { username, email, full_name, admin, password_stdin } => {
            let password = password_stdin.then(read_password).transpose()?;
            let role = Some(if admin { UserRole::Admin } else { UserRole::User });
            let (user, link) = accounts::create_with_link(ctx, CreateUser { email, username, password, full_name, role }).await?;
            let value = json!({ "user": user, "link": link.as_ref().map(|link| link_value(place, link)) });
            output.say(&value, || {
                let made = format!("The account {} is made.", user.username);
                link.map_or(made.clone(), |link| format!("{made}\n{}", link_text(place, &link)))
            });
        }
        Action::List { search } => list(place, search, output).await?,
        Action::Disable { who } => set_state(place, &who, UserState::Disabled, output).await?,
        Action::Enable { who } => set_state(place, &who, UserState::Active, output).await?,
        Action::MakeAdmin { who } => {
            let found = operator::find_user(ctx, &who).await?;
            let user = admin::update_user(ctx, found.id, UpdateUser { role: Some(UserRole::Admin), state: None }).await?;
            output.say(&done("make_admin", &user), || format!("{} is an administrator.", user.username));
        }
        Action::ResetPassword { who, password_stdin: false } => {
            let user = operator::find_user(ctx, &who).await?;
            let link = links::make_reset(ctx, user.id).await?;
            let value = json!({ "user": user, "link": link_value(place, &link) });
            output.say(&value, || link_text(place, &link));
        }
        Action::ResetPassword { who, password_stdin: true } => {
            let user = operator::find_user(ctx, &who).await?;
            let user = operator::set_password(ctx, user.id, read_password()?).await?;
            output.say(&done("set_password", &user), || format!("{} has a new password and is signed out everywhere.", user.username));
        }
        Action::SignOut { who } => {
            let user = operator::find_user(ctx, &who).await?;
            admin::sign_out_user(ctx, user.id).await?;
            output.say(&done("sign_out", &user), || format!("{} is signed out everywhere.", user.username));
        }
    }
    Ok(DONE)
}

async fn set_state(place: &Place, who: &str, state: UserState, output: &mut Output) -> Result<(), CliError> {
    let found = operator::find_user(&place.ctx, who).await?;
    let user = admin::update_user(&place.ctx, found.id, UpdateUser { role: None, state: Some(state) }).await?;
    let (word, text) = match state {
        UserState::Disabled => ("disable", "is disabled and signed out everywhere"),
        UserState::Active => ("enable", "may sign in"),
    };
    output.say(&done(word, &user), || format!("{} {text}.", user.username));
    Ok(())
}

async fn list(place: &Place, search: Option<String>, output: &mut Output) -> Result<(), CliError> {
    let mut users: Vec<User> = Vec::new();
    let mut query = UserQuery { search, limit: Some(PAGE), ..UserQuery::default() };
    loop {
        let page = admin::list_users(&place.ctx, query.clone()).await?;
        users.extend(page.items.into_iter().map(|item| item.user));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    output.say(&json!({ "items": users }), || {
        let row = |user: &User| {
            let seen = user.last_seen_at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
            let role = if user.is_admin() { "admin" } else { "user" };
            let state = if user.state == UserState::Active { "active" } else { "disabled" };
            vec![user.username.clone(), user.email.clone(), role.to_owned(), state.to_owned(), seen]
        };
        table(&["USER NAME", "E-MAIL", "ROLE", "STATE", "LAST SEEN"], &users.iter().map(row).collect::<Vec<_>>())
    });
    Ok(())
}

fn link_value(place: &Place, link: &OneTimeLink) -> serde_json::Value {
    json!({ "address": place.address(&link.url_path), "expires_at": link.expires_at })
}

fn link_text(place: &Place, link: &OneTimeLink) -> String {
    let address = place.address(&link.url_path);
    let where_to = if address.starts_with('/') { " (below the address of this server; APP_PUBLIC_URL is not set)" } else { "" };
    format!("A password is set with this link{where_to}. It works once, until {}:\n{address}", link.expires_at.to_rfc3339())
}

/// One line. Never an argument: those are seen by everybody on the machine.
fn read_password() -> Result<String, CliError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let sentence =
            "The password is read from standard input, and would be seen while it is typed. Pipe it in, from a file or a password manager.";
        return Err(CliError::Usage(sentence.to_owned()));
    }
    let mut line = String::new();
    input.lock().take(PASSWORD_BYTES).read_line(&mut line)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(CliError::Usage("There was no password on standard input. Nothing was changed.".to_owned()));
    }
    Ok(password.to_owned())
}
