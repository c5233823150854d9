#!/usr/bin/env bash
# npm sequelize 6.37.8 with mysql2 3.24.6 and mariadb 3.5.4; MariaDB 10.11.19 (Debian mariadb-server-core
# 1:10.11.19-0+deb12u1); the process is in New York
#
# Expected: Sequelize puts its connection into UTC and reads back the instant that it has written, whether the column is
#   DATETIME, which it makes itself, or TIMESTAMP, as in a table that another program has made; and its dialects "mysql"
#   and "mariadb" are two drivers for one thing.
#
# Seen: with the dialect "mariadb" a TIMESTAMP is read by the clock of the process, four hours late here in summer, though
#   what was written, and what WHERE compares, is right. A session whose end has passed is found by its row's end to
#   be alive, and one that is read and saved ends four hours later each time. In a container whose zone is UTC nothing
#   is to be seen.
#
#   mysql, DATETIME: written 12:00, read 12:00, saved as it was read 12:00
#   mysql, TIMESTAMP: written 12:00, read 12:00, saved as it was read 12:00
#   mariadb, DATETIME: written 12:00, read 12:00, saved as it was read 12:00
#   mariadb, TIMESTAMP: written 12:00, read 16:00, saved as it was read 16:00
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_mariadb 1:10.11.19-0+deb12u1
npm_install sequelize@6.37.8 mysql2@3.24.6 mariadb@3.5.4

cat >ends.mjs <<'JAVASCRIPT'
import mysql from "mysql2/promise";
import { DataTypes, Sequelize } from "sequelize";

const server = { host: "127.0.0.1", port: Number(process.argv[2]) };
const plain = await mysql.createConnection({ ...server, user: "root", database: "test", dateStrings: true });
await plain.query("CREATE TABLE sessions (id int PRIMARY KEY, as_datetime datetime NULL, as_timestamp timestamp NULL)");
await plain.query("SET time_zone = '+00:00'");

for (const dialect of ["mysql", "mariadb"]) {
    const sequelize = new Sequelize("test", "root", "", { ...server, dialect, logging: false });
    const Session = sequelize.define(
        "sessions",
        {
            id: { type: DataTypes.INTEGER, primaryKey: true },
            as_datetime: DataTypes.DATE,
            as_timestamp: DataTypes.DATE,
        },
        { timestamps: false },
    );
    const hour = (text) => text.slice(11, 16);
    const stored = async (column) => {
        const [[row]] = await plain.query("SELECT * FROM sessions WHERE id = 1");
        return hour(row[column]);
    };
    for (const column of ["as_datetime", "as_timestamp"]) {
        await Session.create({ id: 1, [column]: new Date("2026-07-01T12:00:00Z") });
        const written = await stored(column);
        const session = await Session.findByPk(1);
        const read = hour(session[column].toISOString());
        session.changed(column, true);
        await session.save();
        const type = column.slice(3).toUpperCase();
        console.log(`${dialect}, ${type}: written ${written}, read ${read}, saved as it was read ${await stored(column)}`);
        await session.destroy();
    }
    await sequelize.close();
}
await plain.end();
JAVASCRIPT

seen='mysql, DATETIME: written 12:00, read 12:00, saved as it was read 12:00
mysql, TIMESTAMP: written 12:00, read 12:00, saved as it was read 12:00
mariadb, DATETIME: written 12:00, read 12:00, saved as it was read 12:00
mariadb, TIMESTAMP: written 12:00, read 16:00, saved as it was read 16:00'

expect "$seen" "$(TZ=America/New_York node ends.mjs "$mariadb_port")"
