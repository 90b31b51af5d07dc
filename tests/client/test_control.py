"""What runs in one process is seen, stopped and limited from another one of the same user."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import pytest

import penstock
from penstock.client.running import control, registry
from penstock.client.running import control_server as server
from penstock.client.running.control import running_transfers
from penstock.client.running.control_messages import MAX_REQUEST_BYTES, ControlAnswer, ControlRequest, line
from penstock.files.process import is_running, process_started
from penstock.files.state_dir import StateDir

PART = 102_400
SIZE = 8 * PART + 1000
PATIENCE_S = 20.0
PROMPT_S = 1.0

UPLOAD = """
    transfer = client.upload(source, url, part_bytes=102_400, parallel=2)
    ended = transfer.outcome()
    print(ended.committed, getattr(ended.error, "reason", ""), getattr(ended.error, "resume_token", ""))
    client.close()
"""


@pytest.fixture
def state_dir(oss_env):
    return Path(oss_env["PENSTOCK_STATE_DIR"])


@pytest.fixture
def short_path():
    """A directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ps-") as path:
        yield Path(path)


@pytest.fixture
def file(new_file):
    return new_file(SIZE)


@pytest.fixture
def held(oss_faults):
    return oss_faults.on("UploadPart").stall(after_bytes=1)


@pytest.fixture
def elsewhere(programs, oss_bucket, oss_faults, file, held):
    """An upload in another process, two parts of which are in flight."""
    process = programs.start(UPLOAD, source=str(file.path), url=f"oss://{oss_bucket}/k")
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
    return process


def shown(state_dir, count):
    """The transfers that run, once there are so many: they are shown a little after they have begun."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while len(found := running_transfers(state_dir)) < count or any(one.unreachable for one in found):
        assert time.monotonic() < deadline, found
        pause.wait(0.005)
    return found


def the_one(state_dir):
    """The one transfer that runs, and can be spoken to."""
    (found,) = shown(state_dir, 1)
    return found


def entries(state_dir):
    return registry.entry_paths(StateDir(state_dir))


def ask(path, data):
    """What the process at a socket answers to some bytes; None if it only hangs up."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(path)
        try:
            sock.sendall(data)
        except ConnectionError:
            return None
        heard = b""
        while not heard.endswith(b"\n"):
            try:
                more = sock.recv(65_536)
            except ConnectionError:
                return None
            if not more:
                return None
            heard += more
    return msgspec.json.decode(heard, type=ControlAnswer)


def test_a_running_transfer_is_seen_from_outside(elsewhere, state_dir, oss_bucket, held):
    found = the_one(state_dir)
    assert found.name == f"oss://{oss_bucket}/k"
    assert found.pid == elsewhere.pid
    assert found.state.total_bytes == SIZE
    assert found.state.upload_id
    assert found.state.parts_total == 9
    assert not found.unreachable
    assert (state_dir / "journals" / f"{found.transfer_id}.journal").exists()


def test_another_process_aborts_an_upload_and_it_can_be_gone_on_with(
    elsewhere, programs, state_dir, here, file, oss_bucket, oss_faults
):
    found = the_one(state_dir)
    begun = time.perf_counter()
    ended = found.abort()
    assert time.perf_counter() - begun < PROMPT_S
    assert (ended.kind, ended.committed, ended.upload_id) == ("aborted", "no", found.state.upload_id)
    assert ended.clean_up is None
    assert programs.end_of(elsewhere) == ["no", *server.REASON.split(), ended.resume_token]
    assert running_transfers(state_dir) == []
    oss_faults.end()
    asked = oss_faults.count("UploadPart")
    transfer = here.resume(f"oss://{oss_bucket}/k")
    assert transfer.result(PATIENCE_S).size_bytes == SIZE
    assert transfer.upload_id == ended.upload_id
    assert oss_faults.count("UploadPart") - asked == 9
    assert here.get_object(oss_bucket, "k").read() == file.data


def test_a_drain_from_outside_keeps_what_was_in_flight(elsewhere, programs, state_dir, held):
    found, ends = the_one(state_dir), []
    thread = threading.Thread(target=lambda: ends.append(found.drain(PATIENCE_S)))
    thread.start()
    # The answer to a question that was asked later says that the drain was heard.
    running_transfers(state_dir)
    held.release()
    thread.join(PATIENCE_S)
    assert ends[0].kind == "aborted"
    assert ends[0].acknowledged_bytes >= 2 * PART
    assert programs.end_of(elsewhere)[0] == "no"


def test_a_cancel_from_outside_leaves_nothing(elsewhere, programs, state_dir, here, oss_bucket, oss_faults):
    found, ends = the_one(state_dir), []
    thread = threading.Thread(target=lambda: ends.append(found.cancel(PATIENCE_S)))
    thread.start()
    oss_faults.wait_until(lambda: oss_faults.count("AbortMultipartUpload") > 0)
    oss_faults.end()
    thread.join(PATIENCE_S)
    assert (ends[0].kind, ends[0].clean_up) == ("cancelled", "verified")
    assert programs.end_of(elsewhere)[0] == "no"
    assert list(here.iter_multipart_uploads(oss_bucket)) == []
    assert list(here.unfinished_uploads()) == []


def test_a_cancel_from_outside_of_a_single_request_in_doubt_does_not_call_it_gone(
    here, oss_bucket, oss_faults, state_dir
):
    fault = oss_faults.on("PutObject").stall(at="store")
    here.upload(b"small", f"oss://{oss_bucket}/k")
    fault.reached.wait()
    ended = the_one(state_dir).cancel(PATIENCE_S)
    assert (ended.kind, ended.committed, ended.clean_up) == ("aborted", "unknown", "pending")


def test_a_limit_from_outside_holds_until_it_is_lifted(
    programs, state_dir, oss_bucket, oss_faults, file, eventually
):
    hold = oss_faults.on("InitiateMultipartUpload").stall(at="answer", times=1)
    process = programs.start(UPLOAD, source=str(file.path), url=f"oss://{oss_bucket}/k")
    hold.reached.wait()
    found = the_one(state_dir)
    found.set_limit(0)
    assert the_one(state_dir).state.bandwidth_limit_bytes_s == 0
    with pytest.raises(penstock.TransferError, match="bytes a second"):
        found.set_limit(-1)
    hold.release()
    eventually(lambda: bool(the_one(state_dir).state.upload_id))
    assert oss_faults.count("UploadPart") == 0
    found.set_limit(None)
    assert programs.end_of(process)[0] == "yes"


def test_who_comes_too_late_is_told_so(elsewhere, programs, state_dir):
    found = the_one(state_dir)
    found.abort()
    programs.end_of(elsewhere)
    with pytest.raises(penstock.TransferError):
        found.abort()
    with pytest.raises(penstock.TransferError):
        found.set_limit(1)


def test_an_abort_that_came_too_late_tells_that_the_object_was_made(
    programs, state_dir, oss_bucket, oss_faults, file
):
    slow = oss_faults.on("CompleteMultipartUpload").stall(at="answer", times=1)
    process = programs.start(UPLOAD, source=str(file.path), url=f"oss://{oss_bucket}/k")
    slow.reached.wait()
    found, ends = the_one(state_dir), []
    thread = threading.Thread(target=lambda: ends.append(found.drain(PATIENCE_S)))
    thread.start()
    running_transfers(state_dir)
    slow.release()
    thread.join(PATIENCE_S)
    assert (ends[0].kind, ends[0].committed, ends[0].error) == ("committed", "yes", "")
    assert programs.end_of(process)[0] == "yes"


# --- what is left of processes


@pytest.mark.parametrize("path_is_long", [False, True])
def test_what_a_killed_process_left_is_found_and_removed(
    programs, oss_bucket, oss_faults, file, held, path_is_long, short_path
):
    state_dir = short_path / ("d" * 100) if path_is_long else short_path
    programs.environment["PENSTOCK_STATE_DIR"] = str(state_dir)
    process = programs.start(UPLOAD, source=str(file.path), url=f"oss://{oss_bucket}/k")
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
    the_one(state_dir)
    (entry_path,) = entries(state_dir)
    entry = registry.read_entry(entry_path)
    assert Path(entry.socket_path).is_socket()
    assert (Path(entry.socket_path).parent == entry_path.parent) is not path_is_long
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)
    assert entries(state_dir) == [entry_path]
    assert running_transfers(state_dir) == []
    assert entries(state_dir) == []
    assert not Path(entry.socket_path).exists()
    assert Path(entry.socket_path).parent.exists() is not path_is_long
    with pytest.raises(penstock.TransferError):
        control.RunningTransfer(
            the_state(), entry.pid, entry.host, entry.command, "", entry.socket_path
        ).abort()


def the_state(**fields):
    empty = {
        "total_bytes": 1,
        "acknowledged_bytes": 0,
        "in_flight_bytes": 0,
        "parts_total": 1,
        "parts_done": 0,
    }
    return control.TransferState(**{"transfer_id": "id", "name": "oss://b/k", **empty, **fields})


def test_what_a_killed_process_left_is_removed_by_the_next_that_transfers(
    elsewhere, state_dir, here, oss_bucket, oss_faults, held, eventually
):
    the_one(state_dir)
    (left,) = entries(state_dir)
    elsewhere.send_signal(signal.SIGKILL)
    elsewhere.wait(PATIENCE_S)
    transfer = here.upload(bytes(SIZE), f"oss://{oss_bucket}/other", part_bytes=PART)
    eventually(lambda: entries(state_dir) and left not in entries(state_dir))
    assert not transfer.done()
    transfer.abort()
    transfer.outcome(PATIENCE_S)


def test_an_entry_of_a_process_whose_pid_is_another_ones_now_is_removed(state_dir, here):
    directory = registry.registry_directory(StateDir(state_dir))
    directory.mkdir(parents=True)
    entry = control.ProcessEntry(
        pid=os.getpid(),
        host=socket.gethostname(),
        process_started=process_started() + 1,
        since=0,
        command="",
        socket_path="",
    )
    other = msgspec.structs.replace(entry, host="another-machine")
    nobody_listens = msgspec.structs.replace(
        entry, process_started=process_started(), socket_path=str(directory / "gone.sock")
    )
    (directory / "1-a.json").write_bytes(msgspec.json.encode(entry))
    (directory / "2-damaged.json").write_bytes(b"{")
    (directory / "3-elsewhere.json").write_bytes(msgspec.json.encode(other))
    (directory / "4-unheard.json").write_bytes(msgspec.json.encode(nobody_listens))
    assert running_transfers(state_dir) == []
    assert [path.name for path in entries(state_dir)] == ["2-damaged.json", "3-elsewhere.json"]


def test_a_process_is_known_by_when_it_was_started():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(process.pid)
    assert is_running(process.pid, started) is True
    assert is_running(process.pid, started + 1) is False
    assert is_running(process.pid, 0) is None
    process.communicate(b"\n", timeout=PATIENCE_S)
    assert is_running(process.pid, started) is False
    assert process_started(process.pid) == 0


def test_a_process_that_hangs_is_seen_by_its_journal_and_cannot_be_stopped(elsewhere, state_dir, monkeypatch):
    the_one(state_dir)
    monkeypatch.setattr(control, "ANSWER_S", 0.2)
    elsewhere.send_signal(signal.SIGSTOP)
    os.waitpid(elsewhere.pid, os.WUNTRACED)
    (found,) = running_transfers(state_dir)
    assert found.pid == elsewhere.pid
    assert "did not answer" in found.unreachable
    with pytest.raises(penstock.TransferError, match="did not answer"):
        found.abort()
    elsewhere.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    assert the_one(state_dir).abort().kind == "aborted"


def test_where_there_are_no_unix_sockets_a_transfer_is_seen_and_says_why_it_cannot_be_stopped(
    here, oss_bucket, oss_faults, held, state_dir, monkeypatch, eventually
):
    monkeypatch.delattr(socket, "AF_UNIX")
    transfer = here.upload(bytes(SIZE), f"oss://{oss_bucket}/k", part_bytes=PART)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") > 0)
    eventually(lambda: entries(state_dir))
    (found,) = running_transfers(state_dir)
    assert found.transfer_id == transfer.transfer_id
    with pytest.raises(penstock.TransferError, match="no Unix sockets"):
        found.cancel()
    transfer.abort()
    transfer.outcome(PATIENCE_S)
    assert entries(state_dir) == []


# --- within the process


def test_nothing_is_kept_for_longer_than_there_are_transfers(
    here, oss_bucket, oss_faults, held, state_dir, eventually
):
    def unix_sockets():
        known = {row.split()[6] for row in Path("/proc/net/unix").read_text().splitlines()[1:]}
        count = 0
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += str(path.readlink()).removeprefix("socket:[").rstrip("]") in known
        return count

    def control_threads():
        return [thread for thread in threading.enumerate() if thread.name == "penstock-control"]

    assert running_transfers(state_dir) == []
    before = unix_sockets()
    transfers = [
        here.upload(bytes(SIZE), f"oss://{oss_bucket}/{number}", part_bytes=PART) for number in range(3)
    ]
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") >= 3)
    assert {found.transfer_id for found in shown(state_dir, 3)} == {
        transfer.transfer_id for transfer in transfers
    }
    (entry_path,) = entries(state_dir)
    entry = registry.read_entry(entry_path)
    assert len(control_threads()) == 1
    assert stat.S_IMODE(entry_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(entry.socket_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(entry.socket_path).parent.stat().st_mode) == 0o700
    for transfer in transfers:
        transfer.abort()
        transfer.outcome(PATIENCE_S)
    assert entries(state_dir) == []
    assert not Path(entry.socket_path).exists()
    eventually(lambda: control_threads() == [])
    assert unix_sockets() == before


def test_a_transfer_of_a_group_is_seen_once_it_runs(here, oss_bucket, oss_faults, held, state_dir):
    group = here.group(parallel=1)
    for number in range(3):
        group.upload(bytes(SIZE), f"oss://{oss_bucket}/{number}", part_bytes=PART, parallel=1)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 1)
    found = the_one(state_dir)
    found.set_limit(1 << 20)
    assert group.transfers[0].bandwidth_limit_bytes_s == 1 << 20
    found.abort()
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
    assert group.transfers[0].outcome(PATIENCE_S).error.reason == server.REASON
    group.abort()


def test_two_clients_with_one_state_directory_share_the_entry(make_client, oss_bucket, state_dir, held):
    transfers = [
        make_client(state_dir=state_dir).upload(bytes(SIZE), f"oss://{oss_bucket}/{n}", part_bytes=PART)
        for n in range(2)
    ]
    shown(state_dir, 2)
    assert not any(transfer.done() for transfer in transfers)
    assert len(entries(state_dir)) == 1


def test_what_ends_at_once_is_not_shown_and_costs_no_files(here, oss_bucket, state_dir, monkeypatch):
    monkeypatch.setattr(registry, "SHOW_AFTER_S", 3.0)
    for _ in range(3):
        here.upload(b"small", f"oss://{oss_bucket}/k").result(PATIENCE_S)
    assert not registry.registry_directory(StateDir(state_dir)).exists()


def test_a_state_directory_that_cannot_be_written_keeps_nobody_from_uploading(
    make_client, oss_bucket, tmp_path
):
    (tmp_path / "file").write_bytes(b"")
    client = make_client(state_dir=tmp_path / "file" / "state")
    assert client.upload(b"small", f"oss://{oss_bucket}/k").result(PATIENCE_S)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_leaves_the_transfers_of_its_parent_alone(programs, oss_bucket, oss_faults, held):
    text = """
        transfer = client.upload(bytes(900_000), url, part_bytes=102_400)
        from penstock.client.running.control import running_transfers
        while not [one for one in running_transfers() if not one.unreachable]:
            pass
        child = os.fork()
        if child == 0:
            found = running_transfers()
            assert [one.pid for one in found] == [os.getppid()]
            own = client.upload(bytes(900_000), url + "/own", part_bytes=102_400)
            while os.getpid() not in [one.pid for one in found if not one.unreachable]:
                found = running_transfers()
            ours = [one.transfer_id for one in found if one.pid == os.getpid()]
            own.abort()
            own.outcome()
            os._exit(10 + len(found) if ours == [own.transfer_id] else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(running_transfers()))
        transfer.abort()
        transfer.outcome()
        print(len(running_transfers()))
        client.close()
    """
    process = programs.start(text.replace("\n    ", "\n"), url=f"oss://{oss_bucket}/k")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out.split() == ["12", "1", "0"], err


# --- at the door


@pytest.fixture
def door(here, oss_bucket, oss_faults, held, state_dir):
    """The socket of this process, which carries out one upload."""
    transfer = here.upload(bytes(SIZE), f"oss://{oss_bucket}/k", part_bytes=PART)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") > 0)
    the_one(state_dir)
    (entry_path,) = entries(state_dir)
    yield registry.read_entry(entry_path).socket_path
    transfer.abort()
    transfer.outcome(PATIENCE_S)


@pytest.mark.parametrize(
    "said",
    [b"nonsense\n", b"{}\n", b'{"command": "explode"}\n', b"\xff\n", b"\n", b"[" * 2000 + b"\n"],
    ids=repr,
)
def test_what_is_no_request_is_refused(door, said):
    assert "not understood" in ask(door, said).error


def test_a_request_without_end_is_cut_off(door):
    answer = ask(door, b"x" * (MAX_REQUEST_BYTES + 1))
    assert answer is None or "too long" in answer.error


def test_a_stop_of_an_unknown_transfer_stops_nothing(door, state_dir):
    assert ask(door, line(ControlRequest(command="abort", transfer="unknown"))).error
    assert len(running_transfers(state_dir)) == 1


def test_who_says_nothing_keeps_nobody_waiting_and_is_sent_away(door, state_dir, monkeypatch):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(PATIENCE_S)
        silent.connect(door)
        assert len(running_transfers(state_dir)) == 1
        assert silent.recv(1) == b""


def test_who_goes_away_without_its_answer_disturbs_nobody(door, here, state_dir):
    with socket.socket(socket.AF_UNIX) as hasty:
        hasty.connect(door)
        hasty.sendall(line(ControlRequest(command="abort", transfer=the_one(state_dir).transfer_id)))
    (transfer,) = here._transfers
    assert transfer.outcome(PATIENCE_S).error.reason == server.REASON


def test_a_long_list_comes_in_pages(door, state_dir, here, oss_bucket, monkeypatch, oss_faults):
    monkeypatch.setattr(server, "TRANSFERS_PER_ANSWER", 2)
    others = [here.upload(bytes(SIZE), f"oss://{oss_bucket}/{n}", part_bytes=PART) for n in range(4)]
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") >= 5)
    assert len({found.transfer_id for found in shown(state_dir, 5)}) == 5
    for transfer in others:
        transfer.abort()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not say who connects")
def test_another_user_is_not_let_in(door, monkeypatch):
    monkeypatch.setattr(server.os, "geteuid", lambda: os.getuid() + 1)
    assert ask(door, line(ControlRequest(command="list"))) is None
    monkeypatch.undo()
    assert ask(door, line(ControlRequest(command="list"))).transfers
