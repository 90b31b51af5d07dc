"""What a server does by itself goes on whatever fails, and its health tells of what has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from server_desk import Wire
from test_server_running import get

from penstock.errors import StoreError
from penstock.server.chore import Chore
from penstock.server.local_oss import LocalOss
from penstock.server.store import LocalStore

Serve = Callable[..., tuple[LocalOss, Wire]]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize("failure", [StoreError("the disk is tired"), OverflowError("too large")])
def test_a_chore_that_fails_is_logged_and_done_again(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Semaphore(0)

    def work() -> None:
        done.release()
        raise failure

    chore = Chore("dusting", work, first_s=0, every_s=0.001)
    with caplog.at_level(logging.ERROR, "penstock.server"):
        chore.start()
        for _ in range(3):
            assert done.acquire(timeout=10)
        assert chore.alive
        chore.stop()
    assert "dusting" in caplog.text
    assert str(failure) in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_health_tells_of_a_thread_that_has_ended(
    serve: Serve, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_: object) -> None:
        raise SystemExit

    monkeypatch.setattr("penstock.server.lifecycle.run_lifecycle", end)
    oss, _ = serve(metrics=("127.0.0.1", 0), lifecycle_every_s=60)
    eventually(lambda: get(f"{oss.watch}/-/health")[0] == 503)
    assert "lifecycle" in get(f"{oss.watch}/-/health")[1]


def test_what_fails_on_the_port_of_those_who_run_a_server_is_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise OverflowError("nobody thought of this")

    oss, _ = serve(metrics=("127.0.0.1", 0), lifecycle_every_s=0)
    monkeypatch.setattr("penstock.server.watch.run_lifecycle", fail)
    assert get(f"{oss.watch}/-/lifecycle", "POST") == (500, "failed, see the log\n")
    assert "nobody thought of this" in caplog.text
    assert get(f"{oss.watch}/-/health") == (200, "ok\n")


def test_garbage_is_collected_although_collecting_failed(
    tmp_path: object, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalStore.open(tmp_path, "none") as store:  # type: ignore[arg-type]
        garbage = store._garbage
        tried = threading.Event()

        def fail() -> int:
            tried.set()
            raise OverflowError("nobody thought of this")

        with monkeypatch.context() as patched:
            patched.setattr(garbage, "collect", fail)
            garbage.wake()
            assert tried.wait(10)
        assert garbage.alive
        assert store.ended_threads() == []


def test_writing_goes_on_after_the_lock_of_the_writers_failed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoTurn:
        def __enter__(self) -> None:
            raise OSError(37, "No locks available")

        def __exit__(self, *_: object) -> None:
            """Never entered."""

    with monkeypatch.context() as patched:
        patched.setattr(store._writer, "_turn", NoTurn())
        with pytest.raises(StoreError, match="No locks available"):
            store.put_account_config("1", "name", b"value")
    store.put_account_config("1", "name", b"value")
    assert store.get_account_config("1", "name") == b"value"
    assert store.ended_threads() == []
