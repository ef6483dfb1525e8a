#!/usr/bin/env bash
# The self-contained release binary at bin/cloudxdevai, with the browser half embedded. Kept in the cache by the hash of
# its inputs, so that going back to a commit or into a fresh clone does not build it again.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

inputs_hash() {
  {
    rustc --version
    find .cargo app server migrations dist Cargo.toml Cargo.lock \( -path server/tests -o -path 'server/crates/*/tests' \) -prune \
      -o -type f ! -name '*.br' ! -name '*.gz' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -c1-20
}

put() {
  # A running server keeps its old file.
  mkdir -p "$(dirname "$2")"
  install -m 755 "$1" "$2.new"
  mv "$2.new" "$2"
}

scripts/build-web.sh release
hash=$(inputs_hash)
kept=$CACHE/bin/cloudxdevai-$hash
if [ ! -x "$kept" ]; then
  say "Building the server."
  cargo build --release $LOCKED -p server --bin cloudxdevai
  [ "$(inputs_hash)" = "$hash" ] || die "Sources changed during the build; run it again."
  put "$CARGO_TARGET_DIR/release/cloudxdevai" "$kept"
  ls -1t "$CACHE"/bin/cloudxdevai-* | tail -n +6 | xargs -r rm -f
fi
cmp -s "$kept" bin/cloudxdevai || put "$kept" bin/cloudxdevai
say "bin/cloudxdevai is ready."
