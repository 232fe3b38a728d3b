"""The ledger's tables, version by version; data only.

What `status` and `once` tell is counted along by triggers, inside the statement that changes an object, so that a
look at ten million objects costs what a look at ten does, and no count can drift from its rows.
"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE source (
        id TEXT PRIMARY KEY,            -- s3://BUCKET/PREFIX
        first_seen REAL NOT NULL,       -- all times: seconds since 1970
        floor TEXT                      -- a day, YYYY-MM-DD
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE bucket (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE object (
        id TEXT PRIMARY KEY,            -- S3Object.id_prefix
        bucket INTEGER NOT NULL,
        state TEXT NOT NULL,
        time INTEGER NOT NULL,          -- the object's own
        records INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        failing INTEGER,                -- since the first of them
        ended INTEGER,
        retry_at INTEGER,
        reason TEXT,
        place TEXT                      -- key, etag, size, account, region as JSON; nothing once it is done
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX open ON object (time) WHERE state IN ('under way', 'undone');
    """,
    "ALTER TABLE source ADD COLUMN marker TEXT",  # a key
    """
    CREATE TABLE origin (
        number INTEGER PRIMARY KEY,
        account TEXT NOT NULL,          -- of the object's key; nothing where it tells none
        region TEXT NOT NULL,
        UNIQUE (account, region)
    ) STRICT;
    INSERT INTO origin VALUES (0, '', '');
    ALTER TABLE object ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE object ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;     -- as stored
    DROP INDEX open;
    CREATE INDEX kept ON object (state, bucket, time) WHERE state <> 'done';
    CREATE INDEX done ON object (bucket, origin, time) WHERE state = 'done';

    -- Done objects of the versions before have no place any more: their origin stays unknown.
    INSERT INTO origin (account, region)
        SELECT DISTINCT coalesce(json_extract(place, '$[3]'), ''), coalesce(json_extract(place, '$[4]'), '')
        FROM object INDEXED BY kept WHERE state <> 'done' AND place IS NOT NULL
        ON CONFLICT DO NOTHING;
    UPDATE object INDEXED BY kept SET
        bytes = coalesce(json_extract(place, '$[2]'), 0),
        origin = (SELECT number FROM origin WHERE account = coalesce(json_extract(place, '$[3]'), '')
                  AND region = coalesce(json_extract(place, '$[4]'), ''))
        WHERE state <> 'done' AND place IS NOT NULL;

    CREATE TABLE tally (
        bucket INTEGER NOT NULL,
        origin INTEGER NOT NULL,
        state TEXT NOT NULL,
        objects INTEGER NOT NULL,
        records INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (bucket, origin, state)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO tally
        SELECT bucket, origin, state, count(*), sum(records), sum(bytes) FROM object INDEXED BY kept
        WHERE state <> 'done' GROUP BY bucket, origin, state;
    INSERT INTO tally       -- bucket by bucket, as there are few: no sort of all rows
        SELECT number, 0, 'done',
        (SELECT count(*) FROM object WHERE bucket = number AND state = 'done'),
        (SELECT coalesce(sum(records), 0) FROM object NOT INDEXED WHERE bucket = number AND state = 'done'), 0
        FROM bucket;
    CREATE TABLE minute (
        minute INTEGER NOT NULL,        -- since 1970, in which objects became done or damaged
        origin INTEGER NOT NULL,
        objects INTEGER NOT NULL,
        records INTEGER NOT NULL,
        last INTEGER NOT NULL,          -- when the last of them did
        PRIMARY KEY (minute, origin)
    ) STRICT, WITHOUT ROWID;

    CREATE TRIGGER object_is_new AFTER INSERT ON object BEGIN
        INSERT INTO tally VALUES (NEW.bucket, NEW.origin, NEW.state, 1, NEW.records, NEW.bytes)
            ON CONFLICT DO UPDATE SET objects = objects + 1, records = records + excluded.records,
            bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER object_changes AFTER UPDATE OF state, origin, records, bytes ON object BEGIN
        UPDATE tally SET objects = objects - 1, records = records - OLD.records, bytes = bytes - OLD.bytes
            WHERE bucket = OLD.bucket AND origin = OLD.origin AND state = OLD.state;
        INSERT INTO tally VALUES (NEW.bucket, NEW.origin, NEW.state, 1, NEW.records, NEW.bytes)
            ON CONFLICT DO UPDATE SET objects = objects + 1, records = records + excluded.records,
            bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER object_is_forgotten AFTER DELETE ON object BEGIN
        UPDATE tally SET objects = objects - 1, records = records - OLD.records, bytes = bytes - OLD.bytes
            WHERE bucket = OLD.bucket AND origin = OLD.origin AND state = OLD.state;
    END;
    CREATE TRIGGER object_ends AFTER UPDATE OF state ON object
        WHEN NEW.state IN ('done', 'damaged') AND OLD.state <> NEW.state BEGIN
        INSERT INTO minute VALUES (NEW.ended / 60, NEW.origin, 1, NEW.records, NEW.ended)
            ON CONFLICT DO UPDATE SET objects = objects + 1, records = records + excluded.records,
            last = max(last, excluded.last);
        DELETE FROM minute WHERE minute < NEW.ended / 60 - 70;      -- an hour is asked for
    END;

    CREATE TABLE trouble (
        scope TEXT NOT NULL,            -- a source's id, or what else had them
        what TEXT NOT NULL,
        since INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (scope, what)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE behind (               -- folders of a source that could not be looked at, and from which day on
        source TEXT NOT NULL,
        folder TEXT NOT NULL,
        day TEXT NOT NULL,
        PRIMARY KEY (source, folder)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE doubt (until INTEGER NOT NULL) STRICT;     -- one row
    INSERT INTO doubt VALUES (0);
    """,
    """
    -- Who owned what: see enrich/history.py, which makes and reads these rows.
    CREATE TABLE scope (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,      -- an account in a region
        taken INTEGER NOT NULL,         -- when it was last asked
        linked INTEGER NOT NULL,        -- since when its links are the same
        networks TEXT NOT NULL,         -- JSON
        links TEXT NOT NULL
    ) STRICT;
    CREATE TABLE interface (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        vpc TEXT,
        since INTEGER,                  -- its own records prove that it existed then
        until INTEGER
    ) STRICT;
    CREATE TABLE workload (
        number INTEGER PRIMARY KEY,
        interface INTEGER NOT NULL,
        scope INTEGER NOT NULL,
        first INTEGER NOT NULL,         -- seen
        last INTEGER,                   -- nothing: in the newest answer
        owner TEXT NOT NULL             -- JSON
    ) STRICT;
    CREATE TABLE holding (
        number INTEGER PRIMARY KEY,
        interface INTEGER NOT NULL,
        scope INTEGER NOT NULL,
        high INTEGER NOT NULL,          -- the address, in two halves
        low INTEGER NOT NULL,
        bits INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER
    ) STRICT;
    """,
    """
    CREATE TABLE reporter (             -- interfaces that report: see enrich/reporters.py
        interface TEXT PRIMARY KEY,
        first INTEGER NOT NULL,         -- seconds since 1970 of its first record
        last INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- What filters dropped: see ledger_filtered.py.
    CREATE TABLE filtered (
        number INTEGER PRIMARY KEY,
        rule TEXT NOT NULL,
        outcome TEXT NOT NULL,          -- what the rule did with them
        records INTEGER NOT NULL DEFAULT 0,
        since INTEGER,                  -- when an object with such first ended; nothing: none did yet
        last INTEGER,
        UNIQUE (rule, outcome)
    ) STRICT;
    ALTER TABLE object ADD COLUMN filtered TEXT;    -- JSON: records by numbers of `filtered`, when it was last done
    CREATE TRIGGER object_is_filtered AFTER UPDATE OF filtered ON object WHEN OLD.filtered IS NOT NEW.filtered BEGIN
        UPDATE filtered SET records = records - each.value FROM json_each(OLD.filtered) AS each
            WHERE number = CAST(each.key AS INTEGER);
        UPDATE filtered SET records = records + each.value, since = coalesce(since, NEW.ended), last = NEW.ended
            FROM json_each(NEW.filtered) AS each WHERE number = CAST(each.key AS INTEGER);
    END;
    """,
)
"""The file's versions: the first text makes version 1 out of nothing, the next version 2 out of 1, and so on."""
