//! The rules that keep the rooms apart, checked against what is really there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Who may import whom, and what must never be seen.
const IMPORTS: &[(&str, &[&str], &[&str])] = &[
    ("wire", &[], &["tokio", "axum", "leptos", "reqwest"]),
    ("app", &["wire", "domain"], &["tokio", "sqlx", "reqwest"]),
    ("frontend", &["app"], &["tokio", "axum", "sqlx"]),
    ("blobs", &["wire"], &["axum", "leptos", "sqlx"]),
    ("sandbox", &["wire"], &["axum", "leptos", "sqlx", "reqwest"]),
    ("llm", &["wire"], &["leptos", "sqlx"]),
    ("store", &["wire"], &["axum", "leptos", "reqwest"]),
    ("domain", &["wire", "store", "blobs"], &["axum", "leptos", "reqwest"]),
    ("agent", &["wire", "domain", "llm", "sandbox"], &["sqlx", "axum", "leptos"]),
    ("server", &["wire", "app", "domain", "store", "blobs", "sandbox", "llm", "agent"], &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What cargo tells of each of our crates.
fn packages() -> Vec<Value> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1", "--offline"])).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Direct dependencies of each of our crates, without those of tests; true where it is optional.
fn dependencies() -> BTreeMap<String, Vec<(String, bool)>> {
    let of = |package: &Value| {
        let list = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].as_str() != Some("dev"));
        list.map(|d| (d["name"].as_str().unwrap().to_owned(), d["optional"].as_bool().unwrap())).collect()
    };
    packages().iter().map(|p| (p["name"].as_str().unwrap().to_owned(), of(p))).collect()
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let found = dependencies();
    let ours: BTreeSet<_> = IMPORTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), ours, "every crate has a line in the table");
    for (name, allowed, forbidden) in IMPORTS {
        for (dependency, optional) in &found[*name] {
            let is_ours = ours.contains(dependency.as_str());
            assert!(!is_ours || allowed.contains(&dependency.as_str()), "{name} imports {dependency}");
            assert!(!forbidden.contains(&dependency.as_str()), "{name} must never see {dependency}");
            let only_asked_for: &[&str] = match *name {
                // Of its server half alone.
                "app" => &["domain", "axum", "leptos_axum"],
                "wire" => &["sqlx"],
                _ => &[],
            };
            assert!(
                !only_asked_for.contains(&dependency.as_str()) || *optional,
                "{dependency} is no part of {name} unless it is asked for"
            );
        }
    }
}

#[test]
fn wire_knows_a_database_by_one_feature() {
    let packages = packages();
    let wire = packages.iter().find(|package| package["name"].as_str() == Some("wire")).unwrap();
    let brings = |parts: &Value| parts.as_array().unwrap().iter().any(|part| part.as_str().unwrap().contains("sqlx"));
    let features = wire["features"].as_object().unwrap().iter();
    let found: Vec<&str> = features.filter(|(_, parts)| brings(parts)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, ["sqlx"], "whoever does not ask for it by name has no sqlx");
}

#[test]
fn nothing_of_the_server_reaches_the_browser() {
    let tree = cargo(&["tree", "-p", "frontend", "--target", "wasm32-unknown-unknown", "-e", "normal", "--prefix", "none", "--offline"]);
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("app") && names.contains("wire"), "{names:?}");
    let ours = IMPORTS.iter().map(|(name, ..)| *name).filter(|name| !["frontend", "app", "wire"].contains(name));
    for server in ours.chain(["tokio", "axum", "sqlx", "hyper", "leptos_axum"]) {
        assert!(!names.contains(server), "{server} would be in the browser");
    }
}

/// Every line of our own sources with its file, relative to the workspace.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|f| root().join(f)).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    // What only tests and measurements compile may do more.
    let is_example = |path: &Path| path.components().any(|part| part.as_os_str() == "examples");
    files.retain(|path| !is_example(path) && !path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests")));
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let lines = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        code.lines().map(|line| (relative(&path), line.trim().to_owned())).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(lines).filter(|(_, line)| !line.starts_with("//")).collect()
}

#[track_caller]
fn only_in(found: Vec<(String, String)>, allowed: &[&str], rule: &str) {
    assert!(!found.is_empty(), "the pattern finds nothing at all, so this test can't fail: {rule}");
    let outside: Vec<_> = found.into_iter().filter(|(file, _)| !allowed.iter().any(|a| file.starts_with(a))).collect();
    assert!(outside.is_empty(), "{rule}: {outside:#?}");
}

#[test]
fn a_context_can_not_be_forged() {
    let made = ["Ctx::nobody(", "Ctx::for_job(", "Ctx::system(", "Ctx::operator("];
    let found = sources(&["app/src", "server/src", "server/crates"]).into_iter().filter(|(_, line)| made.iter().any(|m| line.contains(m)));
    let allowed = [
        "server/src/http/ctx.rs",
        // Brings what the environment configures into the database, once at the start.
        "server/src/wiring.rs",
        "server/src/worker/runner.rs",
        // Whoever has the machine.
        "server/src/cli/",
        "server/crates/domain/src/ctx.rs",
        "server/crates/domain/tests",
        "server/crates/agent/tests",
    ];
    only_in(found.collect(), &allowed, "only the HTTP layer and the job runner make contexts");
}

#[test]
fn only_the_sandbox_starts_processes() {
    let starts = ["Command::new(", "process::Command", "posix_spawn", "libc::fork", "libc::execv"];
    let found =
        sources(&["app/src", "server/src", "server/crates"]).into_iter().filter(|(_, line)| starts.iter().any(|s| line.contains(s)));
    // A worker may become another of itself, and tests start a Redis.
    let allowed = ["server/crates/sandbox/", "server/src/replace.rs", "server/crates/store/tests/"];
    only_in(found.collect(), &allowed, "only the sandbox starts processes");
}

/// Of all that could find a checkout: who executes in one, who is told the folder they lie in, and the sandbox.
#[test]
fn only_the_sandbox_opens_files_in_a_checkout() {
    let opens = ["File::open(", "File::create(", "OpenOptions::new(", "fs::read", "fs::write(", "fs::copy(", "fs::rename(", "fs::remove_"];
    let folders = ["server/src", "server/crates/agent/src", "server/crates/sandbox/src"];
    let found = sources(&folders).into_iter().filter(|(_, line)| opens.iter().any(|o| line.contains(o)));
    let allowed = [
        "server/crates/sandbox/src/",
        // Its settings and secrets, what the kernel tells of the process, and its own program.
        "server/src/config/",
        "server/src/metrics/process.rs",
        "server/src/replace.rs",
        // A worker's name lies beside the checkouts, and the doctor makes a work folder of its own and removes it.
        "server/src/worker/name.rs",
        "server/src/wiring.rs",
    ];
    only_in(found.collect(), &allowed, "only the sandbox opens files in a checkout");
}

#[test]
fn sql_stays_in_the_store() {
    let found = sources(&["app/src", "server/src", "server/crates"]).into_iter().filter(|(_, line)| line.contains("sqlx::query"));
    // Somebody who changes the database behind our back speaks SQL, too, and whoever counts what is left in its tables.
    let others = ["audit.rs", "archives/equal.rs", "storage.rs"].map(|file| format!("server/crates/domain/tests/{file}"));
    let allowed: Vec<&str> = std::iter::once("server/crates/store/").chain(others.iter().map(String::as_str)).collect();
    only_in(found.collect(), &allowed, "only the store speaks SQL");
}

#[test]
fn adapters_are_picked_in_one_place() {
    let adapters = [
        "LocalBlobs::open(",
        "S3Blobs::open(",
        "InProcessBus::new(",
        "RedisBus::start(",
        "RedisSignals::start(",
        "Sandbox::probe(",
        "Arc::new(Pool::new(",
        "Db::connect(",
        "Db::open(",
    ];
    let found = sources(&["app/src", "server/src"]).into_iter().filter(|(_, line)| adapters.iter().any(|a| line.contains(a)));
    only_in(found.collect(), &["server/src/wiring.rs"], "only the wiring picks adapters");
}

#[test]
fn a_resource_has_the_same_file_name_in_every_layer() {
    for resource in ["auth", "projects", "files", "runs", "chat", "changes", "admin"] {
        for layer in ["app/wire/src", "app/src/api", "server/crates/domain/src", "server/src/http/rest"] {
            let (file, folder) = (root().join(layer).join(format!("{resource}.rs")), root().join(layer).join(resource).join("mod.rs"));
            assert!(file.exists() || folder.exists(), "{layer} has no {resource}");
        }
    }
}
