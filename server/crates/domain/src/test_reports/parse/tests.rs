use super::*;

fn names(report: &TestReport, state: CaseState) -> Vec<String> {
    report.cases.iter().filter(|case| case.state == state).map(|case| case.name.clone()).collect()
}

fn find<'a>(report: &'a TestReport, name: &str) -> &'a TestCase {
    report.cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no {name} in {report:?}"))
}

fn place(case: &TestCase) -> (Option<&str>, Option<u32>) {
    (case.file.as_deref(), case.line)
}

#[test]
fn cargo_with_failures_and_documentation() {
    let output = "\
     Running unittests src/lib.rs (target/debug/deps/tally-1a2b)

running 3 tests
test sums::adds ... ok
test sums::carries ... FAILED
test slow ... ignored, takes an hour

failures:

---- sums::carries stdout ----

thread 'sums::carries' (4711) panicked at src/sums.rs:42:9:
assertion `left == right` failed
  left: 9
 right: 10
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    sums::carries

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/whole.rs (target/debug/deps/whole-3c4d)

running 1 test
test sums::adds ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests tally

running 1 test
test src/lib.rs - add (line 7) ... ok
";
    let report = parse(Framework::Cargo, output.as_bytes(), None);
    assert_eq!((report.passed, report.failed, report.skipped), (3, 1, 1));
    let bad = find(&report, "carries");
    assert_eq!(place(bad), (Some("src/sums.rs"), Some(42)));
    assert_eq!(bad.path, ["src/lib.rs", "sums"]);
    assert!(bad.message.contains("right: 10") && !bad.message.contains("test result"), "{}", bad.message);
    assert_eq!(find(&report, "slow").message, "takes an hour");
    assert_eq!(place(find(&report, "src/lib.rs - add (line 7)")), (Some("src/lib.rs"), Some(7)));
    // The same name in two binaries is two cases.
    let adds: Vec<&str> = report.cases.iter().filter(|case| case.name == "adds").map(|case| case.id.as_str()).collect();
    assert_eq!(adds.len(), 2);
    assert_ne!(adds[0], adds[1]);
}

#[test]
fn nextest_tells_times() {
    let output = "        PASS [   0.005s] (1/2) wire files::tests::keeps\n        FAIL [   1.250s] (2/2) wire time::tests::rounds\n";
    let report = parse(Framework::Cargo, output.as_bytes(), None);
    assert_eq!((report.passed, report.failed), (1, 1));
    assert_eq!(find(&report, "rounds").duration_ms, Some(1250));
    assert_eq!(find(&report, "rounds").path, ["wire", "time", "tests"]);
}

const RULE: &str = "======================================================================";
const LINE: &str = "----------------------------------------------------------------------";

#[test]
fn unittest_with_noise_docstrings_subtests_and_a_module_that_does_not_load() {
    let output = format!(
        "test_bad (test_a.A.test_bad) ... noise
FAIL
test_doc (test_a.A.test_doc)
Says what it does. ... ok
test_old (test_a.A) ... ok
test_skip (test_a.A.test_skip) ... skipped 'not now'
test_sub (test_a.A.test_sub) ... \n  test_sub (test_a.A.test_sub) (i=2) ... FAIL
  test_sub (test_a.A.test_sub) (i=3) ... FAIL
test_broken (unittest.loader._FailedTest.test_broken) ... ERROR

{RULE}
ERROR: test_broken (unittest.loader._FailedTest.test_broken)
{LINE}
Traceback (most recent call last):
  File \"/usr/lib/python3.11/unittest/loader.py\", line 362, in _get_module_from_name
    __import__(name)
  File \"/w/test_broken.py\", line 1, in <module>
    import nope
ModuleNotFoundError: No module named 'nope'


{RULE}
FAIL: test_bad (test_a.A.test_bad)
{LINE}
Traceback (most recent call last):
  File \"/w/test_a.py\", line 6, in test_bad
    self.assertEqual(1, 2)
AssertionError: 1 != 2

{RULE}
FAIL: test_sub (test_a.A.test_sub) (i=2)
{LINE}
AssertionError: 2 != 1

{LINE}
Ran 7 tests in 0.001s

FAILED (failures=2, errors=2, skipped=1)
"
    );
    let report = parse(Framework::Unittest, output.as_bytes(), None);
    assert_eq!((report.passed, report.failed, report.skipped), (2, 3, 1), "{report:?}");
    assert_eq!(names(&report, CaseState::Failed), ["test_bad", "test_sub", "test_broken"]);
    assert_eq!(place(find(&report, "test_bad")), (Some("test_a.py"), Some(6)));
    assert_eq!(place(find(&report, "test_broken")), (Some("test_broken.py"), Some(1)));
    assert_eq!(find(&report, "test_old").id, "test_a.A.test_old");
    assert!(find(&report, "test_sub").message.starts_with("(i=2)"));
    assert_eq!(find(&report, "test_skip").message, "not now");
}

#[test]
fn go_with_subtests_and_packages() {
    let output = "=== RUN   TestSum
    sum_test.go:12: got 3, want 4
--- FAIL: TestSum (0.02s)
=== RUN   TestMany
=== RUN   TestMany/small
=== RUN   TestMany/large
--- PASS: TestMany (0.00s)
    --- PASS: TestMany/small (0.00s)
    --- SKIP: TestMany/large (0.00s)
FAIL
FAIL\texample.org/tally/sums\t0.031s
=== RUN   TestSum
--- PASS: TestSum (0.00s)
PASS
ok  \texample.org/tally\t0.002s
";
    let report = parse(Framework::Go, output.as_bytes(), None);
    assert_eq!((report.passed, report.failed, report.skipped), (2, 1, 1), "{report:?}");
    let bad = &report.cases[0];
    assert_eq!((bad.path.as_slice(), bad.duration_ms), (&["example.org/tally/sums".to_owned()][..], Some(20)));
    assert_eq!(place(bad), (Some("sum_test.go"), Some(12)));
    assert_eq!(find(&report, "small").path, ["example.org/tally/sums", "TestMany"]);
}

#[test]
fn pytest_names_nodes_and_the_line_that_failed() {
    let xml = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="tests.test_p.TestX" name="test_y[1]" file="tests/test_p.py" line="2" time="0.012" />
<testcase classname="tests.test_p.TestX" name="test_y[2]" file="tests/test_p.py" line="2" time="0.001"><failure message="AssertionError: n &amp; &lt;more&gt;&#10;assert 2 == 1">    def test_y(self, n):
&gt;       assert n == 1
tests/helpers.py:3: in check
tests/test_p.py:5: AssertionError</failure></testcase>
<testcase classname="tests.test_p" name="test_skip" file="tests/test_p.py" line="5" time="0"><skipped type="pytest.skip" message="why">/w/tests/test_p.py:7: why</skipped></testcase>
<testcase classname="tests.test_p" name="test_fix" file="tests/test_p.py" line="9" time="0"><error message="failed on setup">boom</error></testcase>
</testsuite></testsuites>"#;
    let report = parse(Framework::Pytest, b"ignored", Some(xml.as_bytes()));
    assert_eq!((report.passed, report.failed, report.skipped), (1, 2, 1));
    let bad = find(&report, "test_y[2]");
    assert_eq!(bad.id, "tests/test_p.py::TestX::test_y[2]");
    assert_eq!(place(bad), (Some("tests/test_p.py"), Some(5)));
    assert!(bad.message.contains("n & <more>\nassert 2 == 1") && bad.message.contains(">       assert n == 1"), "{}", bad.message);
    assert_eq!(find(&report, "test_y[1]").duration_ms, Some(12));
    assert_eq!(place(find(&report, "test_fix")), (Some("tests/test_p.py"), Some(10)));
}

#[test]
fn vitest_names_files_and_suites() {
    let xml = r#"<testsuites><testsuite name="t/a.test.ts"><testcase classname="t/a.test.ts" name="outer &gt; fails" time="0.0034">
<failure message="expected 2 to be 3" type="AssertionError">
AssertionError: expected 2 to be 3
 ❯ node_modules/lib/x.js:9:9
 ❯ t/a.test.ts:2:84
</failure></testcase><testcase classname="t/a.test.ts" name="outer &gt; later" time="0"><skipped/></testcase></testsuite></testsuites>"#;
    let report = parse(Framework::Vitest, b"", Some(xml.as_bytes()));
    let bad = find(&report, "fails");
    assert_eq!((bad.path.as_slice(), place(bad)), (&["t/a.test.ts".to_owned(), "outer".to_owned()][..], (Some("t/a.test.ts"), Some(2))));
    assert_eq!((report.failed, report.skipped), (1, 1));
}

#[test]
fn node_tap_with_suites_and_places() {
    let tap = "TAP version 13
# Subtest: plain
ok 1 - plain
  ---
  duration_ms: 0.6849
  ...
# Subtest: skipped
ok 2 - skipped # SKIP later
  ---
  duration_ms: 0.07
  ...
# Subtest: outer
    # Subtest: inner bad
    not ok 1 - inner bad
      ---
      duration_ms: 12.6
      location: '/w/lib/a.test.mjs:6:53'
      failureType: 'testCodeFailure'
      error: 'boom'
      stack: |-
        TestContext.<anonymous> (file:///w/lib/a.test.mjs:7:83)
        Test.run (node:internal/test_runner/test:796:25)
      ...
    1..1
not ok 3 - outer
  ---
  type: 'suite'
  location: '/w/lib/a.test.mjs:5:1'
  failureType: 'subtestsFailed'
  error: '1 subtest failed'
  ...
1..3
# tests 3
";
    let report = parse(Framework::Node, b"", Some(tap.as_bytes()));
    assert_eq!((report.passed, report.failed, report.skipped), (1, 1, 1), "{report:?}");
    let bad = find(&report, "inner bad");
    assert_eq!((bad.path.as_slice(), bad.duration_ms), (&["outer".to_owned()][..], Some(13)));
    assert_eq!(place(bad), (Some("lib/a.test.mjs"), Some(7)));
    assert!(bad.message.contains("error: 'boom'"));
    assert_eq!(find(&report, "skipped").message, "later");
}

#[test]
fn plain_tap_on_the_output_is_found_without_being_told() {
    let report = parse(Framework::Tap, b"1..3\nok 1 first\nnot ok 2 second # TODO soon\nnot ok\nBail out!\n", None);
    assert_eq!((report.passed, report.failed, report.skipped), (1, 1, 1), "{report:?}");
}

#[test]
fn jest_json() {
    let json = r#"{"testResults":[{"name":"/w/j/b.test.js","status":"failed","message":"","assertionResults":[
      {"ancestorTitles":["outer"],"title":"fails","fullName":"outer fails","status":"failed","duration":2,
       "failureMessages":["Error: no\n    at Object.toBe (/w/j/b.test.js:4:8)\n    at x (/w/node_modules/y.js:1:1)"]},
      {"ancestorTitles":[],"title":"later","fullName":"later","status":"pending","duration":null}]},
      {"name":"/w/j/broken.test.js","status":"failed","message":"Cannot find module 'nope'","assertionResults":[]}]}"#;
    let report = parse(Framework::Jest, b"", Some(json.as_bytes()));
    assert_eq!((report.passed, report.failed, report.skipped), (0, 2, 1));
    assert_eq!(place(find(&report, "fails")), (Some("j/b.test.js"), Some(4)));
    assert_eq!(find(&report, "(the file did not load)").file.as_deref(), Some("j/broken.test.js"));
}

#[test]
fn hostile_reports_are_bounded_and_never_leave_the_project() {
    let many: String = (0..CASES_MAX + 50).map(|i| format!("test t{i} ... {}\n", if i == 7 { "FAILED" } else { "ok" })).collect();
    let report = parse(Framework::Cargo, many.as_bytes(), None);
    assert!(report.truncated && report.cases.len() == CASES_MAX && report.passed == CASES_MAX as i64 + 49);
    assert_eq!(report.cases[0].name, "t7");

    let outside = r#"<testcase classname="a/b.js" name="x" file="../../etc/passwd" line="3"><failure message="m"/></testcase>"#;
    let report = parse(Framework::Junit, b"", Some(outside.as_bytes()));
    assert_eq!(place(&report.cases[0]), (None, None));

    let entities = r#"<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testcase name="&e;x"><failure>&e;</failure></testcase>"#;
    let report = parse(Framework::Junit, b"", Some(entities.as_bytes()));
    assert!(report.cases.iter().all(|case| !case.message.contains("root")), "{report:?}");

    let long = format!("test a ... FAILED\n\nfailures:\n\n---- a stdout ----\n{}end\n\nfailures:\n", "é".repeat(40_000));
    let report = parse(Framework::Cargo, long.as_bytes(), None);
    assert!(report.cases[0].message.len() <= MESSAGE_MAX && report.cases[0].message.ends_with("end"));
    for framework in [Framework::Jest, Framework::Junit, Framework::Tap, Framework::Go, Framework::Unittest] {
        let _ = parse(framework, &[0xff; 4096], Some(&[0xfe; 4096]));
        let _ = parse(framework, "(((] ... \u{1b}[".repeat(200).as_bytes(), Some(b"<<<<testcase"));
    }
}
