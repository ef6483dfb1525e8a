#!/usr/bin/env bash
# The self-contained release binary at bin/cloudxdevai, with the browser half embedded.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

scripts/build-web.sh release
say "Building the server."
cargo build --release $LOCKED -p server --bin cloudxdevai
built=$CARGO_TARGET_DIR/release/cloudxdevai
if ! cmp -s "$built" bin/cloudxdevai; then
  mkdir -p bin
  # A running server keeps its old file.
  install -m 755 "$built" bin/.cloudxdevai.new
  mv bin/.cloudxdevai.new bin/cloudxdevai
fi
say "bin/cloudxdevai is ready."
