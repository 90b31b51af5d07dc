"""A task that is cancelled while it begins a transfer, or opens an object, leaves nothing running behind."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

import penstock

PART = 102_400
SIZE = 5 * PART + 7
PATIENCE_S = 20.0


class Gate:
    """Holds a method of a client on its thread: before it begins, or when it is about to return."""

    def __init__(self, monkeypatch, owner, name, *, at_return):
        self.reached = threading.Event()
        self.released = threading.Event()
        self.came_to = []
        real = getattr(owner, name)

        def held(*args, **options):
            if not at_return:
                self._hold()
            value = real(*args, **options)
            self.came_to.append(value)
            if at_return:
                self._hold()
            return value

        monkeypatch.setattr(owner, name, held)

    def _hold(self):
        self.reached.set()
        assert self.released.wait(PATIENCE_S)

    async def cancel(self, task, times):
        """Cancel a task that is held here, so often; then let the method go on."""
        await asyncio.to_thread(self.reached.wait, PATIENCE_S)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        self.released.set()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await task
        return cancelled.value


@pytest.fixture
def ends(oss_faults):
    """Nothing that a test begins gets through: a part and a range are held until they are stopped."""
    oss_faults.on("UploadPart").stall()
    oss_faults.on("UploadPartCopy").stall()
    oss_faults.on("GetObject").stall(at="answer")
    return oss_faults


@pytest.mark.parametrize("at_return", [False, True], ids=["as it begins", "as it returns"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("what", ["upload", "download", "copy", "resume", "group"])
def test_a_transfer_does_not_outlive_the_task_that_began_it(
    oss_env, oss_bucket, ends, client, new_file, tmp_path, monkeypatch, what, times, at_return
):
    file = new_file(SIZE)
    client.put_object(oss_bucket, "there", file.data)
    here = f"oss://{oss_bucket}/there"

    async def main():
        async with penstock.AsyncClient() as awaited:
            if what == "resume":
                held = await awaited.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART)
                held.abort()
                await held.wait_until_quiet()
            owner = penstock.Client if what != "group" else type(awaited.client.group())
            gate = Gate(monkeypatch, owner, "upload" if what == "group" else what, at_return=at_return)
            group = awaited.group()
            begin = {
                "upload": lambda: awaited.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART),
                "download": lambda: awaited.download(here, tmp_path / "to", part_bytes=PART),
                "copy": lambda: awaited.copy(here, f"oss://{oss_bucket}/k", part_bytes=PART),
                "resume": lambda: awaited.resume(f"oss://{oss_bucket}/k"),
                "group": lambda: group.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART),
            }[what]
            cancelled = await gate.cancel(asyncio.ensure_future(begin()), times)
            left = [transfer for transfer in awaited.client._transfers if not transfer.done()]
            assert left == []
            assert all(transfer.outcome(0).aborted for transfer in gate.came_to)
            if gate.came_to:
                assert isinstance(cancelled.__cause__, penstock.Aborted)

    asyncio.run(main())


def test_the_end_of_a_loop_leaves_no_transfer_behind(oss_env, oss_bucket, ends, new_file, monkeypatch):
    """As Ctrl-C ends it: all tasks are cancelled, with one of them just beginning a transfer."""
    file = new_file(SIZE)
    gate = Gate(monkeypatch, penstock.Client, "upload", at_return=True)
    kept = []

    async def main():
        client = penstock.AsyncClient()
        task = asyncio.ensure_future(client.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART))
        kept.extend((client, task))
        await asyncio.to_thread(gate.reached.wait, PATIENCE_S)
        asyncio.get_running_loop().call_later(0.01, gate.released.set)

    asyncio.run(main())
    client, task = kept
    assert task.cancelled()
    assert [transfer.done() for transfer in gate.came_to] == [True]
    client.client.close()


@pytest.mark.parametrize("what", ["get_object", "select_object"])
def test_an_object_that_nobody_reads_any_more_is_closed(oss_env, oss_bucket, client, monkeypatch, what):
    client.put_object(oss_bucket, "k", os.urandom(SIZE) if what == "get_object" else b"a,b\n" * SIZE)

    async def main():
        async with penstock.AsyncClient() as awaited:
            gate = Gate(monkeypatch, penstock.Client, what, at_return=True)
            words = ("select * from ossobject",) if what == "select_object" else ()
            # Through `_run`, as both do: the method was bound as the class was made.
            opening = awaited._run(getattr(penstock.Client, what), oss_bucket, "k", *words)
            await gate.cancel(asyncio.ensure_future(opening), 1)
            transport = awaited.client._transport
            assert transport.open_connections == len(transport._pool)

    asyncio.run(main())
