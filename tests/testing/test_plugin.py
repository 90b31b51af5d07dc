"""The fixtures, as a project that has penstock installed sees them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import penstock


def run_pytest(folder: Path, text: str, *options: str) -> str:
    (folder / "test_theirs.py").write_text(textwrap.dedent(text))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
            *options,
            str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_another_project_finds_the_fixtures(tmp_path):
    out = run_pytest(
        tmp_path,
        """
        import os
        import penstock

        buckets = []

        def test_with_all_of_them(oss_server, oss_bucket, oss_env, oss_client, oss_faults):
            oss_client.put_object(oss_bucket, "k", b"1")
            oss_client.initiate_multipart_upload(oss_bucket, "k")
            with penstock.Client() as found:
                assert found.get_object(oss_bucket, "k").read() == b"1"
            assert oss_faults.count("PutObject") == 1
            buckets.append(oss_bucket)

        def test_afterwards(oss_client, oss_bucket):
            assert [bucket.name for bucket in oss_client.iter_buckets()] == [oss_bucket]
            assert list(oss_client.iter_objects(oss_bucket)) == []
            assert oss_bucket not in buckets
            assert "OSS_ENDPOINT" not in os.environ
        """,
    )
    assert "2 passed" in out


def test_nothing_is_started_or_imported_before_a_fixture_is_used(tmp_path):
    run_pytest(
        tmp_path,
        """
        import sys
        import threading

        def test_quiet(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("penstock")
            assert threading.active_count() == 1
            loaded = {name for name in sys.modules if name.startswith("penstock.")}
            assert loaded <= {"penstock.testing", "penstock.testing.plugin", "penstock.version"}
        """,
    )


@pytest.mark.slow
def test_each_worker_has_a_server_of_its_own(tmp_path):
    out = run_pytest(
        tmp_path,
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_parallel(oss_client, oss_bucket, number):
            oss_client.put_object(oss_bucket, "k", b"1")
            assert [bucket.name for bucket in oss_client.iter_buckets()] == [oss_bucket]
        """,
        "-n",
        "2",
    )
    assert "8 passed" in out


def test_a_held_request_does_not_hold_up_the_end(tmp_path):
    begun = time.monotonic()
    out = run_pytest(
        tmp_path,
        """
        import penstock

        def test_leaves_a_mess(oss_faults, oss_client, oss_bucket, oss_env):
            global left
            for at in ("head", "store", "answer"):
                oss_faults.on("PutObject", key=at).stall(at=at)
            other = penstock.Client(retry=penstock.RetryPolicy(max_attempts=1))
            left = other.submit(other.put_object, oss_bucket, "head", b"1")
            fault = oss_faults.on("PutObject", key="big").stall(after_bytes=100_000)
            calls = [oss_client.submit(oss_client.put_object, oss_bucket, at, b"1")
                     for at in ("head", "store", "answer")]
            oss_client.submit(oss_client.put_object, oss_bucket, "big", bytes(10_000_000))
            fault.reached.wait()
            oss_faults.wait_until(lambda: oss_faults.count("PutObject") == 5)
            assert not any(call.done() for call in [left, *calls])

        def test_finds_no_mess(oss_faults, oss_client, oss_bucket):
            oss_client.put_object(oss_bucket, "head", b"1")
            assert oss_faults.count() == 1
            assert isinstance(left.outcome(20).error, penstock.ConnectionLost)
        """,
    )
    assert "2 passed" in out
    assert time.monotonic() - begun < 28  # a request that was still held would take 30 s or more


def test_the_server_is_ready_in_well_under_a_second():
    from penstock.server.local_oss import LocalOss

    begun = time.perf_counter()
    with LocalOss.start(users={"id": "secret"}, durability="none"):
        assert time.perf_counter() - begun < 1.0


def test_the_environment_leads_to_the_server(oss_server, oss_env, oss_bucket):
    with penstock.Client() as client:
        assert str(client.settings.endpoint) == oss_server.endpoint
        assert client.settings.region == oss_server.region
        client.put_object(oss_bucket, "k", b"1")
        assert client.get_object(oss_bucket, "k").read() == b"1"
    assert set(oss_env) <= set(os.environ)


def test_journals_of_a_test_stay_in_its_own_directory(oss_env, oss_client, oss_bucket, tmp_path, oss_faults):
    oss_faults.on("UploadPart").stall()
    with penstock.Client() as client:
        for one in (client, oss_client):
            one.upload(bytes(200_000), f"oss://{oss_bucket}/k", part_bytes=102_400)
        oss_faults.wait_until(lambda: oss_faults.count("UploadPart") >= 2)
        assert list(tmp_path.rglob("*.journal"))
        client.disable_requests()


@pytest.mark.judge
@pytest.mark.filterwarnings("default")  # theirs
@pytest.mark.parametrize("module", ["oss2", "alibabacloud_oss_v2"])
def test_an_official_sdk_finds_the_server_and_reads_what_a_fault_answers(
    module, oss_env, oss_bucket, oss_faults
):
    sdk = pytest.importorskip(module)
    unavailable = oss_faults.on("PutObject").answer(503, "ServiceUnavailable")
    if module == "oss2":
        auth = sdk.ProviderAuthV4(sdk.credentials.EnvironmentVariableCredentialsProvider())
        bucket = sdk.Bucket(auth, oss_env["OSS_ENDPOINT"], oss_bucket, region=oss_env["OSS_REGION"])
        with pytest.raises(sdk.exceptions.ServerError, match="ServiceUnavailable"):
            bucket.put_object("k", b"1")
        bucket.put_object("k", b"1")
        assert bucket.get_object("k").read() == b"1"
        return
    config = sdk.config.load_default()
    config.credentials_provider = sdk.credentials.EnvironmentVariableCredentialsProvider()
    config.region, config.endpoint = oss_env["OSS_REGION"], oss_env["OSS_ENDPOINT"]
    client = sdk.Client(config)
    client.put_object(sdk.PutObjectRequest(bucket=oss_bucket, key="k", body=b"1"))  # tries again by itself
    assert unavailable.hits == 1
    assert client.get_object(sdk.GetObjectRequest(bucket=oss_bucket, key="k")).body.content == b"1"
