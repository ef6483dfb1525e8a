use super::{command::Reading, *};

fn rule(n: u128, effect: PermissionEffect, tool: &str, command: &str, path: &str) -> PermissionRule {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let new = NewPermissionRule { effect, tool: some(tool), command_pattern: some(command), path_pattern: some(path) };
    new.as_rule(PermissionRuleId(uuid::Uuid::from_u128(n)), ProjectId(uuid::Uuid::nil()), None, Micros(0))
}

fn allow(command: &str) -> PermissionRule {
    rule(1, PermissionEffect::Allow, "run_command", command, "")
}

fn deny(command: &str) -> PermissionRule {
    rule(2, PermissionEffect::Deny, "", command, "")
}

fn run(rules: &[PermissionRule], mode: Mode, command: &str) -> &'static str {
    let call = CallFacts { tool: "run_command", command: Some(command), paths: &[], held: &[], mutates: true, asks: true };
    word(&decide(rules, mode, &call))
}

fn touch(rules: &[PermissionRule], mode: Mode, tool: &str, path: &str) -> &'static str {
    let traits = tool_traits(tool);
    let call = CallFacts { tool, command: None, paths: &[path], held: &[], mutates: traits.mutates, asks: traits.asks };
    word(&decide(rules, mode, &call))
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow { rule: Some(_) } => "rule",
        Decision::Allow { rule: None } => "mode",
        Decision::Ask { .. } => "ask",
        Decision::Deny { .. } => "deny",
    }
}

#[test]
fn without_rules_the_mode_decides() {
    for (mode, tool, expected) in [
        (Mode::Plan, "read_file", "mode"),
        (Mode::Plan, "edit_file", "deny"),
        (Mode::Ask, "edit_file", "mode"),
        (Mode::Auto, "edit_file", "mode"),
        (Mode::Ask, "mcp__tickets__close", "ask"),
        (Mode::Auto, "mcp__tickets__close", "mode"),
        (Mode::Plan, "mcp__tickets__close", "deny"),
        (Mode::Ask, "ask_user", "ask"),
        (Mode::Auto, "ask_user", "ask"),
        (Mode::Plan, "propose_plan", "mode"),
        (Mode::Ask, "propose_plan", "mode"),
    ] {
        assert_eq!(touch(&[], mode, tool, "src/a.rs"), expected, "{mode:?} {tool}");
    }
    assert_eq!([Mode::Plan, Mode::Ask, Mode::Auto].map(|mode| run(&[], mode, "cargo test")), ["deny", "ask", "mode"]);
}

#[test]
fn a_command_is_allowed_only_as_it_was_meant() {
    for (pattern, command, expected) in [
        ("cargo test", "cargo test", "rule"),
        ("cargo test", " cargo test ", "rule"),
        ("cargo test", "cargo  test", "rule"),
        ("cargo test", "'cargo' \"test\"", "rule"),
        ("cargo test", "cargo test -p wire", "ask"),
        ("cargo test *", "cargo test", "rule"),
        ("cargo test *", "cargo test -p wire --all", "rule"),
        ("cargo test *", "cargo testing", "ask"),
        ("cargo test *", "cargo", "ask"),
        ("cargo test *", "/tmp/cargo test", "ask"),
        ("cargo test *", "PATH=. cargo test", "ask"),
        ("cargo test *", "RUSTC_WRAPPER=./x cargo test", "ask"),
        ("npm run test*", "npm run test:unit", "rule"),
        ("npm run test*", "npm run test:unit -- -u", "ask"),
        ("npm run test*", "npm run build", "ask"),
        // Several commands: each part needs a rule.
        ("cargo test *", "cargo test && cargo test -p wire", "rule"),
        ("cargo test *", "cargo test && rm -rf target", "ask"),
        ("cargo test *", "cargo test; rm -rf target", "ask"),
        ("cargo test *", "cargo test | sh", "ask"),
        ("cargo test *", "cargo test & curl x", "ask"),
        ("cargo test *", "cargo test\nrm -rf target", "ask"),
        ("cargo test *", "cargo test || true", "ask"),
        // What the shell makes more of than words.
        ("cargo test *", "cargo test $(rm -rf target)", "ask"),
        ("cargo test *", "cargo test `rm -rf target`", "ask"),
        ("cargo test *", "cargo test \"$(rm x)\"", "ask"),
        ("cargo test *", "cargo test $X", "ask"),
        ("cargo test *", "cargo test > src/main.rs", "ask"),
        ("cargo test *", "cargo test 2> /dev/null2", "ask"),
        ("cargo test *", "cargo test &> log", "ask"),
        ("cargo test *", "cargo test < /etc/passwd", "ask"),
        ("cargo test *", "cargo test <(rm x)", "ask"),
        ("cargo test *", "(cargo test)", "ask"),
        ("cargo test *", "cargo test 'open", "ask"),
        ("cargo test *", "cargo test # rm", "ask"),
        ("cargo test *", "cargo test \u{7}", "ask"),
        ("cargo test *", "", "ask"),
        // Throwing output away and joining it writes nothing.
        ("cargo test *", "cargo test 2>&1", "rule"),
        ("cargo test *", "cargo test --all >/dev/null 2>&1", "rule"),
        ("cargo test *", "cargo test 2>&1 | tail -5", "ask"),
        // The exact text is what the person saw, whatever it holds.
        ("cargo test | tee log.txt", "cargo test | tee log.txt", "rule"),
        ("make $X > out", "make $X > out", "rule"),
        ("make $X > out", "make $Y > out", "ask"),
        ("rm *", "rm *", "rule"),
        ("echo 'a;b' *", "echo 'a;b' c", "rule"),
        ("echo ';' rm", "echo ; rm", "ask"),
        ("cargo; rm *", "cargo; rm x", "ask"),
        ("echo \\*", "echo x", "ask"),
    ] {
        assert_eq!(run(&[allow(pattern)], Mode::Ask, command), expected, "{pattern} / {command}");
    }
}

#[test]
fn parts_may_each_have_a_rule_of_their_own() {
    let rules = [allow("cargo fmt *"), rule(7, PermissionEffect::Allow, "run_command", "tail *", "")];
    assert_eq!(run(&rules, Mode::Ask, "cargo fmt --all && cargo fmt | tail -3"), "rule");
    assert_eq!(run(&rules, Mode::Ask, "cargo fmt && head x"), "ask");
    assert_eq!(run(&[rule(1, PermissionEffect::Allow, "run_command", "", "")], Mode::Ask, "x $(y)"), "rule");
    assert_eq!(run(&[rule(1, PermissionEffect::Allow, "run_*", "", "")], Mode::Ask, "x"), "rule");
    assert_eq!(run(&[rule(1, PermissionEffect::Allow, "edit_file", "", "")], Mode::Ask, "x"), "ask");
    assert_eq!(run(&[allow("cargo test")], Mode::Plan, "cargo test"), "deny");
}

#[test]
fn a_denied_command_is_found_wherever_it_hides() {
    for (command, expected) in [
        ("rm -rf target", "deny"),
        ("ls", "mode"),
        ("lsrm -x", "mode"),
        ("echo rm", "mode"),
        ("ls && rm x", "deny"),
        ("ls; 'rm' x", "deny"),
        ("r''m x", "deny"),
        ("\\rm x", "deny"),
        ("/bin/rm x", "deny"),
        ("X=1 rm x", "deny"),
        ("X=1 Y=2 /usr/bin/rm x", "deny"),
        ("echo $(rm x)", "deny"),
        ("sudo rm x", "deny"),
        ("bash -c 'rm x'", "deny"),
        ("find . -name a | xargs rm", "deny"),
        ("find . -exec /bin/rm {} +", "deny"),
        ("if true; then rm x; fi", "deny"),
        ("{ rm x; }", "deny"),
        // Nothing of it can be seen, so a person looks.
        ("$(echo r)m x", "ask"),
        ("bash ./x.sh", "ask"),
        ("python3 x.py", "ask"),
        ("/bin/r? x", "ask"),
    ] {
        assert_eq!(run(&[deny("rm *")], Mode::Auto, command), expected, "{command}");
    }
    // The strictest wins, in any order.
    assert_eq!(run(&[allow("rm *"), deny("rm -rf *")], Mode::Ask, "rm -rf x"), "deny");
    assert_eq!(run(&[deny("rm -rf *"), allow("rm *")], Mode::Ask, "rm x"), "rule");
    let asks = rule(3, PermissionEffect::Ask, "", "npm publish *", "");
    assert_eq!(run(&[asks.clone(), allow("npm *")], Mode::Auto, "npm publish"), "ask");
    assert_eq!(run(std::slice::from_ref(&asks), Mode::Auto, "npm test"), "mode");
    // A text that a person allowed as it stands is not doubted, but what is denied stays denied.
    assert_eq!(run(&[asks, allow("bash ./x.sh")], Mode::Auto, "bash ./x.sh"), "rule");
    assert_eq!(run(&[deny("rm *"), allow("bash -c 'rm x'")], Mode::Auto, "bash -c 'rm x'"), "deny");
}

#[test]
fn paths_match_by_their_parts() {
    for (pattern, path, expected) in [
        ("src/**", "src/a.rs", true),
        ("src/**", "src/a/b/c.rs", true),
        ("src/**", "src", true),
        ("src/**", "src2/a.rs", false),
        ("src/", "src/a/b.rs", true),
        ("src/*", "src/a.rs", true),
        ("src/*", "src/a/b.rs", false),
        ("**/*.md", "README.md", true),
        ("**/*.md", "docs/a/b.md", true),
        ("*.md", "docs/a.md", false),
        ("docs/**/index.*", "docs/a/b/index.html", true),
        ("docs/**/index.*", "docs/index.html", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("é*", "états", true),
        ("**", "anything/at/all", true),
        ("a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
    ] {
        assert_eq!(paths::matches(pattern, path), expected, "{pattern} / {path}");
    }
}

#[test]
fn a_path_rule_speaks_of_files_and_not_of_commands() {
    let docs = rule(1, PermissionEffect::Allow, "", "", "docs/**");
    let secret = rule(2, PermissionEffect::Deny, "", "", "secrets/**");
    let lock = rule(3, PermissionEffect::Ask, "edit_file", "", "Cargo.lock");
    let rules = [docs, secret, lock];
    for (tool, path, expected) in [
        ("edit_file", "docs/a.md", "rule"),
        ("edit_file", "src/a.rs", "mode"),
        ("edit_file", "Cargo.lock", "ask"),
        ("write_file", "Cargo.lock", "mode"),
        ("read_file", "secrets/key", "deny"),
        ("edit_file", "docs/../secrets/key", "deny"),
        ("read_file", "secrets", "deny"),
    ] {
        assert_eq!(touch(&rules, Mode::Ask, tool, path), expected, "{tool} {path}");
    }
    assert_eq!(run(&rules, Mode::Auto, "cat secrets/key"), "deny");
    assert_eq!(run(&rules, Mode::Auto, "cat --file=./secrets/key"), "deny");
    let inside = CallFacts { tool: "run_command", command: Some("rm x"), paths: &["docs/x"], held: &[], mutates: true, asks: true };
    assert_eq!(word(&decide(&rules, Mode::Ask, &inside)), "ask");
    let both = CallFacts { tool: "move_file", command: None, paths: &["docs/a", "src/a"], held: &[], mutates: true, asks: true };
    assert_eq!(word(&decide(&rules, Mode::Ask, &both)), "ask");
    let into = CallFacts { paths: &["docs/a", "docs/b"], ..both };
    assert_eq!(word(&decide(&rules, Mode::Ask, &into)), "rule");
    let server = CallFacts { tool: "mcp__disk__write", paths: &["docs/a"], ..both };
    assert_eq!(word(&decide(&rules, Mode::Ask, &server)), "ask");
}

#[test]
fn a_changed_file_is_known_by_its_place() {
    for (path, title) in [
        (".github/workflows/ci.yml", "CI"),
        ("sub/AGENTS.md", "The agent's instructions"),
        (".husky/pre-commit", "Hooks"),
        ("vendor/.gitmodules", "Version control"),
    ] {
        assert_eq!(guarded_place(path).map(|place| place.title), Some(title), "{path}");
    }
    assert_eq!(guarded_place("src/agents.md.rs"), None);
    assert_eq!(guarded_place("README.md"), None);
}

#[test]
fn some_places_always_ask() {
    let everything = [
        rule(1, PermissionEffect::Allow, "run_command", "", ""),
        rule(2, PermissionEffect::Allow, "edit_file", "", ""),
        rule(3, PermissionEffect::Allow, "", "", "**"),
        rule(4, PermissionEffect::Allow, "run_command", "*", ""),
    ];
    for path in [
        ".git/config",
        "vendor/x/.git/hooks/pre-commit",
        ".GIT/config",
        "./.git/config",
        ".github/workflows/ci.yml",
        ".github",
        ".GitHub/Workflows/ci.yml",
        ".gitlab-ci.yml",
        ".circleci/config.yml",
        "Jenkinsfile",
        "ci/Jenkinsfile.release",
        "azure-pipelines.yml",
        "AGENTS.md",
        "agents.md",
        "crates/a/AGENTS.md",
        "CLAUDE.md",
        ".cursor/rules/a.mdc",
        ".husky/pre-commit",
        ".pre-commit-config.yaml",
    ] {
        assert_eq!(touch(&everything, Mode::Auto, "edit_file", path), "ask", "{path}");
        assert_ne!(touch(&everything, Mode::Auto, "read_file", path), "ask", "{path}");
        assert_eq!(run(&everything, Mode::Auto, &format!("sed -i s/a/b/ {path}")), "ask", "{path}");
    }
    for path in ["src/agents.rs", "docs/github/workflows.md", ".gitignore", ".github/ISSUE_TEMPLATE/bug.md", "agents.md.txt"] {
        assert_eq!(touch(&everything, Mode::Auto, "edit_file", path), "rule", "{path}");
    }
    for (command, expected) in [
        ("git status", "rule"),
        ("git log --oneline | head", "rule"),
        ("git commit -m x", "ask"),
        ("git config core.hooksPath x", "ask"),
        ("git -c core.pager=x log", "ask"),
        ("ls && git push", "ask"),
        ("env git commit", "ask"),
        ("echo x >> .git/config", "ask"),
        ("cd .github && rm -r workflows", "ask"),
        ("tee AGENTS.md", "ask"),
        ("cp x ./AGENTS.md", "ask"),
        ("cat src/main.rs", "rule"),
        ("tee 'AGENTS'.md", "ask"),
        ("tee AG\"EN\"TS.md", "ask"),
        ("tee AGENTS\\.md", "ask"),
        ("rm AGENTS.m?", "ask"),
        ("rm A*.md", "ask"),
        ("rm [Aa]GENTS.md", "ask"),
        ("rm {x,AGENTS}.md", "ask"),
        ("rm -r .g{x,it}", "ask"),
        ("rm -r .gi*/workflows", "ask"),
        ("rm -r .hus?y", "ask"),
        ("cp x '.github/workflows/a b.yml'", "ask"),
        ("bash -c \"rm 'AGENTS'.md\"", "ask"),
        ("bash -c 'rm AGENT?.md'", "ask"),
        ("rm src/*.rs", "rule"),
        ("rm -r target/*", "rule"),
        ("grep 'A*.md' src/main.rs", "rule"),
        ("sed 's/.*//' src/main.rs", "rule"),
        ("awk '{print}' src/main.rs", "rule"),
    ] {
        assert_eq!(run(&everything, Mode::Auto, command), expected, "{command}");
    }
    let below =
        CallFacts { tool: "run_command", command: Some("rm workflows/ci.yml"), paths: &[".github"], held: &[], mutates: true, asks: true };
    assert_eq!(word(&decide(&everything, Mode::Auto, &below)), "ask");
    assert_eq!(run(&[deny("git push *")], Mode::Auto, "git push"), "deny");
}

fn offered(command: &str) -> Vec<String> {
    let call = CallFacts { tool: "run_command", command: Some(command), paths: &[], held: &[], mutates: true, asks: true };
    suggest(&call).into_iter().map(|found| found.label).collect()
}

#[test]
fn what_the_shell_would_expand_is_limited_too() {
    let secret = [rule(1, PermissionEffect::Deny, "", "", "secrets/**"), rule(2, PermissionEffect::Allow, "run_command", "*", "")];
    for (command, expected) in [
        ("cat sec*/key", "deny"),
        ("cat 'sec'rets/key", "deny"),
        ("cat {secrets,x}/key", "deny"),
        ("cat src/*", "rule"),
        ("cat sec?", "rule"),
    ] {
        assert_eq!(run(&secret, Mode::Auto, command), expected, "{command}");
    }
}

#[test]
fn suggestions_stay_narrow() {
    for (command, expected) in [
        ("cargo test -p wire", vec!["cargo test -p wire", "cargo test *"]),
        ("cargo test", vec!["cargo test", "cargo test *"]),
        ("cargo --version", vec!["cargo --version"]),
        ("npm run lint -- --fix", vec!["npm run lint -- --fix", "npm run lint *"]),
        ("npm run", vec!["npm run"]),
        ("pytest -q tests", vec!["pytest -q tests", "pytest *"]),
        ("./check.sh all", vec!["./check.sh all", "./check.sh *"]),
        ("cargo test && cargo fmt", vec!["cargo test && cargo fmt"]),
        ("cargo test | tail", vec!["cargo test | tail"]),
        ("cargo test > out.txt", vec!["cargo test > out.txt"]),
        ("echo $HOME", vec!["echo $HOME"]),
        ("rm -rf target", vec!["rm -rf target"]),
        ("bash -c 'cargo test'", vec!["bash -c 'cargo test'"]),
        ("python3 x.py", vec!["python3 x.py"]),
        ("X=1 cargo test", vec!["X=1 cargo test"]),
        ("ls *", vec![]),
        ("cargo test\ncargo fmt", vec![]),
        ("", vec![]),
        ("git push", vec![]),
        ("git status", vec!["git status"]),
        ("vi AGENTS.md", vec![]),
    ] {
        assert_eq!(offered(command), expected, "{command}");
    }
}

#[test]
fn what_is_suggested_covers_the_call_and_is_a_valid_rule() {
    for command in ["cargo test -p wire", "cargo test | tail", "echo 'a b' > x", "pytest -q", "./x.sh 'a b'", "'my tool' x"] {
        let call = CallFacts { tool: "run_command", command: Some(command), paths: &[], held: &[], mutates: true, asks: true };
        for found in suggest(&call) {
            let new = found.rule.for_tool("run_command");
            assert!(new.validate().is_empty(), "{}", found.label);
            let rule = new.as_rule(PermissionRuleId(uuid::Uuid::nil()), ProjectId(uuid::Uuid::nil()), None, Micros(0));
            assert_eq!(word(&decide(&[rule], Mode::Ask, &call)), "rule", "{command}: {}", found.label);
        }
    }
    let call = CallFacts { tool: "edit_file", command: None, paths: &["src/a/b.rs"], held: &[], mutates: true, asks: true };
    let labels: Vec<String> = suggest(&call).into_iter().map(|found| found.label).collect();
    assert_eq!(labels, ["src/a/b.rs", "Everything in src/a"]);
    let own = CallFacts { tool: "mcp__tickets__close", ..call };
    assert_eq!(suggest(&own).first().map(|found| found.rule.clone()), Some(RememberRule::Tool("mcp__tickets__close".to_owned())));
    assert!(suggest(&CallFacts { paths: &["AGENTS.md"], ..call }).is_empty());
    assert!(suggest(&CallFacts { tool: "ask_user", ..call }).is_empty());
}

#[test]
fn rules_that_say_nothing_or_too_much_are_refused() {
    let new = |tool: &str, command: &str, path: &str| {
        let some = |text: &str| Some(text.to_owned());
        NewPermissionRule { effect: PermissionEffect::Allow, tool: some(tool), command_pattern: some(command), path_pattern: some(path) }
            .normalise()
            .validate()
            .len()
    };
    for (tool, command, path, wrong) in [
        ("", "", "", 1),
        ("edit_file", "", "", 0),
        ("mcp__a__*", "", "", 0),
        ("edit file", "", "", 1),
        ("", "cargo test *", "", 0),
        ("edit_file", "cargo test", "", 1),
        ("", "cargo test", "src/**", 1),
        ("", "cargo\ntest", "", 1),
        ("", "", "/etc/**", 1),
        ("", "", "a/../b", 1),
        ("", "", "src/**", 0),
    ] {
        assert_eq!(new(tool, command, path), wrong, "{tool:?} {command:?} {path:?}");
    }
}

#[test]
fn a_call_is_read_from_its_arguments() {
    let read = |tool: &str, arguments: &str| CallSubject::read(tool, arguments);
    let moved = read("move_file", r#"{"from": "a", "to": ".git/x"}"#);
    assert_eq!((moved.command.clone(), moved.paths.clone()), (None, vec!["a".to_owned(), ".git/x".to_owned()]));
    assert_eq!(moved.label(), "a → .git/x");
    let run = read("run_command", r#"{"command": "ls\n-l", "cwd": "src"}"#);
    assert_eq!((run.command.as_deref(), run.label().as_str()), (Some("ls\n-l"), "ls -l"));
    assert_eq!(read("run_command", "not json").command.as_deref(), Some(""));
    assert_eq!(read("edit_file", "[1]"), CallSubject::default());
}

#[test]
fn a_remembered_rule_has_the_words_of_the_interface() {
    let text = serde_json::to_string(&RememberRule::CommandPattern("cargo test *".to_owned())).unwrap_or_default();
    assert_eq!(text, r#"{"command_pattern":"cargo test *"}"#);
    let rule = RememberRule::PathPattern("src/**".to_owned()).for_tool("edit_file");
    assert_eq!((rule.tool.as_deref(), rule.path_pattern.as_deref()), (Some("edit_file"), Some("src/**")));
}

#[test]
fn a_page_is_judged_by_its_host() {
    let judge = |rules: &[PermissionRule], mode: Mode, url: &str| {
        let arguments = serde_json::json!({ "url": url }).to_string();
        CallSubject::read("web_fetch", &arguments).with_facts("web_fetch", tool_traits("web_fetch"), |facts| decide(rules, mode, facts))
    };
    let is_allowed = |decision: Decision| matches!(decision, Decision::Allow { .. });
    let page = "https://Docs.rs/serde?q=1";
    assert!(is_allowed(judge(&[], Mode::Auto, page)));
    for mode in [Mode::Ask, Mode::Plan] {
        assert!(matches!(judge(&[], mode, page), Decision::Ask { .. }), "{mode:?}");
    }
    let host = rule(1, PermissionEffect::Allow, "web_fetch", "", "docs.rs");
    assert!(is_allowed(judge(std::slice::from_ref(&host), Mode::Ask, page)));
    for other in ["https://evil.org/docs.rs", "https://a.docs.rs/", "http://docs.rs@evil.org/", "http://docs.rs\\@evil.org/", "docs.rs", ""]
    {
        assert!(!is_allowed(judge(std::slice::from_ref(&host), Mode::Ask, other)), "{other}");
    }
    let below = rule(2, PermissionEffect::Allow, "web_fetch", "", "*.example.org");
    assert!(is_allowed(judge(std::slice::from_ref(&below), Mode::Ask, "http://a.b.example.org:8080/x")));
    // Rules about files open nothing.
    let files = [rule(3, PermissionEffect::Allow, "", "", "**"), rule(4, PermissionEffect::Allow, "read_file", "", "docs.rs")];
    assert!(!is_allowed(judge(&files, Mode::Ask, page)));
    let closed = rule(5, PermissionEffect::Deny, "web_fetch", "", "evil.org");
    for url in ["https://evil.org/", "https://evil.org:8443/", "https:evil.org", "https://a@evil.org"] {
        assert!(matches!(judge(std::slice::from_ref(&closed), Mode::Auto, url), Decision::Deny { .. }), "{url}");
    }
    assert!(is_allowed(judge(&[closed], Mode::Auto, page)));

    let offered = |url: &str| {
        let arguments = serde_json::json!({ "url": url }).to_string();
        CallSubject::read("web_fetch", &arguments).with_facts("web_fetch", tool_traits("web_fetch"), suggest)
    };
    let rules: Vec<RememberRule> = offered(page).into_iter().map(|found| found.rule).collect();
    assert_eq!(rules, [RememberRule::PathPattern("docs.rs".to_owned()), RememberRule::Tool("web_fetch".to_owned())]);
    assert_eq!(offered("http://a@evil.org").len(), 1, "no host is offered that can't be read for sure");
}

proptest::proptest! {
    /// Whatever is put behind an allowed command, nothing that the shell treats specially gets through.
    #[test]
    fn no_operator_slips_through(tail in "[ -~\n]{0,40}") {
        let command = format!("cargo test {tail}");
        if run(&[allow("cargo test *")], Mode::Ask, &command) == "rule" {
            let reading = Reading::of(&command);
            let parts = reading.parts().unwrap_or_default();
            proptest::prop_assert!(!parts.is_empty());
            proptest::prop_assert!(parts.iter().all(|words| words.starts_with(&["cargo".to_owned(), "test".to_owned()])), "{parts:?}");
        }
    }

    #[test]
    fn reading_never_fails(text in "\\PC{0,80}", pattern in "\\PC{0,20}") {
        let _ = run(&[allow(&pattern), deny(&pattern)], Mode::Auto, &text);
        let _ = offered(&text);
        let _ = paths::matches(&pattern, &text);
    }
}
