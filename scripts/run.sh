#!/usr/bin/env bash
# Builds what changed and serves it. A first start, with no database in the data folder, gets the sample project and the
# demonstration model.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

scripts/setup.sh run
scripts/build.sh
data=${DATA_DIR:-data}
# Only an installation that began as a trial has the sample and the demonstration model, and it keeps them.
if [ -z "${DATABASE_URL:-}" ] && ! compgen -G "$data/*.db" >/dev/null; then
  mkdir -p -m 700 "$data"
  touch "$data/trial"
fi
if [ -e "$data/trial" ]; then export DEV_SEED_DATA=${DEV_SEED_DATA:-true}; fi
export LOG_FORMAT=${LOG_FORMAT:-text}
say "Open http://${APP_HOST:-127.0.0.1}:${APP_PORT:-8000} in a browser. The first account to sign up administers it. Ctrl+C stops the server."
exec bin/cloudxdevai serve "$@"
