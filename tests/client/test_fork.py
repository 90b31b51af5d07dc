"""A process that is forked while a client is at work: the parent is not disturbed, and all works anew."""

from __future__ import annotations

import os
import textwrap

import pytest
from programs import PATIENCE_S, kill

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PART = 102_400

BEGIN = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork: that is the point

def forked(work):
    # The exit code of `work` in a forked process.
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        code = work()
    except BaseException as error:
        print("child:", repr(error), file=sys.stderr)
        code = 1
    sys.stdout.flush()
    os._exit(code or 0)

"""


@pytest.fixture
def run(programs, oss_bucket):
    """What a program prints that can call `forked`."""

    def run(text, **names):
        return programs.run(BEGIN + textwrap.dedent(text) + "client.close()\n", bucket=oss_bucket, **names)

    return run


def test_parent_and_child_do_not_share_connections(run, here, oss_bucket):
    said = run(
        """
        client.put_object(bucket, "a", b"a" * 10)
        begun, begin = os.pipe()
        asked, ask = os.pipe()

        def blocks():
            yield b"p"
            os.write(begin, b"x")
            os.read(asked, 1)
            yield b"q" * 199

        call = client.submit(client.put_object, bucket, "new", blocks(), length=200)
        os.read(begun, 1)

        def child():
            with client.get_object(bucket, "a") as body:
                print(body.read() == b"a" * 10)
            os.write(ask, b"x")

        print(forked(child), call.result().crc64 is not None)
        """
    )
    assert said == ["True", "0", "True"]
    with here.get_object(oss_bucket, "new") as body:
        assert body.read() == b"p" + b"q" * 199


def test_a_child_may_do_all_that_its_parent_may(run, new_file):
    said = run(
        """
        client.submit(client.put_object, bucket, "first", path).result()
        client.bandwidth_limit_bytes_s = 1e9

        def child():
            client.submit(client.put_object, bucket, "submitted", b"1").result()
            client.put_object(bucket, "file", path)
            client.upload(path, f"oss://{bucket}/parts", part_bytes=102_400).result()
            print([one.key for one in client.iter_objects(bucket)], client.bandwidth_limit_bytes_s)
            client.close()

        print(forked(child), client.object_exists(bucket, "parts"))
        """,
        path=str(new_file(3 * PART).path),
    )
    assert " ".join(said) == "['file', 'first', 'parts', 'submitted'] 1000000000.0 0 True"


def test_deadlines_of_a_child_come_and_also_those_that_its_parent_has_set(run, oss_faults):
    oss_faults.on("PutObject", key="stalled").stall()
    said = run(
        """
        def child():
            for scope in (penstock.abort_scope(deadline_s=0.1), penstock.abort_scope()):
                try:
                    with scope:
                        client.put_object(bucket, "stalled", b"1")
                except penstock.Aborted as stopped:
                    print(stopped.reason)

        with penstock.abort_scope(deadline_s=60), penstock.abort_scope(deadline_s=0.5):
            print(forked(child))
        """
    )
    assert said == ["deadline", "deadline", "0"]


def test_a_child_stops_nothing_of_its_parent_and_does_not_wait_for_it(programs, oss_bucket, oss_faults):
    held = oss_faults.on("UploadPart").stall(after_bytes=1)
    process = programs.start(
        BEGIN
        + textwrap.dedent(
            """
            ended = client.submit(client.put_object, bucket, "ended", b"1")
            ended.result()
            transfer = client.upload(bytes(3 * 102_400), f"oss://{bucket}/k", part_bytes=102_400)
            waiting = client.submit(sys.stdin.readline)
            sys.stdin.readline()

            def child():
                assert ended.result().etag
                for wait in (transfer.result, transfer.outcome, waiting.result):
                    try:
                        wait()
                    except penstock.InvalidInput as error:
                        assert "forked" in str(error)
                    else:
                        return 2
                client.disable_requests()
                penstock.abort_all()
                client.close()

            print(forked(child), flush=True)
            print(transfer.outcome().committed)
            client.close()
            """
        ),
        bucket=oss_bucket,
    )
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 3)
    process.stdin.write("fork\n" * 2)
    process.stdin.flush()
    assert process.stdout.readline() == "0\n"
    held.release()
    assert programs.end_of(process) == ["yes"]


def test_a_child_that_lives_on_does_not_keep_the_journal_of_its_parent(
    programs, here, oss_bucket, oss_faults, new_file
):
    held = oss_faults.on("UploadPart").stall(after_bytes=1, times=1)
    process = programs.start(
        BEGIN
        + textwrap.dedent(
            """
            transfer = client.upload(path, f"oss://{bucket}/k", part_bytes=102_400, parallel=1)
            sys.stdin.readline()
            if os.fork() == 0:
                print("forked", flush=True)
                sys.stdin.read()
                os._exit(0)
            transfer.result()
            """
        ),
        bucket=oss_bucket,
        path=str(new_file(3 * PART).path),
    )
    held.reached.wait()
    process.stdin.write("fork\n")
    process.stdin.flush()
    assert process.stdout.readline() == "forked\n"
    kill(process)
    held.end()
    assert here.resume(f"oss://{oss_bucket}/k").result(PATIENCE_S).etag
