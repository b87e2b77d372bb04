"""The journal's tables: versions of the schema, a partition for each day, what refuses changes.

Rows are partitioned by ``ts_written``, which never falls from one row to the next. So the oldest
partitions hold the beginning of the chain, and are what retention may drop.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import msgspec

DAY_NS = 86_400 * 1_000_000_000
DAYS_AHEAD = 7
"""So many days have their partition before they begin."""

_TABLES = """
    CREATE TABLE krator.journal (
        seq bigint PRIMARY KEY,
        writer text NOT NULL,
        generation bigint NOT NULL,
        number bigint NOT NULL,
        ts_logged bigint NOT NULL,
        ts_written bigint NOT NULL,
        ts_event bigint,
        type text NOT NULL,
        symbol text,
        client_order_id text,
        body bytea NOT NULL,
        hash bytea NOT NULL,
        UNIQUE (writer, number)
    );
    CREATE INDEX journal_by_type ON krator.journal (type, seq);
    CREATE INDEX journal_by_order ON krator.journal (client_order_id)
        WHERE client_order_id IS NOT NULL;
    CREATE TABLE krator.writers (
        writer text PRIMARY KEY,
        number bigint NOT NULL,
        generation bigint NOT NULL,
        ts_logged bigint NOT NULL
    );
    CREATE TABLE krator.owner (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        generation bigint NOT NULL,
        seq bigint NOT NULL,
        hash bytea NOT NULL
    );
    INSERT INTO krator.owner (generation, seq, hash) VALUES (0, 0, decode(repeat('00', 32), 'hex'));
"""
# Rows of version 1 keep their hashes: ``format`` says over which bytes a hash was made.
_PARTITIONS = """
    ALTER TABLE krator.journal RENAME TO journal_before;
    ALTER TABLE krator.journal_before
        DROP CONSTRAINT journal_pkey, DROP CONSTRAINT journal_writer_number_key,
        ADD COLUMN correlation_id text, ADD COLUMN causation_id text, ADD COLUMN seal int,
        ADD COLUMN format smallint NOT NULL DEFAULT 1;
    ALTER TABLE krator.journal_before ALTER COLUMN format DROP DEFAULT;
    DROP INDEX krator.journal_by_type, krator.journal_by_order;
    CREATE TABLE krator.journal (LIKE krator.journal_before) PARTITION BY RANGE (ts_written);
    ALTER TABLE krator.journal ADD PRIMARY KEY (seq, ts_written);
    CREATE INDEX journal_by_type ON krator.journal (type, seq);
    CREATE INDEX journal_by_correlation ON krator.journal (correlation_id, seq)
        INCLUDE (type, ts_event) WHERE correlation_id IS NOT NULL;
    CREATE INDEX journal_by_writer ON krator.journal (writer, number);
    CREATE INDEX journal_by_write_time ON krator.journal USING brin (ts_written);
    CREATE INDEX journal_by_event_time ON krator.journal USING brin (ts_event);
    ALTER TABLE krator.journal ATTACH PARTITION krator.journal_before
        FOR VALUES FROM (MINVALUE) TO ({tomorrow});
    CREATE TABLE krator.seals (id int PRIMARY KEY, key_id bytea NOT NULL, salt bytea NOT NULL);
    ALTER TABLE krator.owner ADD COLUMN ts_written bigint NOT NULL DEFAULT 0,
        ADD COLUMN journal_id uuid NOT NULL DEFAULT gen_random_uuid();
    UPDATE krator.owner SET ts_written =
        coalesce((SELECT max(ts_written) FROM krator.journal_before), 0);
    CREATE FUNCTION krator.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the journal is append-only: % was refused', TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END
    $$;
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON krator.journal
        FOR EACH ROW EXECUTE FUNCTION krator.refuse_change();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON krator.journal
        FOR EACH STATEMENT EXECUTE FUNCTION krator.refuse_change();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON krator.journal_before
        FOR EACH STATEMENT EXECUTE FUNCTION krator.refuse_change();
    REVOKE UPDATE, DELETE, TRUNCATE ON krator.journal, krator.journal_before
        FROM PUBLIC, CURRENT_USER;
    CREATE VIEW krator.audit AS SELECT
        seq,
        'epoch'::timestamptz + ts_event / 1000 * interval '1 microsecond' AS event_time,
        'epoch'::timestamptz + ts_written / 1000 * interval '1 microsecond' AS write_time,
        writer, generation, number, type, symbol, client_order_id, correlation_id, causation_id
    FROM krator.journal;
"""
MIGRATIONS = (_TABLES, _PARTITIONS)
# Only one process migrates at a time; the number is arbitrary, and Krator's.
_MIGRATION_LOCK = 7_025_719_446
_BOUNDS = re.compile(r"FROM \((MINVALUE|'-?\d+')\) TO \('(-?\d+)'\)")


class SchemaTooNewError(Exception):
    """The database was written by a newer program."""


class Partition(msgspec.Struct, frozen=True):
    """The rows whose ``ts_written`` is from ``begin_ns`` on and before ``end_ns``."""

    name: str
    begin_ns: int | None
    """None: all that is earlier"""
    end_ns: int


async def migrate(connection: Any, *, now_ns: int) -> None:
    """Bring the schema up to date, within the caller's transaction.

    Raises SchemaTooNewError, and what asyncpg does.
    """
    execute = connection.execute
    await execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
    if await connection.fetchval("SELECT to_regclass('krator.migrations')") is None:
        await execute("CREATE SCHEMA IF NOT EXISTS krator")
        await execute(
            "CREATE TABLE krator.migrations"
            " (version int PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
    version = await connection.fetchval("SELECT coalesce(max(version), 0) FROM krator.migrations")
    if version > len(MIGRATIONS):
        raise SchemaTooNewError(
            f"the journal's schema has version {version}, this program knows"
            f" {len(MIGRATIONS)}: run the newer program"
        )
    newest = await _newest_ns(connection) if version == 1 else 0
    tomorrow = (max(now_ns, newest) // DAY_NS + 1) * DAY_NS
    for number in range(version, len(MIGRATIONS)):
        await execute(MIGRATIONS[number].replace("{tomorrow}", f"'{tomorrow}'"))
        await execute("INSERT INTO krator.migrations (version) VALUES ($1)", number + 1)


async def partitions(connection: Any) -> list[Partition]:
    """Return the journal's partitions, oldest first."""
    rows = await connection.fetch(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits i"
        " JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'krator.journal'::regclass"
    )
    found = []
    for row in rows:
        bounds = _BOUNDS.search(row["bounds"])
        assert bounds is not None, row["bounds"]
        begin, end = bounds.groups()
        begin_ns = None if begin == "MINVALUE" else int(begin.strip("'"))
        found.append(Partition(row["relname"], begin_ns, int(end)))
    return sorted(found, key=lambda partition: partition.end_ns)


async def make_partitions(connection: Any, *, now_ns: int) -> int:
    """Make what is missing for now and the days ahead; return until when rows have a place, ns."""
    end_ns = (await partitions(connection))[-1].end_ns
    wanted_ns = (now_ns // DAY_NS + 1 + DAYS_AHEAD) * DAY_NS
    # Not further back than today, when nothing was written for long.
    begin_ns = max(end_ns, now_ns // DAY_NS * DAY_NS)
    for day_ns in range(begin_ns, wanted_ns, DAY_NS):
        name = f"journal_{dt.datetime.fromtimestamp(day_ns // 1_000_000_000, dt.UTC):%Y%m%d}"
        # Made apart and attached, because readers are not kept waiting by that.
        await connection.execute(
            f"CREATE TABLE krator.{name} (LIKE krator.journal INCLUDING CONSTRAINTS);"
            f"ALTER TABLE krator.journal ATTACH PARTITION krator.{name}"
            f" FOR VALUES FROM ('{day_ns}') TO ('{day_ns + DAY_NS}');"
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON krator.{name}"
            " FOR EACH STATEMENT EXECUTE FUNCTION krator.refuse_change();"
            f"REVOKE UPDATE, DELETE, TRUNCATE ON krator.{name} FROM PUBLIC, CURRENT_USER"
        )
    return max(end_ns, wanted_ns)


async def _newest_ns(connection: Any) -> int:
    newest: int | None = await connection.fetchval("SELECT max(ts_written) FROM krator.journal")
    return newest or 0
