"""Transactions about what accounts decide for all of their buckets; each takes the connection it runs on."""

from __future__ import annotations

import apsw

from penstock.server.store.faults import AccountConfigMissing


def get_config(connection: apsw.Connection, account: str, name: str) -> bytes:
    row = connection.execute(
        "SELECT value FROM account_config WHERE account = ? AND name = ?", (account, name)
    ).fetchone()
    if row is None:
        raise AccountConfigMissing(account, name)
    return bytes(row[0])


def put_config(connection: apsw.Connection, account: str, name: str, value: bytes) -> None:
    connection.execute(
        "INSERT INTO account_config (account, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value",
        (account, name, value),
    )


def delete_config(connection: apsw.Connection, account: str, name: str) -> bool:
    gone = connection.execute(
        "DELETE FROM account_config WHERE account = ? AND name = ? RETURNING 1", (account, name)
    ).fetchall()
    return bool(gone)
