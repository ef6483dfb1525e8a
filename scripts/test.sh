#!/usr/bin/env bash
# Every test there is: formatting, lints, the Rust suites against SQLite, PostgreSQL and Redis, the document of the API against
# the server, and the browser journeys against the release binary. The last line reads "N passed, N failed"; a stage that breaks down counts as one failure.
set -uo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"

# All of it happens in a copy, in which an unchanged file keeps its time: what a fresh clone has in common with the one
# tested last is not built again. Nothing but the copy is built into the copy's target folders, since cargo goes by times.
if [ -z "${CLOUDXDEVAI_TESTED:-}" ] && git -C "$ROOT" rev-parse --git-dir >/dev/null 2>&1; then
  copy=$CACHE/tests/checkout
  mkdir -p "$CACHE/tests"
  if command -v flock >/dev/null; then
    exec 7>"$CACHE/tests/lock"
    flock -n 7 || { say "Other tests are running; waiting for them."; flock 7; }
  fi
  python3 "$ROOT/scripts/copy-sources.py" "$ROOT" "$copy" || exit 1
  rm -rf "$ROOT/end2end/artefacts" "$copy/end2end/artefacts"
  CLOUDXDEVAI_TESTED=$ROOT CARGO_TARGET_DIR=$CACHE/target/tests CLOUDXDEVAI_WASM_TARGET_DIR=$CACHE/target/tests-wasm "$copy/scripts/test.sh"
  status=$?
  if [ -d "$copy/end2end/artefacts" ]; then cp -r "$copy/end2end/artefacts" "$ROOT/end2end/artefacts"; fi
  exit $status
fi

. "$ROOT/scripts/crates.sh"
. "$ROOT/scripts/services.sh"
cd "$ROOT" || exit 1

export CI=${CI:-true}
# What cargo keeps for the next edit takes more room than all the rest, and a test run edits nothing.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
# A panic names its line without them, and each of the dozens of test programs is half as large.
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-none}
passed=0
failed=0
broken=()
contract=
logs=$(mktemp -d)
trap 'if [ -n "$contract" ]; then kill "$contract" 2>/dev/null; fi; stop_services; rm -rf "$logs"' EXIT

break_down() {
  failed=$((failed + 1))
  broken+=("$1")
}

# announce NAME: with the time since the beginning.
announce() { say "== $1 ($((SECONDS / 60)):$(printf %02d $((SECONDS % 60))))"; }

# stage NAME COMMAND…: runs it, remembers a failure, goes on.
stage() {
  local name=$1
  shift
  announce "$name"
  if "$@"; then return 0; fi
  break_down "$name"
  return 1
}

count() { grep -oE "[0-9]+ $1" <<<"$2" | head -n1 | cut -d' ' -f1; }

run_nextest() {
  local log=$logs/nextest summary bad=0 word n status
  announce "Rust tests"
  # Most tests wait for a process, a database or a deadline half of the time.
  cargo nextest run --locked "${NATIVE_CRATES[@]}" --test-threads "$(($(nproc) * 2))" --no-fail-fast --no-tests=fail --color never --status-level fail --final-status-level slow 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  summary=$(grep -E '^ *Summary \[' "$log" | tail -n1)
  if [ -z "$summary" ]; then
    break_down "Rust tests (did not build or run)"
    return
  fi
  n=$(count passed "$summary")
  passed=$((passed + ${n:-0}))
  for word in 'failed' 'timed out' 'exec failed'; do
    n=$(count "$word" "$summary")
    bad=$((bad + ${n:-0}))
  done
  failed=$((failed + bad))
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then break_down "Rust tests (exit $status)"; fi
}

# Another database on the same server, so that the fuzzing sees what PostgreSQL refuses and SQLite takes.
contract_database() {
  [ -n "${TEST_DATABASE_URL:-}" ] || return 0
  "$(postgres_bin)/psql" -q -d "$TEST_DATABASE_URL" -c 'DROP DATABASE IF EXISTS contract' -c 'CREATE DATABASE contract' >&2 || return 1
  python3 -c 'import sys, urllib.parse as u; print(u.urlunparse(u.urlparse(sys.argv[1])._replace(path="/contract")))' "$TEST_DATABASE_URL"
}

# Half of its time it waits for answers, so it goes on beside the lints and the journeys.
start_contract() {
  local url
  announce "contract, in the background"
  if ! url=$(contract_database); then
    break_down "contract (no database)"
    return
  fi
  # With examples beside it, which have the features of the tests: nothing is built twice.
  if ! cargo build --locked "${NATIVE_CRATES[@]}" --bin cloudxdevai --example model_server --example s3_server; then
    break_down "contract (did not build)"
    return
  fi
  CONTRACT_DATABASE_URL=$url SERVER_BIN=$CARGO_TARGET_DIR/debug/cloudxdevai SCHEMATHESIS_HOME=$(python_home) \
    python3 end2end/contract/run.py >"$logs/contract" 2>&1 7>&- &
  contract=$!
}

finish_contract() {
  local result=end2end/artefacts/contract/result.json numbers status p f
  [ -n "$contract" ] || return
  announce "contract"
  wait "$contract"
  status=$?
  cat "$logs/contract"
  if ! numbers=$(python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(r["passed"], r["failed"])' "$result"); then
    break_down "contract (no result, exit $status)"
    return
  fi
  read -r p f <<<"$numbers"
  passed=$((passed + p))
  failed=$((failed + f))
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then break_down "contract (exit $status)"; fi
}

run_journeys() {
  local result=end2end/artefacts/result.json numbers status p f
  announce "browser journeys"
  rm -f "$result"
  cargo build --locked "${NATIVE_CRATES[@]}" --bin cloudxdevai --example model_server --example s3_server
  CHROMIUM_PATH=${CHROMIUM_PATH:-$(chromium_bin)} MODEL_SERVER_BIN=$CARGO_TARGET_DIR/debug/examples/model_server \
    S3_SERVER_BIN=$CARGO_TARGET_DIR/debug/examples/s3_server node end2end/run.mjs
  status=$?
  if ! numbers=$(node -e 'const r = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")); console.log(Number(r.passed), Number(r.failed))' "$result"); then
    break_down "browser journeys (no result, exit $status)"
    return
  fi
  read -r p f <<<"$numbers"
  passed=$((passed + p))
  failed=$((failed + f))
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then break_down "browser journeys (exit $status)"; fi
}

main() {
  scripts/setup.sh test || { break_down setup; return; }
  stage "formatting" cargo fmt --all --check
  # The server embeds the browser half, so it comes first.
  stage "browser half" scripts/build-web.sh release
  if stage "test services" start_services; then
    run_nextest
    start_contract
  fi
  stage "lints" cargo clippy --locked "${NATIVE_CRATES[@]}" --all-targets -- -D warnings
  stage "Dockerfile" "$(python_home)/bin/hadolint" Dockerfile
  if stage "release binary" scripts/build.sh; then run_journeys; fi
  finish_contract
}

main
for name in "${broken[@]}"; do say "failed: $name"; done
announce "done"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
