//! REST: one file per resource. A handler finds its caller, makes one domain call and maps the answer.

mod admin;
mod archive;
mod auth;
mod changes;
mod chat;
mod checkpoints;
mod exports;
mod files;
mod import;
mod jobs;
mod members;
mod network;
mod previews;
mod projects;
mod quotas;
mod runs;
mod search;
mod storage;
mod terminals;
mod test_reports;
mod uploads;
mod users;

use super::routes::Routes;

pub fn declare(routes: Routes) -> Routes {
    let routes = users::declare(auth::declare(routes));
    let routes = archive::declare(search::declare(routes));
    let routes = exports::declare(import::declare(files::declare(projects::declare(routes))));
    let routes = changes::declare(chat::declare(runs::declare(routes)));
    let routes = test_reports::declare(terminals::declare(routes));
    let routes = uploads::declare(previews::declare(network::declare(routes)));
    let routes = quotas::declare(members::declare(routes));
    let routes = storage::declare(checkpoints::declare(routes));
    jobs::declare(admin::declare(routes))
}
