"""Upgrades of the database file between versions of the sandbox."""

import json
import sqlite3
from pathlib import Path

from saas_sandbox import create_sandbox
from saas_sandbox.inprocess import client

from .conftest import KEY

# The tables of 0.2.0, and one customer whose sandbox injects faults.
VERSION_0_2 = """
CREATE TABLE accounts (
    id TEXT PRIMARY KEY, created INTEGER NOT NULL, address TEXT NOT NULL, settings TEXT NOT NULL
);
CREATE TABLE objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, type TEXT NOT NULL,
    id TEXT NOT NULL, created INTEGER NOT NULL, customer TEXT, subscription TEXT, status TEXT,
    price TEXT, parent TEXT, lookup TEXT, clock TEXT NOT NULL, due INTEGER, body TEXT NOT NULL,
    UNIQUE (account, type, id)
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, event TEXT NOT NULL,
    endpoint TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL, status INTEGER, answer TEXT, story TEXT NOT NULL DEFAULT ''
);
CREATE TABLE answers (
    account TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (account, key)
);
"""


def test_a_database_file_of_an_earlier_version_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    app = create_sandbox(inline=True)
    id = client(app, KEY).v1.customers.create({"email": "ada@example.com"}).id
    (account,) = app.extensions["sandbox"].store.fetch_all("SELECT * FROM accounts")
    (customer,) = app.extensions["sandbox"].store.fetch_all(
        "SELECT * FROM objects WHERE type = 'customer'"
    )
    app.extensions["sandbox"].close()
    body = json.loads(customer["body"])
    body["_"] = body.pop("_internal")
    db = sqlite3.connect(path)
    db.executescript(VERSION_0_2)
    db.execute(
        "INSERT INTO accounts VALUES (?, 1, ?, ?)",
        (account["id"], account["base_url"], '{"chaos": {"seed": 7, "drop": 1}}'),
    )
    db.execute(
        "INSERT INTO objects (account, type, id, created, lookup, clock, body) "
        "VALUES (?, 'customer', ?, 1, 'ada@example.com', '', ?)",
        (account["id"], id, json.dumps(body)),
    )
    db.commit()
    db.close()

    app = create_sandbox(str(path), inline=True)
    api = client(app, KEY)
    api.v1.customers.update(id, {"name": "Ada"}, {"idempotency_key": "once"})
    faults = app.test_client().get(
        "/stripe/control/faults", headers={"Authorization": f"Bearer {KEY}"}
    )
    names = [customer.name for customer in api.v1.customers.list({"email": "ada@example.com"}).data]
    app.extensions["sandbox"].close()

    assert names == ["Ada"]
    assert faults.get_json()["drop"] == 1
    assert faults.get_json()["seed"] == 7
