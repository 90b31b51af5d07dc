"""What the second official SDK (alibabacloud-oss-v2) asks of versions, configurations and archives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.server.local_oss import LocalOss

oss = pytest.importorskip("alibabacloud_oss_v2")

pytestmark = [
    pytest.mark.judge,
    # What the SDK and its own dependencies warn of is theirs to mend.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def client() -> Iterator[object]:
    with LocalOss.start(users={"judge-id": "judge-secret"}, durability="none") as server:
        config = oss.config.load_default()
        config.credentials_provider = oss.credentials.StaticCredentialsProvider("judge-id", "judge-secret")
        config.region = server.region
        config.endpoint = server.endpoint
        made = oss.Client(config)
        made.put_bucket(oss.PutBucketRequest(bucket="judged"))
        yield made


def refused(call: object, *given: object) -> str:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        call(*given)  # type: ignore[operator]
    return str(caught.value.unwrap().code)


def test_versions(client: object) -> None:
    client.put_bucket_versioning(
        oss.PutBucketVersioningRequest(
            bucket="judged", versioning_configuration=oss.VersioningConfiguration(status="Enabled")
        )
    )
    first = client.put_object(oss.PutObjectRequest(bucket="judged", key="a", body=b"1")).version_id
    client.put_object(oss.PutObjectRequest(bucket="judged", key="a", body=b"2"))
    assert client.delete_object(oss.DeleteObjectRequest(bucket="judged", key="a")).delete_marker
    listed = client.list_object_versions(oss.ListObjectVersionsRequest(bucket="judged"))
    assert (len(listed.version), len(listed.delete_marker)) == (2, 1)
    got = client.get_object(oss.GetObjectRequest(bucket="judged", key="a", version_id=first))
    assert got.body.read() == b"1"


def test_configurations(client: object) -> None:
    client.put_bucket_cors(
        oss.PutBucketCorsRequest(
            bucket="judged",
            cors_configuration=oss.CORSConfiguration(
                cors_rules=[
                    oss.CORSRule(allowed_origins=["*"], allowed_methods=["PUT"], allowed_headers=["*"])
                ]
            ),
        )
    )
    shown = client.get_bucket_cors(oss.GetBucketCorsRequest(bucket="judged")).cors_configuration
    assert shown.cors_rules[0].allowed_methods == ["PUT"]
    option = client.option_object(
        oss.OptionObjectRequest(
            bucket="judged", key="a", origin="http://example.com", access_control_request_method="PUT"
        )
    )
    assert option.access_control_allow_methods == "PUT"
    client.put_bucket_public_access_block(
        oss.PutBucketPublicAccessBlockRequest(
            bucket="judged",
            public_access_block_configuration=oss.PublicAccessBlockConfiguration(block_public_access=True),
        )
    )
    assert refused(client.put_bucket_acl, oss.PutBucketAclRequest(bucket="judged", acl="public-read")) == (
        "AccessDenied"
    )
    assert refused(client.get_bucket_policy, oss.GetBucketPolicyRequest(bucket="judged")) == (
        "NoSuchBucketPolicy"
    )
    assert refused(client.get_bucket_website, oss.GetBucketWebsiteRequest(bucket="judged")) == (
        "NoSuchWebsiteConfiguration"
    )
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket="judged")).bucket_info
    assert info.block_public_access


def test_archives(client: object) -> None:
    client.put_object(oss.PutObjectRequest(bucket="judged", key="a", body=b"1", storage_class="Archive"))
    wish = oss.RestoreObjectRequest(bucket="judged", key="a", restore_request=oss.RestoreRequest(days=1))
    assert client.restore_object(wish).status_code == 202
    assert refused(client.restore_object, wish) == "RestoreAlreadyInProgress"
    clean = oss.CleanRestoredObjectRequest(bucket="judged", key="a")
    assert refused(client.clean_restored_object, clean) == "ArchiveRestoreNotFinished"


def test_retention(client: object) -> None:
    worm = client.initiate_bucket_worm(
        oss.InitiateBucketWormRequest(
            bucket="judged",
            initiate_worm_configuration=oss.InitiateWormConfiguration(retention_period_in_days=1),
        )
    ).worm_id
    client.put_object(oss.PutObjectRequest(bucket="judged", key="a", body=b"1"))
    assert refused(client.delete_object, oss.DeleteObjectRequest(bucket="judged", key="a")) == "FileImmutable"
    client.complete_bucket_worm(oss.CompleteBucketWormRequest(bucket="judged", worm_id=worm))
    found = client.get_bucket_worm(oss.GetBucketWormRequest(bucket="judged")).worm_configuration
    assert (found.state, found.retention_period_in_days) == ("Locked", 1)
