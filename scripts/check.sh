#!/usr/bin/env bash
# Formatting and lints of both halves and of the Dockerfile. Prints one line per check; fails when any fails.
set -uo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
. "$ROOT/scripts/crates.sh"
cd "$ROOT" || exit 1

failed=0
check() {
  local name=$1
  shift
  if "$@"; then say "check $name: passed"; else
    say "check $name: FAILED"
    failed=$((failed + 1))
  fi
}

lint_web() {
  local lints=(clippy)
  # Rust without clippy for this half still catches every warning of the compiler.
  with_wasm_toolchain cargo clippy --version >/dev/null 2>&1 || lints=(check)
  if [ "${lints[0]}" = clippy ]; then
    with_wasm_toolchain cargo clippy $LOCKED -p frontend -p app --features app/hydrate --target $WASM_TARGET -- -D warnings
  else
    RUSTFLAGS="-D warnings" with_wasm_toolchain cargo check $LOCKED -p frontend --target $WASM_TARGET
  fi
}

check format cargo fmt --all --check
check "lints, server" cargo clippy $LOCKED "${NATIVE_CRATES[@]}" --all-targets -- -D warnings
check "lints, browser" lint_web
check Dockerfile "$(python_home)/bin/hadolint" Dockerfile
exit $((failed > 0))
