//! Which framework a project's tests are written for, by what its files look like; and the command that runs them, or some of them.

use wire::test_reports::{Framework, Recognised};

/// Where commands of this server leave their report: a directory that is never versioned.
const REPORT_XML: &str = ".cloudxdevai/tests.xml";
const REPORT_TAP: &str = ".cloudxdevai/tests.tap";
const REPORT_JSON: &str = ".cloudxdevai/tests.json";

/// How a framework is run, and where it says what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPlan {
    pub framework: Framework,
    pub command: String,
    pub env: Vec<(String, String)>,
    /// A file, relative to where the command runs; `None` reads the output.
    pub report: Option<String>,
}

/// The files whose text is worth a look, all at the top of a project.
pub const TELLING: [&str; 4] = ["package.json", "pyproject.toml", "setup.cfg", "tox.ini"];

/// `paths` are all files of the project, `text` gives one of [`TELLING`].
pub fn recognise<'a>(paths: &[&'a str], text: impl Fn(&str) -> Option<&'a str>) -> Option<Recognised> {
    let has = |name: &str| paths.contains(&name);
    let framework = if has("Cargo.toml") {
        Framework::Cargo
    } else if has("go.mod") {
        Framework::Go
    } else if let Some(framework) = text("package.json").and_then(|package| node_framework(package, paths)) {
        framework
    } else {
        python_framework(paths, text)?
    };
    Some(Recognised { framework, command: whole(framework).to_owned() })
}

fn node_framework(package: &str, paths: &[&str]) -> Option<Framework> {
    let package: serde_json::Value = serde_json::from_str(package).ok()?;
    let depends_on = |name: &str| ["dependencies", "devDependencies"].iter().any(|list| package[list].get(name).is_some());
    let script = package["scripts"]["test"].as_str().unwrap_or_default();
    if depends_on("vitest") || script.contains("vitest") {
        return Some(Framework::Vitest);
    }
    if depends_on("jest") || script.contains("jest") {
        return Some(Framework::Jest);
    }
    (script.contains("--test") || paths.iter().any(|path| is_node_test(path))).then_some(Framework::Node)
}

fn is_node_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, "js" | "mjs" | "cjs")) = name.rsplit_once('.') else { return false };
    stem == "test" || stem.starts_with("test-") || [".test", "-test", "_test"].iter().any(|end| stem.ends_with(end))
}

fn python_framework<'a>(paths: &[&'a str], text: impl Fn(&str) -> Option<&'a str>) -> Option<Framework> {
    let says_pytest = [("pyproject.toml", "[tool.pytest"), ("setup.cfg", "[tool:pytest]"), ("tox.ini", "[pytest]")]
        .iter()
        .any(|(file, mark)| text(file).is_some_and(|text| text.contains(mark)));
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    if says_pytest || paths.iter().any(|path| matches!(name(path).as_str(), "pytest.ini" | "conftest.py")) {
        return Some(Framework::Pytest);
    }
    let is_test = |path: &&&str| name(path).strip_suffix(".py").is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"));
    paths.iter().find(is_test).map(|_| Framework::Unittest)
}

/// The command for all tests.
fn whole(framework: Framework) -> &'static str {
    match framework {
        Framework::Cargo => "cargo test --no-fail-fast",
        Framework::Go => "go test -v ./...",
        Framework::Pytest => "python3 -m pytest",
        Framework::Unittest => "python3 -m unittest -v",
        Framework::Node => "node --test",
        Framework::Vitest => "npx vitest run",
        Framework::Jest => "npx jest",
        Framework::Junit | Framework::Tap => "",
    }
}

/// The plan for a command that somebody typed or configured.
pub fn plan_own(command: &str, report: Option<&str>) -> TestPlan {
    if let Some(report) = report {
        let framework = match report.rsplit('.').next() {
            Some("tap") => Framework::Tap,
            Some("json") => Framework::Jest,
            _ => Framework::Junit,
        };
        return TestPlan { framework, command: command.to_owned(), env: Vec::new(), report: Some(report.to_owned()) };
    }
    let framework = by_words(command).unwrap_or(Framework::Tap);
    let mut plan = TestPlan { framework, command: command.to_owned(), env: Vec::new(), report: None };
    if framework == Framework::Pytest {
        ask_pytest(&mut plan);
    }
    plan
}

fn by_words(command: &str) -> Option<Framework> {
    let has = |word: &str| command.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).any(|w| w == word);
    Some(match () {
        () if has("pytest") => Framework::Pytest,
        () if has("unittest") => Framework::Unittest,
        () if has("cargo") => Framework::Cargo,
        () if has("go") && has("test") => Framework::Go,
        () => return None,
    })
}

/// pytest takes options from the environment, so the command stays as it was typed.
fn ask_pytest(plan: &mut TestPlan) {
    // The older form of the report is the one that names files and lines.
    plan.env.push(("PYTEST_ADDOPTS".to_owned(), format!("--junitxml={REPORT_XML} -o junit_family=xunit1")));
    plan.report = Some(REPORT_XML.to_owned());
}

/// The plan for a recognised framework; `only` are ids of cases, empty for all. Falls back to all when the command would get too long.
pub fn plan_for(framework: Framework, only: &[String]) -> TestPlan {
    let mut plan = TestPlan { framework, command: whole(framework).to_owned(), env: Vec::new(), report: None };
    let some = (!only.is_empty()).then(|| narrow(framework, only)).filter(|command| command.len() <= wire::limits::COMMAND_MAX / 2);
    if let Some(command) = some {
        plan.command = command;
    }
    ask_for_report(&mut plan);
    plan
}

/// The plan for a recognised framework and the cases that `filter` names: a part of their names, or a file where the framework takes one. It
/// must not begin with a dash.
pub fn plan_matching(framework: Framework, filter: &str) -> TestPlan {
    let is_file = filter.contains('/') || filter.contains("::") || filter.ends_with(".py");
    let name = quote(filter);
    let command = match framework {
        Framework::Cargo => format!("cargo test --no-fail-fast -- {name}"),
        Framework::Go => format!("go test -v -run {} ./...", quote(&escape(filter))),
        Framework::Pytest if is_file => format!("python3 -m pytest {name}"),
        Framework::Pytest => format!("python3 -m pytest -k {name}"),
        Framework::Unittest if is_file => format!("python3 -m unittest -v {name}"),
        Framework::Unittest => format!("python3 -m unittest -v -k {name}"),
        Framework::Node => format!("node --test --test-name-pattern={}", quote(&escape(filter))),
        Framework::Vitest => format!("npx vitest run -t {}", quote(&escape(filter))),
        Framework::Jest => format!("npx jest -t {}", quote(&escape(filter))),
        Framework::Junit | Framework::Tap => String::new(),
    };
    let mut plan = TestPlan { framework, command, env: Vec::new(), report: None };
    ask_for_report(&mut plan);
    plan
}

fn ask_for_report(plan: &mut TestPlan) {
    match plan.framework {
        Framework::Pytest => ask_pytest(plan),
        Framework::Node => {
            let reporters = format!(
                "node --test --test-reporter=spec --test-reporter-destination=stdout --test-reporter=tap --test-reporter-destination={REPORT_TAP}"
            );
            // Node does not make the directory.
            plan.command = format!("mkdir -p .cloudxdevai && {}", plan.command.replacen("node --test", &reporters, 1));
            plan.report = Some(REPORT_TAP.to_owned());
        }
        Framework::Vitest => {
            plan.command.push_str(&format!(" --reporter=default --reporter=junit --outputFile.junit={REPORT_XML}"));
            plan.report = Some(REPORT_XML.to_owned());
        }
        Framework::Jest => {
            plan.command = format!("mkdir -p .cloudxdevai && {} --json --outputFile={REPORT_JSON}", plan.command);
            plan.report = Some(REPORT_JSON.to_owned());
        }
        Framework::Cargo | Framework::Go | Framework::Unittest | Framework::Junit | Framework::Tap => {}
    }
}

fn narrow(framework: Framework, only: &[String]) -> String {
    let quoted = |ids: &mut dyn Iterator<Item = String>| ids.map(|id| quote(&id)).collect::<Vec<_>>().join(" ");
    let pattern = || format!("^(?:{})$", only.iter().map(|id| escape(case_name(id))).collect::<Vec<_>>().join("|"));
    match framework {
        Framework::Cargo => {
            let names = quoted(&mut only.iter().map(|id| case_name(id).to_owned()));
            format!("cargo test --no-fail-fast -- --exact {names}")
        }
        Framework::Pytest => format!("python3 -m pytest {}", quoted(&mut only.iter().cloned())),
        Framework::Unittest => format!("python3 -m unittest -v {}", quoted(&mut only.iter().cloned())),
        Framework::Node => {
            let names = only.iter().map(|id| format!("--test-name-pattern={}", quote(&format!("/^{}$/", escape(case_name(id))))));
            format!("node --test {}", names.collect::<Vec<_>>().join(" "))
        }
        Framework::Vitest => format!("npx vitest run -t {}", quote(&pattern())),
        Framework::Jest => format!("npx jest -t {}", quote(&pattern())),
        Framework::Go => {
            let mut tops: Vec<&str> = only.iter().map(|id| case_name(id).split('/').next().unwrap_or_default()).collect();
            tops.sort_unstable();
            tops.dedup();
            format!("go test -v -run {} ./...", quote(&format!("^({})$", tops.join("|"))))
        }
        Framework::Junit | Framework::Tap => String::new(),
    }
}

/// Ids of frameworks that select by name carry what tells equal names apart in front of this mark.
pub(super) const ID_MARK: char = '\u{1f}';

fn case_name(id: &str) -> &str {
    id.rsplit(ID_MARK).next().unwrap_or(id)
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if r"\^$.|?*+()[]{}/".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&'static str], file: &'static str, content: &'static str) -> Option<Framework> {
        recognise(paths, |name| (name == file).then_some(content)).map(|found| found.framework)
    }

    #[test]
    fn projects_are_recognised_by_their_files() {
        assert_eq!(of(&["Cargo.toml", "package.json"], "", ""), Some(Framework::Cargo));
        assert_eq!(of(&["go.mod"], "", ""), Some(Framework::Go));
        assert_eq!(of(&["package.json"], "package.json", r#"{"devDependencies":{"vitest":"1"}}"#), Some(Framework::Vitest));
        assert_eq!(of(&["package.json"], "package.json", r#"{"scripts":{"test":"jest --ci"}}"#), Some(Framework::Jest));
        assert_eq!(of(&["package.json", "lib/a.test.mjs"], "package.json", "{}"), Some(Framework::Node));
        assert_eq!(of(&["package.json", "test_a.py"], "package.json", "not json"), Some(Framework::Unittest));
        assert_eq!(of(&["tests/test_a.py"], "setup.cfg", "[tool:pytest]\n"), Some(Framework::Pytest));
        assert_eq!(of(&["tests/conftest.py"], "", ""), Some(Framework::Pytest));
        assert_eq!(of(&["src/tally_test.py"], "", ""), Some(Framework::Unittest));
        assert_eq!(of(&["README.md", "latest_news.py", "contest.js"], "", ""), None);
    }

    #[test]
    fn names_of_cases_never_leave_their_quotes() {
        let plan = plan_for(Framework::Unittest, &["a.B.test'; rm -rf /; '".to_owned()]);
        assert_eq!(plan.command, r"python3 -m unittest -v 'a.B.test'\''; rm -rf /; '\'''");
        let plan = plan_for(Framework::Vitest, &[format!("f.ts{ID_MARK}adds (1+1)")]);
        assert!(plan.command.contains(r"-t '^(?:adds \(1\+1\))$'"), "{}", plan.command);
    }

    #[test]
    fn a_filter_narrows_each_framework_and_stays_in_its_quotes() {
        let plan = |framework| plan_matching(framework, "it's (1)").command;
        assert_eq!(plan(Framework::Cargo), r"cargo test --no-fail-fast -- 'it'\''s (1)'");
        assert_eq!(plan(Framework::Pytest), r"python3 -m pytest -k 'it'\''s (1)'");
        assert_eq!(plan_matching(Framework::Pytest, "tests/test_a.py::test_b").command, "python3 -m pytest 'tests/test_a.py::test_b'");
        assert!(
            plan(Framework::Node).contains(r"--test-name-pattern='it'\''s \(1\)'") && plan(Framework::Node).contains("--test-reporter=tap")
        );
        assert!(plan(Framework::Go).contains(r"-run 'it'\''s \(1\)'"));
        for framework in [Framework::Unittest, Framework::Vitest, Framework::Jest] {
            assert!(plan(framework).contains(r"'it'\''s"), "{}", plan(framework));
        }
    }

    #[test]
    fn too_many_cases_run_everything() {
        let many: Vec<String> = (0..5000).map(|i| format!("package.module.Class.test_{i}")).collect();
        assert_eq!(plan_for(Framework::Unittest, &many).command, "python3 -m unittest -v");
    }

    #[test]
    fn a_typed_command_is_kept() {
        let plan = plan_own("cd sub && pytest -q", None);
        assert_eq!((plan.framework, plan.command.as_str()), (Framework::Pytest, "cd sub && pytest -q"));
        assert_eq!(plan_own("make check", None).framework, Framework::Tap);
        assert_eq!(plan_own("make check", Some("out/r.xml")).framework, Framework::Junit);
        assert_eq!(plan_own("./cargo-like test", None).framework, Framework::Tap);
    }
}
