"""Storage of the sandbox: one SQLite file, or memory.

There is one connection and one writer. Every request is one transaction under one lock, so that no
call sees partial results of another. At the sandbox's size this is simple and fast enough.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    base_url TEXT NOT NULL,
    settings TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    customer TEXT,
    subscription TEXT,
    status TEXT,
    price TEXT,
    parent TEXT,
    lookup TEXT,
    clock TEXT NOT NULL,
    due INTEGER,
    body TEXT NOT NULL,
    UNIQUE (account, type, id)
);
CREATE INDEX IF NOT EXISTS objects_newest ON objects (account, type, seq);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (account, type, customer, seq);
CREATE INDEX IF NOT EXISTS objects_subscription ON objects (account, type, subscription, seq)
    WHERE subscription IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_status ON objects (account, type, status, seq)
    WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_price ON objects (account, type, price, seq)
    WHERE price IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_parent ON objects (account, type, parent, seq)
    WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_lookup ON objects (account, type, lookup)
    WHERE lookup IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_clock ON objects (account, clock, due)
    WHERE clock != '';
CREATE INDEX IF NOT EXISTS objects_due ON objects (clock, due)
    WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_advancing ON objects (status)
    WHERE type = 'test_helpers.test_clock';
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL,
    status INTEGER,
    response TEXT,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS deliveries_next ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (account, event);
CREATE TABLE IF NOT EXISTS idempotent_responses (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE TABLE IF NOT EXISTS mails (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,
    created TEXT NOT NULL,
    body TEXT NOT NULL
);
"""

MEMORY = ":memory:"

# The statements that upgrade a file from an earlier version, by `user_version`.
UPGRADES = (
    # Up to 0.2.0, internal data was stored under "_".
    """
    UPDATE objects SET body = json_remove(
        json_set(body, '$._internal', json_extract(body, '$._')), '$._'
    ) WHERE json_type(body, '$._') IS NOT NULL;
    """,
    # Names changed in 0.3.0. Codes and access tokens live an hour at most, so they are dropped.
    """
    ALTER TABLE accounts RENAME COLUMN address TO base_url;
    ALTER TABLE deliveries RENAME COLUMN answer TO response;
    ALTER TABLE deliveries RENAME COLUMN story TO reason;
    ALTER TABLE answers RENAME TO idempotent_responses;
    UPDATE accounts SET settings = json_remove(
        json_set(settings, '$.faults', json_extract(settings, '$.chaos')), '$.chaos'
    ) WHERE json_type(settings, '$.chaos') IS NOT NULL;
    DROP TABLE IF EXISTS identity_codes;
    DROP TABLE IF EXISTS identity_tokens;
    """,
)


class Store:
    """The tables, and the only way to write to them."""

    def __init__(self, path: str = MEMORY) -> None:
        if path != MEMORY:
            Path(path).parent.mkdir(parents=True, exist_ok=True)

        self._lock = threading.RLock()
        self._depth = 0
        self._listeners: list[Callable[[], None]] = []
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        # A power failure may lose data, but waiting for the disk would slow down every call.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA cache_size = -65536")
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._upgrade()
        self._db.executescript(SCHEMA)

    def _upgrade(self) -> None:
        """Upgrade a file from an earlier version."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'accounts'").fetchone():
            for number, script in enumerate(UPGRADES[version:], version + 1):
                self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
        self._db.execute(f"PRAGMA user_version = {len(UPGRADES)}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit or roll back the block as a whole. A nested block joins the outer transaction."""
        with self._lock:
            if self._depth:
                yield
                return

            self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth -= 1

        self._notify_listeners()

    @contextmanager
    def savepoint(self, keep_on: Callable[[Exception], bool]) -> Iterator[None]:
        """Roll back the block on an error, unless `keep_on` returns True for the error."""
        with self.transaction():
            self._db.execute("SAVEPOINT part")
            try:
                yield
            except Exception as error:
                if not keep_on(error):
                    self._db.execute("ROLLBACK TO part")
                raise
            finally:
                self._db.execute("RELEASE part")

    @contextmanager
    def dry_run(self) -> Iterator[None]:
        """Run the block and always roll it back, for previews."""
        with self.transaction():
            self._db.execute("SAVEPOINT dry_run")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK TO dry_run")
                self._db.execute("RELEASE dry_run")

    def after_commit(self, listener: Callable[[], None]) -> None:
        """Call the listener after every commit."""
        self._listeners.append(listener)

    def execute(self, sql: str, *values: object) -> int:
        """Write, and return the number of affected rows."""
        with self._lock:
            return self._db.execute(sql, values).rowcount

    def execute_many(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        with self._lock:
            self._db.executemany(sql, rows)

    def fetch_all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def fetch_one(self, sql: str, *values: object) -> sqlite3.Row | None:
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return row

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _notify_listeners(self) -> None:
        for listener in self._listeners:
            listener()
