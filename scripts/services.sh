# shellcheck shell=bash
# Sourced by test.sh: a PostgreSQL and a Redis of our own on free ports, gone when the script ends. A server given by
# DATABASE_TEST_URL or REDIS_TEST_URL is used as it is.

services_dir=
postgres_data=
redis_pid=
trap stop_services EXIT
trap 'exit 130' INT TERM HUP

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# PostgreSQL refuses to run as root.
as_postgres() (
  cd "$services_dir" || return 1
  if [ "$(id -u)" != 0 ]; then "$@"
  elif id postgres >/dev/null 2>&1; then runuser -u postgres -- "$@"
  else runuser -u nobody -- "$@"
  fi
)

start_postgres() {
  local bin port
  bin=$(postgres_bin)
  port=$(free_port)
  postgres_data=$services_dir/postgres
  mkdir "$postgres_data"
  if [ "$(id -u)" = 0 ]; then chown "$(id -u postgres 2>/dev/null || id -u nobody)" "$postgres_data"; fi
  as_postgres "$bin/initdb" -D "$postgres_data/data" -U postgres --auth=trust --encoding=UTF8 --locale=C >"$services_dir/initdb.log" 2>&1 \
    || { cat "$services_dir/initdb.log" >&2; return 1; }
  # Durability off: nothing here outlives the run.
  as_postgres "$bin/pg_ctl" -D "$postgres_data/data" -l "$postgres_data/log" -w -t 60 start >/dev/null \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$postgres_data -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=512MB -c max_connections=300" \
    || { cat "$postgres_data/log" >&2; return 1; }
  export TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$port/postgres
}

start_redis() {
  local port
  port=$(free_port)
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$services_dir" --daemonize no >"$services_dir/redis.log" 2>&1 &
  redis_pid=$!
  for _ in $(seq 50); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      export TEST_REDIS_URL=redis://127.0.0.1:$port
      return 0
    fi
    sleep 0.1
  done
  cat "$services_dir/redis.log" >&2
  return 1
}

# In memory where there is room: each test has a database of its own for a moment.
services_place() {
  local free
  free=$(df -m --output=avail /dev/shm 2>/dev/null | tail -n1)
  if [ -w /dev/shm ] && [ "${free:-0}" -ge 2048 ]; then echo /dev/shm; else echo "${TMPDIR:-/tmp}"; fi
}

start_services() {
  services_dir=$(mktemp -d -p "$(services_place)")
  chmod 755 "$services_dir"
  if [ -n "${DATABASE_TEST_URL:-}" ]; then export TEST_DATABASE_URL=$DATABASE_TEST_URL; else start_postgres || return 1; fi
  if [ -n "${REDIS_TEST_URL:-}" ]; then export TEST_REDIS_URL=$REDIS_TEST_URL; else start_redis || return 1; fi
}

stop_services() {
  if [ -n "$redis_pid" ]; then
    kill "$redis_pid" 2>/dev/null
    wait "$redis_pid" 2>/dev/null
  fi
  if [ -n "$postgres_data" ] && [ -e "$postgres_data/data/postmaster.pid" ]; then
    as_postgres "$(postgres_bin)/pg_ctl" -D "$postgres_data/data" -m immediate -w stop >/dev/null 2>&1
  fi
  if [ -n "$services_dir" ]; then rm -rf "$services_dir"; fi
}
