"""What the README shows runs as it is written there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import penstock
from penstock.client.sending.requester import Requester
from penstock.errors import NOT_SENT
from penstock.protocol.operations.objects import PutObject
from penstock.transfer.plan import AUTOMATIC_PART_BYTES

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def run(oss_env, oss_bucket, tmp_path, monkeypatch):
    """Runs a block in a folder with a big file, against a bucket of the local server."""
    monkeypatch.chdir(tmp_path)
    Path("big.iso").write_bytes(bytes(AUTOMATIC_PART_BYTES + 1))

    def run(text, **names):
        here = text.replace('"bucket"', repr(oss_bucket)).replace("oss://bucket/", f"oss://{oss_bucket}/")
        compiled = compile(here, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        scope = {"penstock": penstock, "asyncio": asyncio, **names}
        begun = eval(compiled, scope)
        if inspect.iscoroutine(begun):
            asyncio.run(_finished(begun))
        return scope

    return run


async def _finished(begun):
    await begun


def block_with(words):
    (found,) = [block for block in BLOCKS if words in block]
    return found


def test_every_block_is_run_here():
    assert len(BLOCKS) == 4


def test_an_upload_is_aborted_and_told(run, capsys, monkeypatch):
    attempts = Requester._attempts

    def late(requester, request, body, latch, *rest):
        if isinstance(request, PutObject):  # its worker is too slow to begin before it is told to stop
            assert latch.wait(20.0)
        return attempts(requester, request, body, latch, *rest)

    monkeypatch.setattr(Requester, "_attempts", late)
    run(block_with("client.submit(").removeprefix("import penstock\n"))
    assert capsys.readouterr().out.split() == [NOT_SENT, "no"]


def test_a_task_is_cancelled(run, monkeypatch):
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: real(0))
    assert run(block_with("task.cancel()"))["task"].cancelled()


def test_an_upload_is_aborted_and_gone_on_with(run, client, oss_bucket):
    with penstock.Client() as named:
        transfer = run(block_with("client.resume("), client=named)["transfer"]
        assert transfer.outcome().aborted
        assert list(named.unfinished_uploads()) == []
    assert client.head_object(oss_bucket, "big.iso").content_bytes == AUTOMATIC_PART_BYTES + 1
    assert list(client.iter_multipart_uploads(oss_bucket)) == []


def test_the_fixtures_for_tests_are_there(run, oss_client, oss_bucket):
    scope = run(block_with("def test_upload("))
    scope["test_upload"](oss_bucket, oss_client)
    assert oss_client.get_object(oss_bucket, "key").read() == b"bytes"


def test_the_example_of_the_package_runs(run, client, oss_bucket):
    text = textwrap.dedent(penstock.__doc__.partition("Example:\n")[2])
    run(re.sub(r'Client\("[^"]*"\)', "Client()", text))
    assert client.object_exists(oss_bucket, "big.iso")
