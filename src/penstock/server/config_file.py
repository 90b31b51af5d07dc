"""
The configuration file of a server, in TOML.

    directory = "/var/lib/penstock"
    host = "0.0.0.0"
    port = 9000
    region = "cn-hangzhou"
    base_hosts = ["oss.example.com"]
    durability = "strict"
    processes = 4                                   # that serve together; 1 if it is not said
    access_log = "/var/log/penstock/access.jsonl"   # "-" is standard output

    [tls]
    certificate = "/etc/penstock/chain.pem"
    key = "/etc/penstock/key.pem"

    [metrics]
    host = "127.0.0.1"
    port = 9001

    [limits]
    connections = 4096

    [[users]]
    access_key_id = "uploader"
    secret_file = "/etc/penstock/uploader.secret"   # or secret, or secret_env
    account = "1000000000000001"
    name = "uploader"
    policy_file = "/etc/penstock/uploader.json"

Unknown names are refused, so that a slip of the pen is not a server without its limits.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from penstock.errors import InvalidInput, ServiceError
from penstock.server.guard.accounts import User
from penstock.server.guard.policy import read_policy
from penstock.server.http.bounds import Limits, Patience
from penstock.server.settings import DEFAULT_BASE_HOSTS, ServerSettings, check_settings

_TOP: Final[Mapping[str, type | tuple[type, ...]]] = {
    "directory": str,
    "host": str,
    "port": int,
    "region": str,
    "any_region": bool,
    "account": str,
    "durability": str,
    "base_hosts": list,
    "strict_addressing": bool,
    "strict_framing": bool,
    "callbacks": bool,
    "processes": int,
    "access_log": str,
    "restore_s": (int, float),
    "lifecycle_every_s": (int, float),
    "tls": dict,
    "metrics": dict,
    "limits": dict,
    "users": list,
}
_TLS: Final = {"certificate": str, "key": str}
_METRICS: Final = {"host": str, "port": int}
_LIMITS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "connections": int,
    "requests": int,
    "request_s": (int, float),
    "idle_s": (int, float),
    "head_s": (int, float),
    "body_s": (int, float),
    "least_bytes_per_s": int,
}
_USER: Final = {
    "access_key_id": str,
    "secret": str,
    "secret_env": str,
    "secret_file": str,
    "account": str,
    "name": str,
    "policy_file": str,
}


def read_settings(path: Path, environment: Mapping[str, str]) -> ServerSettings:
    """
    Give the settings that a file holds; paths in it are relative to its folder.

    Args:
        path: The file.
        environment: Environment variables, for secrets that are kept there.

    Raises:
        InvalidInput: It cannot be read, or says something that a server cannot be.
    """
    given = _table(_toml(path), _TOP, str(path))
    folder = path.parent
    if "directory" not in given:
        raise _wrong(path, "directory is missing")
    if not given["directory"]:
        raise _wrong(path, "directory is empty")
    settings = ServerSettings(
        directory=folder / given["directory"],
        users=_users(given.get("users", []), folder, environment, path),
    )
    if not settings.users:
        raise _wrong(path, "there is no user", "Add [[users]] with access_key_id and secret_file.")
    changes: dict[str, Any] = {
        name: given[name]
        for name in (
            "host",
            "port",
            "region",
            "any_region",
            "account",
            "durability",
            "strict_addressing",
            "strict_framing",
            "callbacks",
            "processes",
            "restore_s",
            "lifecycle_every_s",
        )
        if name in given
    }
    if "access_log" in given:
        named = given["access_log"]
        # Neither "nothing" nor standard output is a path.
        changes["access_log"] = named if named in ("", "-") else str(folder / named)
    if "base_hosts" in given:
        hosts = given["base_hosts"]
        if not all(isinstance(host, str) for host in hosts):
            raise _wrong(path, f"base_hosts are names of hosts, not {hosts!r}")
        changes["base_hosts"] = (*DEFAULT_BASE_HOSTS, *hosts)
    if "tls" in given:
        tls = _table(given["tls"], _TLS, f"{path}, [tls]")
        if len(tls) != len(_TLS):
            raise _wrong(path, "[tls] needs certificate and key")
        changes["tls"] = (folder / tls["certificate"], folder / tls["key"])
    if "metrics" in given:
        metrics = _table(given["metrics"], _METRICS, f"{path}, [metrics]")
        changes["metrics"] = (metrics.get("host") or "127.0.0.1", metrics.get("port", 9001))
    settings = replace(settings, **changes, **_limits(given.get("limits", {}), path))
    try:
        check_settings(settings)
    except InvalidInput as error:
        raise _wrong(path, error.message, error.advice) from error
    return settings


def _limits(given: Any, path: Path) -> dict[str, Any]:
    table = _table(given, _LIMITS, f"{path}, [limits]")
    counts = {name: table[name] for name in ("connections", "requests") if name in table}
    waits = {name: value for name, value in table.items() if name not in counts}
    return {"limits": Limits(**counts), "patience": Patience(**waits)}


def _users(given: Any, folder: Path, environment: Mapping[str, str], path: Path) -> dict[str, User]:
    users: dict[str, User] = {}
    for one in given:
        access_key_id, user = _user(one, folder, environment, path)
        if access_key_id in users:
            raise _wrong(path, f"there are two users {access_key_id}")
        users[access_key_id] = user
    return users


def _user(given: Any, folder: Path, environment: Mapping[str, str], path: Path) -> tuple[str, User]:
    table = _table(given, _USER, f"{path}, [[users]]")
    access_key_id = table.get("access_key_id", "")
    ways = [name for name in ("secret", "secret_env", "secret_file") if name in table]
    if not access_key_id or len(ways) != 1:
        raise _wrong(path, "a user needs access_key_id and one of secret, secret_env and secret_file")
    match ways[0]:
        case "secret_env":
            secret = environment.get(table["secret_env"], "")
        case "secret_file":
            secret = _text(folder / table["secret_file"]).strip()
        case _:
            secret = table["secret"]
    if not secret:
        raise _wrong(path, f"the secret of {access_key_id} is empty")
    policy = None
    if "policy_file" in table:
        try:
            policy = read_policy(_text(folder / table["policy_file"]).encode(), names_principals=False)
        except ServiceError as error:
            raise _wrong(path, f"the policy of {access_key_id}: {error.message}") from error
    return access_key_id, User(secret, table.get("account", ""), table.get("name", ""), policy)


def _toml(path: Path) -> Any:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, str(error)) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"Reading {path}: {error}") from error


def _table(given: Any, known: Mapping[str, type | tuple[type, ...]], where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidInput(f"{where} is not a table")
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(
                f"{where}: {name!r} is not known here", advice=f"Known are {', '.join(sorted(known))}."
            )
        kind = known[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidInput(f"{where}: {name} cannot be {value!r}")
    return given


def _wrong(path: Path, why: str, advice: str = "") -> InvalidInput:
    return InvalidInput(f"{path}: {why}", advice=advice)
