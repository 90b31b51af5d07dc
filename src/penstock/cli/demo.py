"""``penstock demo``: an upload that is stopped half-way and goes on, watched from both ends."""

from __future__ import annotations

import secrets
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.amounts import bytes_text, count_text, time_text
from penstock.cli.demo_file import DemoFile, found_file, given_file
from penstock.cli.demo_watcher import Watcher
from penstock.cli.ending import ExitCode
from penstock.cli.meter import Meter, Reading, open_meter
from penstock.cli.options import Options, oss_command
from penstock.cli.temporary import temporary_directory
from penstock.errors import TransferError

if TYPE_CHECKING:
    from penstock.transfer.progress import Progress

BUCKET = "demo-bucket"
PARALLEL = 4
_UPLOAD_S = 5.0
_WATCH_S = 0.5
_QUIET_S = 0.25
_SETTLED_S = 0.1
_SETTLE_ROUNDS = 20
_REDRAW_S = 0.05
_ABORT_AT = 0.5
_PARTS = 64
_PART_STEP_BYTES = 64 * 1024
_MOST_PART_BYTES = 8 * 1024 * 1024
_ROOM_FACTOR = 3


@oss_command(
    "demo", connects=False, short_help="Upload, abort half-way, resume and compare, on this machine."
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
def command(options: Options, file: Path | None) -> int:
    """
    Upload a file to an OSS on this machine, abort half-way, resume, and compare.

    Needs no account and no network, and leaves nothing behind. FILE is any file of at least 1 MiB; without it
    a large one of this Python installation is taken.
    """
    with temporary_directory("penstock-demo-") as scratch:
        room_bytes = shutil.disk_usage(scratch).free // _ROOM_FACTOR
        chosen = given_file(file) if file is not None else found_file(scratch, room_bytes)
        if chosen.size_bytes > room_bytes:
            raise TransferError(
                f"the demonstration needs {bytes_text(_ROOM_FACTOR * chosen.size_bytes)} free in {scratch}",
                advice="Name a smaller file, or set TMPDIR to another place.",
            )
        story = Story(chosen, shown=not options.quiet)
        story.tell(scratch)
    click.echo()
    if story.broken:
        for promise in story.broken:
            click.secho(f"NOT as promised: {promise}", fg="red", bold=True)
        return ExitCode.CLIENT_ERROR
    click.echo(_IN_PLAIN_WORDS)
    click.echo(_next(options.program))
    return ExitCode.SUCCESS


_IN_PLAIN_WORDS = f"""\
{click.style("What just happened:", bold=True)} an upload was stopped in the middle, at once, and
nothing more was sent. What OSS had confirmed stayed there under its UploadId. The upload
then went on under the same UploadId and sent only the rest, and the object is byte for
byte the file.
Nothing of this is left on your disk.
"""


def _next(program: str) -> str:
    return f"""\
Next:  {program} serve
       an OSS to try your own programs on; it prints what another shell needs, and there:
       {program} mb oss://bucket
       {program} cp big.iso oss://bucket/
       stop it with Ctrl-C: the same command goes on"""


@dataclass(frozen=True, slots=True)
class Stop:
    """
    How an abort went, in seconds and bytes.

    Attributes:
        returned_s: Until ``abort()`` returned.
        quiet_s: Until everything was quiet.
        bytes_on_the_way: Were noticed by the server after ``abort()`` had returned, while the network
            and its own queues still held something. No bound is promised for them: they are counted when the
            server reads them, which on a busy machine is long after they arrived.
        requests_on_the_way: Likewise, requests.
        bytes_after: Arrived in the time that was watched, once those had.
        requests_after: Likewise, requests.
    """

    returned_s: float
    quiet_s: float
    bytes_on_the_way: int
    requests_on_the_way: int
    bytes_after: int
    requests_after: int


class Brake:
    """
    Holds an upload back to a speed, on this side, so that what has left is really with the server.

    (A limit on the server's side lets bytes pile up in its kernel, and they would arrive after any stop.)

    Args:
        bytes_per_s: The speed.
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._released = threading.Event()
        self._begun_s = time.monotonic()
        self._first_bytes: int | None = None

    def hold(self, progress: Progress) -> None:
        """Wait until so many bytes are due, or the brake is released."""
        moved = progress.acknowledged_bytes + progress.in_flight_bytes
        if self._first_bytes is None:
            self._first_bytes = moved
        due_s = self._begun_s + (moved - self._first_bytes) / self._bytes_per_s
        self._released.wait(max(0.0, due_s - time.monotonic()))

    def release(self) -> None:
        """Hold nothing back any more."""
        self._released.set()


class Story:
    """
    The demonstration, step by step; what did not come as promised is in ``broken``.

    Args:
        file: What is uploaded.
        shown: False leaves out the progress.
    """

    def __init__(self, file: DemoFile, *, shown: bool) -> None:
        self.broken: list[str] = []
        self._file = file
        self._shown = shown
        self._watcher = Watcher()
        self._key = file.path.name
        self._part_bytes = _part_bytes(file.size_bytes)
        self._part_count = -(-file.size_bytes // self._part_bytes)
        self._bytes_per_s = file.size_bytes / _UPLOAD_S

    def tell(self, scratch: Path) -> None:
        """Run it; ``scratch`` is an empty directory."""
        from penstock.client.client import Client
        from penstock.client.identity.credentials import Credentials
        from penstock.net.settings import NetSettings
        from penstock.server.local_oss import LocalOss

        users = {"demo": secrets.token_hex(16)}
        with LocalOss.start(
            scratch / "oss", users=users, durability="relaxed", interceptor=self._watcher
        ) as oss:
            _heading("An OSS on this machine")
            _line("endpoint", f"{oss.endpoint}  (its data is in a temporary directory)")
            _line("file", f"{self._key}, {bytes_text(self._file.size_bytes)}")
            made = "made for this, of many files of this Python installation"
            _line("from", made if self._file.made else self._file.path.resolve().parent)
            self._client = Client(
                oss.endpoint,
                oss.region,
                Credentials("demo", users["demo"]),
                state_dir=scratch / "state",
                network=NetSettings(proxy=""),
            )
            with self._client as client:
                client.put_bucket(BUCKET)
                self._tell_all()

    def _tell_all(self) -> None:
        _heading("Upload, and stop it half-way")
        _line(
            "speed",
            f"held back to {bytes_text(self._bytes_per_s)}/s; at full speed there would be nothing to see",
        )
        token, upload_id, stop = self._upload_and_stop()
        self._check_stop(stop)
        _heading("What OSS kept")
        kept = self._show_kept(upload_id)
        _heading("Go on, under the same UploadId")
        self._resume(token, upload_id, kept)
        _heading("Read the object back")
        self._compare()
        uploads = list(self._client.iter_multipart_uploads(BUCKET))
        journals = list(self._client.unfinished_uploads())
        self._expect(not uploads and not journals, "an unfinished upload is left")

    def _upload_and_stop(self) -> tuple[str, str, Stop]:
        brake = Brake(self._bytes_per_s)
        transfer = self._client.upload(
            self._file.path,
            f"oss://{BUCKET}/{self._key}",
            part_bytes=self._part_bytes,
            parallel=PARALLEL,
            progress=brake.hold,
        )
        watcher = self._watcher
        pause = threading.Event()
        with self._meter() as meter:
            while transfer.progress.fraction < _ABORT_AT and not transfer.done():
                meter.show(Reading(self._key, transfer.progress))
                pause.wait(_REDRAW_S)
            begun = time.perf_counter()
            transfer.abort()
            returned = time.perf_counter()
            bytes_then, requests_then = watcher.seen
            brake.release()
            outcome = transfer.outcome(timeout_s=10)
            quiet = time.perf_counter()
            bytes_settled, requests_settled = _settled(watcher)
            # Time for anything that should not come to come.
            pause.wait(_WATCH_S)
            stop = Stop(
                returned - begun,
                quiet - begun,
                bytes_settled - bytes_then,
                requests_settled - requests_then,
                watcher.body_bytes - bytes_settled,
                watcher.requests - requests_settled,
            )
            meter.show(Reading(self._key, transfer.progress))
        if not outcome.aborted or transfer.resume_token is None or transfer.upload_id is None:
            raise outcome.error or TransferError(
                "the upload was complete before it could be stopped", advice="Name a larger file."
            )
        self._expect(outcome.committed == "no", f"an abort half-way ended as committed={outcome.committed}")
        _line("outcome", f"{outcome.error.code}, committed: {outcome.committed}")  # type: ignore[union-attr]
        return transfer.resume_token, transfer.upload_id, stop

    def _check_stop(self, stop: Stop) -> None:
        _line("abort() returned", f"after {time_text(stop.returned_s)}")
        _line("everything quiet", f"after {time_text(stop.quiet_s)}")
        _line(
            "in the network",
            f"{stop.bytes_on_the_way:,} bytes and {count_text(stop.requests_on_the_way, 'request')} that had "
            "left before it still arrived",
        )
        _line(
            "afterwards",
            f"{stop.bytes_after} bytes and {count_text(stop.requests_after, 'request')} reached OSS "
            f"(watched for {_WATCH_S} s)",
        )
        self._expect(
            stop.quiet_s <= _QUIET_S, f"it took {time_text(stop.quiet_s)} until everything was quiet"
        )
        self._expect(
            stop.requests_on_the_way <= PARALLEL,
            f"{stop.requests_on_the_way} requests were still on their way",
        )
        self._expect(stop.bytes_after == 0, f"{stop.bytes_after:,} bytes arrived after that")
        self._expect(stop.requests_after == 0, f"{stop.requests_after} requests arrived after that")

    def _show_kept(self, upload_id: str) -> set[int]:
        client = self._client
        parts = list(client.iter_parts(BUCKET, self._key, upload_id))
        uploads = [upload.upload_id for upload in client.iter_multipart_uploads(BUCKET)]
        _line("UploadId", f"{upload_id}, still valid")
        kept_bytes = sum(part.size_bytes for part in parts)
        _line("parts", f"{len(parts)} of {self._part_count}, {bytes_text(kept_bytes)}")
        _line("object", "none: an object appears whole or not at all")
        self._expect(uploads == [upload_id], "the upload is not listed")
        self._expect(0 < len(parts) < self._part_count, f"{len(parts)} parts were kept")
        self._expect(not client.object_exists(BUCKET, self._key), "there is an object already")
        return {part.number for part in parts}

    def _resume(self, token: str, upload_id: str, kept: set[int]) -> None:
        before = self._watcher.parts_received.copy()
        transfer = self._client.resume(token, parallel=PARALLEL, progress=Brake(self._bytes_per_s).hold)
        with self._meter() as meter:
            while not transfer.done():
                meter.show(Reading(self._key, transfer.progress))
                threading.Event().wait(_REDRAW_S)
            meter.show(Reading(self._key, transfer.progress))
        transfer.result()
        sent = self._watcher.parts_received - before
        again = len(kept & set(sent))
        _line("UploadId", f"{'the same' if transfer.upload_id == upload_id else transfer.upload_id}")
        _line("parts sent", f"{sent.total()}, those that were missing")
        _line("sent again", f"{again} of the {len(kept)} that OSS had kept")
        self._expect(transfer.upload_id == upload_id, "the upload went on under another UploadId")
        self._expect(again == 0, f"{count_text(again, 'part')} went over the wire a second time")
        self._expect(sent.total() == self._part_count - len(kept), f"{sent.total()} parts were sent")

    def _compare(self) -> None:
        same = True
        count = 0
        with self._file.path.open("rb") as file, self._client.get_object(BUCKET, self._key) as body:
            for chunk in body:
                same = same and file.read(len(chunk)) == chunk
                count += len(chunk)
            same = same and not file.read(1)
            crc64 = body.description.crc64
        _line("CRC-64", f"{crc64}, the same at OSS and here")
        _line("bytes", f"{count:,} compared with the file, {'all equal' if same else 'NOT equal'}")
        self._expect(same and count == self._file.size_bytes, "the object is not the file")

    def _meter(self) -> Meter:
        return open_meter(shown=self._shown, stream=sys.stdout)

    def _expect(self, kept: bool, broken: str) -> None:
        if not kept:
            self.broken.append(broken)


def _settled(watcher: Watcher) -> tuple[int, int]:
    """The bytes and requests that have arrived, once none came for a while."""
    pause = threading.Event()
    seen = watcher.seen
    for _ in range(_SETTLE_ROUNDS):
        pause.wait(_SETTLED_S)
        if watcher.seen == seen:
            break
        seen = watcher.seen
    return seen


def _part_bytes(size_bytes: int) -> int:
    """A part size that gives about as many parts as can be watched."""
    wanted = -(-size_bytes // _PARTS)
    stepped = -(-wanted // _PART_STEP_BYTES) * _PART_STEP_BYTES
    return min(max(stepped, 2 * _PART_STEP_BYTES), max(_MOST_PART_BYTES, -(-size_bytes // 10_000)))


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _line(label: str, text: object) -> None:
    click.echo(f"  {click.style(label.ljust(18), dim=True)}{text}")
