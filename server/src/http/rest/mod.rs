//! REST: one file per resource. A handler finds its caller, makes one domain call and maps the answer.

mod admin;
mod archive;
mod audit;
mod auth;
mod budgets;
mod changes;
mod chat;
mod checkpoints;
mod context;
mod exports;
mod files;
mod generate;
mod identities;
mod import;
mod imports;
mod jobs;
mod links;
mod mcp;
mod members;
mod models;
mod network;
mod passkeys;
mod permissions;
mod preferences;
mod previews;
mod projects;
mod proposals;
mod quotas;
mod runs;
mod search;
mod second_factor;
mod storage;
mod terminals;
mod test_reports;
mod tokens;
mod uploads;
mod usage;
mod users;

use super::routes::Routes;

pub fn declare(routes: Routes) -> Routes {
    let routes =
        identities::declare(audit::declare(tokens::declare(preferences::declare(links::declare(users::declare(auth::declare(routes)))))));
    let routes = passkeys::declare(second_factor::declare(routes));
    let routes = archive::declare(search::declare(routes));
    let routes = exports::declare(imports::declare(import::declare(files::declare(projects::declare(routes)))));
    let routes = context::declare(changes::declare(chat::declare(runs::declare(routes))));
    let routes = test_reports::declare(terminals::declare(routes));
    let routes = uploads::declare(previews::declare(network::declare(routes)));
    let routes = proposals::declare(permissions::declare(quotas::declare(members::declare(routes))));
    let routes = storage::declare(checkpoints::declare(routes));
    let routes = generate::declare(usage::declare(budgets::declare(routes)));
    mcp::declare(models::declare(jobs::declare(admin::declare(routes))))
}
