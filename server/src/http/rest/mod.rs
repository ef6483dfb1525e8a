//! REST: one file per resource. A handler finds its caller, makes one domain call and maps the answer.

mod admin;
mod auth;
mod changes;
mod chat;
mod files;
mod import;
mod jobs;
mod network;
mod previews;
mod projects;
mod runs;
mod terminals;
mod test_reports;
mod users;

use super::routes::Routes;

pub fn declare(routes: Routes) -> Routes {
    let routes = users::declare(auth::declare(routes));
    let routes = import::declare(files::declare(projects::declare(routes)));
    let routes = changes::declare(chat::declare(runs::declare(routes)));
    let routes = test_reports::declare(terminals::declare(routes));
    let routes = previews::declare(network::declare(routes));
    jobs::declare(admin::declare(routes))
}
