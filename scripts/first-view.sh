#!/usr/bin/env bash
# Renews frontend/late.txt: which functions of the browser half the first view of a project does without, and a release build
# therefore sends after it. New functions come first until they are in it. Needs Chromium. Worth a run when `make bench` shows
# that the first half has grown, or that the editor waited for the second one.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

scripts/setup.sh bench
FRESH=1 scripts/build-web.sh release
scripts/build.sh
cargo build --release $LOCKED -p llm --example model_server
MODEL_SERVER_BIN=$CARGO_TARGET_DIR/release/examples/model_server CHROMIUM_PATH=${CHROMIUM_PATH:-$(chromium_bin)} \
  node end2end/first-view.mjs "$WASM_TARGET_DIR/wasm-opt/release/frontend_bg.wasm"
