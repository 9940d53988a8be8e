# A throwaway PostgreSQL, for the scripts that source this file: they bring `say` and `fail`, set `bin`, and may
# add lines of configuration to `start_cluster` as its arguments.

# The newest server that can also make a cluster; nothing when there is none.
postgres_bin() {
    local newest
    newest=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || true
    [ -z "$newest" ] || dirname "$newest"
}

# PostgreSQL refuses to run as root.
as_owner() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && exec runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

remove_cluster() {
    [ -n "${cluster:-}" ] || return 0
    if [ -f "$cluster/data/postmaster.pid" ]; then
        as_owner "$bin/pg_ctl" stop --silent --mode=immediate --pgdata="$cluster/data" >&2 || true
    fi
    rm -rf "$cluster"
    cluster=
}

# Each argument is a line of its configuration.
start_cluster() {
    local parent=${TMPDIR:-/tmp} password port try
    # Root's own TMPDIR may be closed to the user who runs the server.
    [ "$(id -u)" -ne 0 ] || parent=/tmp
    trap remove_cluster EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cluster=$(mktemp -d "$parent/countersign-postgres.XXXXXX")
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$password" >"$cluster/password"
    [ "$(id -u)" -ne 0 ] || chown -R postgres: "$cluster"
    as_owner "$bin/initdb" --pgdata="$cluster/data" --username=countersign --encoding=UTF8 \
        --locale=C --auth-local=trust --auth-host=password --pwfile="$cluster/password" \
        >"$cluster/initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 5 "$cluster/initdb.log")"
    cat >>"$cluster/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$cluster'
max_connections = 300
fsync = on
CONF
    [ "$#" -eq 0 ] || printf '%s\n' "$@" >>"$cluster/data/postgresql.conf"
    for try in 1 2 3 4 5 6 7 8 9 10; do
        port=$(shuf -i 20000-32000 -n 1)
        if as_owner "$bin/pg_ctl" start --silent --wait --timeout=60 --pgdata="$cluster/data" \
            --log="$cluster/data/server.log" --options="-p $port" </dev/null >&2; then
            export COUNTERSIGN_TEST_POSTGRES="postgres://countersign:$password@127.0.0.1:$port/postgres"
            export COUNTERSIGN_TEST_POSTGRES_BIN=$bin
            say "PostgreSQL $(basename "$(dirname "$bin")") runs on port $port for this run only"
            return 0
        fi
        # Only a taken port is worth another try.
        grep -q 'in use' "$cluster/data/server.log" || break
        say "port $port is taken (try $try)"
        rm -f "$cluster/data/server.log"
    done
    fail "PostgreSQL did not start: $(tail -n 5 "$cluster/data/server.log" 2>/dev/null)"
}
