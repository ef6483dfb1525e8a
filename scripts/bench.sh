#!/usr/bin/env bash
# Measures the release binary on this machine and prints each figure beside its bar. A missed bar fails nothing.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

scripts/setup.sh bench
scripts/build.sh
# None of them is the server's: it would be built once more, with what its tests want of its dependencies.
cargo build --release $LOCKED -p blobs -p domain -p llm -p sandbox --example checkpoints --example model_server --example overhead --example workspace --example terminal_echo --example s3_server --example search
examples=$CARGO_TARGET_DIR/release/examples
export MODEL_SERVER_BIN=$examples/model_server S3_SERVER_BIN=$examples/s3_server OVERHEAD_BIN=$examples/overhead WORKSPACE_BIN=$examples/workspace \
  TERMINAL_ECHO_BIN=$examples/terminal_echo CHECKPOINTS_BIN=$examples/checkpoints SEARCH_BIN=$examples/search CHROMIUM_PATH=${CHROMIUM_PATH:-$(chromium_bin)}
REFERENCE_PACKAGES=$(python_home end2end/bench/reference/requirements.txt)
export REFERENCE_PACKAGES
node end2end/bench/run.mjs
node scripts/bench.mjs
