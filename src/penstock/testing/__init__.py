"""
An OSS for tests: pytest fixtures, faults on request, and peers that misbehave below HTTP.

Installing penstock is enough for pytest to know the fixtures ``oss_server``, ``oss_bucket``, ``oss_env``,
``oss_client`` and ``oss_faults``; see `penstock.testing.plugin`. Nothing is started before one is used.

Example:
    def test_my_uploader_survives_a_lost_answer(oss_bucket, oss_env, oss_faults):
        oss_faults.on("PutObject").drop_answer()
        my_uploader.send(b"data", bucket=oss_bucket)
        assert oss_faults.count("PutObject") == 2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.testing.fault import Fault
    from penstock.testing.faults import Faults, Switchboard
    from penstock.testing.moment import Moment
    from penstock.testing.peer import CuttingProxy, FullBacklog, SilentPeer
    from penstock.testing.served import ServedRequest

__all__ = [
    "CuttingProxy",
    "Fault",
    "Faults",
    "FullBacklog",
    "Moment",
    "ServedRequest",
    "SilentPeer",
    "Switchboard",
]

_HOMES = {
    "CuttingProxy": "peer",
    "Fault": "fault",
    "Faults": "faults",
    "FullBacklog": "peer",
    "Moment": "moment",
    "ServedRequest": "served",
    "SilentPeer": "peer",
    "Switchboard": "faults",
}


def __getattr__(name: str) -> Any:
    # pytest imports this package for every test run, also for those that never ask for an OSS.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
