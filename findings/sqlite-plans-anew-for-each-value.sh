#!/usr/bin/env bash
# crates.io rusqlite 0.39.0 with the SQLite that it brings, 3.51.3; sqlx brings the same library
#
# Expected: a prepared statement is planned once, and again only after the schema has changed. So running it a hundred
#   times with other values costs a hundred searches.
#
# Seen: the library is built with STAT4. After an ANALYZE (or a PRAGMA optimize, which sqlx runs when a connection closes if
#   it is told to) every run with another value plans the statement anew, a hundred of a hundred, if the value is compared
#   with a column of an index that is not unique: the plan may depend on it. A condition on a whole unique index is planned
#   once. So is one with an expression: `+?` is enough, and the index is used as before. COALESCE(?, NULL) is not, although
#   it looks like one.
#
#   3.51.3, with STAT4: true
#   before ANALYZE  user_id = ?                         planned anew 0 times of 100
#   before ANALYZE  user_id = ? AND expires_at > ?      planned anew 0 times of 100
#   after ANALYZE   user_id = ?                         planned anew 100 times of 100
#   after ANALYZE   user_id = ? AND expires_at > ?      planned anew 100 times of 100
#   after ANALYZE   user_id = COALESCE(?, NULL)         planned anew 100 times of 100
#   after ANALYZE   user_id = +?                        planned anew 0 times of 100
#   after ANALYZE   user_id = +? AND expires_at > +?    planned anew 0 times of 100
#   after ANALYZE   token = ?                           planned anew 0 times of 100
#   SEARCH sessions USING INDEX by_user (user_id=?)
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

seen='3.51.3, with STAT4: true
before ANALYZE  user_id = ?                         planned anew 0 times of 100
before ANALYZE  user_id = ? AND expires_at > ?      planned anew 0 times of 100
after ANALYZE   user_id = ?                         planned anew 100 times of 100
after ANALYZE   user_id = ? AND expires_at > ?      planned anew 100 times of 100
after ANALYZE   user_id = COALESCE(?, NULL)         planned anew 100 times of 100
after ANALYZE   user_id = +?                        planned anew 0 times of 100
after ANALYZE   user_id = +? AND expires_at > +?    planned anew 0 times of 100
after ANALYZE   token = ?                           planned anew 0 times of 100
SEARCH sessions USING INDEX by_user (user_id=?)'

expect "$seen" "$(
    cargo_run 'rusqlite = { version = "=0.39.0", features = ["bundled"] }' <<'RUST'
use rusqlite::{Connection, StatementStatus, params_from_iter};

const TABLE: &str = "
    CREATE TABLE sessions (token TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, inserted_at TEXT, expires_at TEXT);
    CREATE INDEX by_user ON sessions (user_id, inserted_at);
    CREATE INDEX by_expiry ON sessions (expires_at);
    WITH numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
    INSERT INTO sessions SELECT 't' || n, 'u' || (n % 500), '2026-' || n, '2027-' || n FROM numbers;
";

fn plans(connection: &Connection, when: &str, condition: &str) {
    let mut find = connection.prepare(&format!("SELECT * FROM sessions WHERE {condition}")).unwrap();
    for number in 0..100 {
        let values = [format!("u{number}"), "2027-1".to_owned()];
        let count = find.parameter_count();
        let mut rows = find.query(params_from_iter(&values[..count])).unwrap();
        while rows.next().unwrap().is_some() {}
    }
    let [runs, plans] = [StatementStatus::Run, StatementStatus::RePrepare].map(|what| find.get_status(what));
    println!("{when:15} {condition:35} planned anew {plans} times of {runs}");
}

fn main() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(TABLE).unwrap();
    let options = "SELECT count(*) FROM pragma_compile_options WHERE compile_options = 'ENABLE_STAT4'";
    let has_stat4: bool = connection.query_row(options, [], |row| row.get(0)).unwrap();
    println!("{}, with STAT4: {has_stat4}", rusqlite::version());
    let conditions = ["user_id = ?", "user_id = ? AND expires_at > ?"];
    conditions.iter().for_each(|condition| plans(&connection, "before ANALYZE", condition));
    connection.execute_batch("ANALYZE").unwrap();
    let others = ["user_id = COALESCE(?, NULL)", "user_id = +?", "user_id = +? AND expires_at > +?", "token = ?"];
    conditions.iter().chain(&others).for_each(|condition| plans(&connection, "after ANALYZE", condition));
    let plan = "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE user_id = +?";
    let detail: String = connection.query_row(plan, ["u1"], |row| row.get(3)).unwrap();
    println!("{detail}");
}
RUST
)"
