"""Configurations of buckets: kept, completed, refused, removed, and held from the next request on."""

from __future__ import annotations

import json

import pytest
from server_desk import Credentials, Desk

OTHER = Credentials("other", "other-account-secret")


def document(root: str, inside: str) -> bytes:
    return f"<{root}>{inside}</{root}>".encode()


CORS = (
    "<CORSRule><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
    "<AllowedHeader>x-oss-*</AllowedHeader><ExposeHeader>etag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>"
    "</CORSRule>"
)
RULE = "<Rule><ID>r</ID><Prefix>log/</Prefix><Status>Enabled</Status>{}</Rule>"
EXPIRES = RULE.format("<Expiration><Days>1</Days></Expiration>")
INVENTORY = (
    "<Id>list1</Id><IsEnabled>true</IsEnabled><Filter><Prefix>a/</Prefix></Filter><Destination>"
    "<OSSBucketDestination><Format>CSV</Format><AccountId>1</AccountId><RoleArn>acs:ram::1:role/r</RoleArn>"
    "<Bucket>acs:oss:::photos</Bucket></OSSBucketDestination></Destination><Schedule>"
    "<Frequency>Daily</Frequency></Schedule><IncludedObjectVersions>All</IncludedObjectVersions>"
)

GOOD = [
    ("cors", "CORSConfiguration", CORS, "<AllowedMethod>PUT</AllowedMethod>", "NoSuchCORSConfiguration"),
    ("lifecycle", "LifecycleConfiguration", EXPIRES, "<Days>1</Days>", "NoSuchLifecycle"),
    (
        "encryption",
        "ServerSideEncryptionRule",
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
        "</ApplyServerSideEncryptionByDefault>",
        "AES256",
        "NoSuchServerSideEncryptionRule",
    ),
    (
        "website",
        "WebsiteConfiguration",
        "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>",
        "<SupportSubDir>false</SupportSubDir>",
        "NoSuchWebsiteConfiguration",
    ),
    (
        "logging",
        "BucketLoggingStatus",
        "<LoggingEnabled><TargetBucket>photos</TargetBucket><TargetPrefix>log/</TargetPrefix></LoggingEnabled>",
        "<TargetPrefix>log/</TargetPrefix>",
        "",
    ),
    (
        "publicAccessBlock",
        "PublicAccessBlockConfiguration",
        "<BlockPublicAccess>true</BlockPublicAccess>",
        "<BlockPublicAccess>true",
        "",
    ),
]
GOOD += [
    (
        "userDefinedLogFieldsConfig",
        "UserDefinedLogFieldsConfiguration",
        "<HeaderSet><header>h1</header></HeaderSet><ParamSet><parameter>p1</parameter></ParamSet>",
        "<parameter>p1</parameter>",
        "NoSuchUserDefinedLogFieldsConfig",
    ),
    (
        "overwriteConfig",
        "OverwriteConfiguration",
        "<Rule><ID>r</ID><Action>forbid</Action><Prefix>a/</Prefix></Rule>",
        "<Prefix>a/</Prefix>",
        "NoSuchBucketOverwriteConfig",
    ),
]
NOT_REMOVED = [
    (
        "referer",
        "RefererConfiguration",
        "<AllowEmptyReferer>false</AllowEmptyReferer><RefererList><Referer>http://a.example</Referer></RefererList>",
        "<TruncatePath>false</TruncatePath>",
    ),
    ("requestPayment", "RequestPaymentConfiguration", "<Payer>Requester</Payer>", "Requester"),
    (
        "httpsConfig",
        "HttpsConfiguration",
        "<TLS><Enable>true</Enable><TLSVersion>TLSv1.2</TLSVersion></TLS>",
        "<TLSVersion>TLSv1.2</TLSVersion>",
    ),
    ("transferAcceleration", "TransferAccelerationConfiguration", "<Enabled>true</Enabled>", "true"),
    (
        "bucketArchiveDirectRead",
        "ArchiveDirectReadConfiguration",
        "<Enabled>true</Enabled>",
        "<Enabled>true",
    ),
    ("accessmonitor", "AccessMonitorConfiguration", "<Status>Enabled</Status>", "Enabled"),
    ("resourceGroup", "BucketResourceGroupConfiguration", "<ResourceGroupId>rg-1</ResourceGroupId>", "rg-1"),
]


@pytest.mark.parametrize(("mark", "root", "inside", "shown", "absent"), GOOD, ids=[one[0] for one in GOOD])
def test_a_configuration_is_kept_answered_and_removed(
    bucket: Desk, mark: str, root: str, inside: str, shown: str, absent: str
) -> None:
    before = bucket("GET", f"/photos/?{mark}")
    assert (before.status, before.code) == ((404, absent) if absent else (200, ""))
    assert bucket("PUT", f"/photos/?{mark}", document(root, inside)).status == 200
    answer = bucket("GET", f"/photos/?{mark}").body.decode()
    assert f"<{root}>" in answer
    assert shown in answer
    assert bucket("DELETE", f"/photos/?{mark}").status == 204
    assert (
        bucket("GET", f"/photos/?{mark}").body.decode().partition("<RequestId>")[0]
        == before.body.decode().partition("<RequestId>")[0]
    )
    assert bucket("DELETE", f"/photos/?{mark}").status == 204
    assert bucket("GET", "/photos/?bucketInfo").status == 200


@pytest.mark.parametrize(
    ("mark", "root", "inside", "shown"), NOT_REMOVED, ids=[one[0] for one in NOT_REMOVED]
)
def test_a_configuration_that_is_only_replaced(
    bucket: Desk, mark: str, root: str, inside: str, shown: str
) -> None:
    assert shown not in bucket("GET", f"/photos/?{mark}").body.decode() or mark == "referer"
    assert bucket("PUT", f"/photos/?{mark}", document(root, inside)).status == 200
    assert shown in bucket("GET", f"/photos/?{mark}").body.decode()
    assert bucket("DELETE", f"/photos/?{mark}").code == "MethodNotAllowed"
    assert bucket("GET", "/photos/?bucketInfo").status == 200


@pytest.mark.parametrize(
    ("mark", "root", "inside", "code"),
    [
        ("cors", "CORSConfiguration", "", "MalformedXML"),
        ("cors", "CORSConfiguration", CORS.replace("PUT", "FETCH"), "MalformedXML"),
        ("cors", "CORSConfiguration", CORS.replace("https://*", "*://*"), "MalformedXML"),
        ("lifecycle", "LifecycleConfiguration", RULE.format(""), "MalformedXML"),
        ("lifecycle", "LifecycleConfiguration", EXPIRES + EXPIRES, "InvalidArgument"),
        ("lifecycle", "LifecycleConfiguration", EXPIRES + EXPIRES.replace(">r<", ">s<"), "InvalidArgument"),
        (
            "lifecycle",
            "LifecycleConfiguration",
            RULE.format(
                "<Expiration><Days>9</Days></Expiration><Transition><CreatedBeforeDate>"
                "2026-01-01T00:00:00.000Z</CreatedBeforeDate><StorageClass>IA</StorageClass></Transition>"
            ),
            "InvalidRequest",
        ),
        ("encryption", "ServerSideEncryptionRule", "", "InvalidEncryptionAlgorithmError"),
        ("website", "WebsiteConfiguration", "", "MalformedXML"),
        (
            "logging",
            "BucketLoggingStatus",
            "<LoggingEnabled><TargetBucket>elsewhere</TargetBucket></LoggingEnabled>",
            "InvalidTargetBucketForLogging",
        ),
        ("referer", "RefererConfiguration", "", "MalformedXML"),
        ("requestPayment", "RequestPaymentConfiguration", "<Payer>me</Payer>", "MalformedXML"),
        ("httpsConfig", "HttpsConfiguration", "<TLS><Enable>true</Enable></TLS>", "MalformedXML"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_kept(
    bucket: Desk, mark: str, root: str, inside: str, code: str
) -> None:
    before = bucket("GET", f"/photos/?{mark}").element("Code")
    assert bucket("PUT", f"/photos/?{mark}", document(root, inside)).code == code
    assert bucket("GET", f"/photos/?{mark}").element("Code") == before


def test_inventories_are_kept_by_id(bucket: Desk) -> None:
    target = "/photos/?inventory&inventoryId=list1"
    assert bucket("GET", target).code == "NoSuchInventory"
    assert bucket("PUT", target, document("InventoryConfiguration", INVENTORY)).status == 200
    assert bucket("GET", target).element("Prefix") == "a/"
    assert bucket("GET", "/photos/?inventory").element("Id") == "list1"
    wrong = document("InventoryConfiguration", INVENTORY.replace("list1", "other"))
    assert bucket("PUT", target, wrong).code == "InvalidArgument"
    assert bucket("DELETE", target).status == 204
    assert bucket("DELETE", target).code == "NoSuchInventory"


def test_a_bucket_that_is_made_again_has_none_of_what_was_decided_for_the_old(bucket: Desk) -> None:
    bucket("PUT", "/photos/?cors", document("CORSConfiguration", CORS))
    assert bucket("DELETE", "/photos/").status == 204
    bucket("PUT", "/photos/")
    assert bucket("GET", "/photos/?cors").code == "NoSuchCORSConfiguration"
    assert bucket("OPTIONS", "/photos/a", keys=None, origin="https://www.example.com").status != 200


def test_browsers_are_told_what_pages_of_other_origins_may_do(bucket: Desk) -> None:
    asked = {"origin": "https://www.example.com", "access_control_request_method": "PUT"}
    off = bucket("OPTIONS", "/photos/a", keys=None, **asked)
    assert (off.status, off.code) == (403, "AccessForbidden")
    bucket("PUT", "/photos/?cors", document("CORSConfiguration", CORS))
    allowed = bucket(
        "OPTIONS", "/photos/a", keys=None, **asked, access_control_request_headers="X-Oss-Date, x-oss-meta-a"
    )
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "https://www.example.com"
    assert allowed.headers["access-control-allow-methods"] == "PUT"
    assert allowed.headers["access-control-allow-headers"] == "X-Oss-Date, x-oss-meta-a"
    assert allowed.headers["access-control-max-age"] == "60"
    for change in (
        {"origin": "https://example.org"},
        {"access_control_request_method": "DELETE"},
        {"access_control_request_headers": "authorization"},
    ):
        assert bucket("OPTIONS", "/photos/a", keys=None, **{**asked, **change}).status == 403
    assert bucket("OPTIONS", "/photos/a", keys=None).code == "InvalidRequest"


def test_answers_of_all_kinds_carry_the_headers_of_cors(bucket: Desk) -> None:
    bucket("PUT", "/photos/?cors", document("CORSConfiguration", CORS))
    stored = bucket("PUT", "/photos/a", b"x", origin="https://www.example.com")
    assert stored.headers["access-control-allow-origin"] == "https://www.example.com"
    assert stored.headers["access-control-expose-headers"] == "etag"
    refused = bucket("PUT", "/photos/a", b"x", keys=None, origin="https://www.example.com")
    assert refused.status == 403
    assert refused.headers["access-control-allow-origin"] == "https://www.example.com"
    assert (
        "access-control-allow-origin" not in bucket("PUT", "/photos/a", b"x", origin="https://x.org").headers
    )
    assert "access-control-allow-origin" not in bucket("GET", "/photos/a").headers


def test_new_objects_are_encrypted_as_the_bucket_says(bucket: Desk) -> None:
    bucket("PUT", "/photos/?encryption", document("ServerSideEncryptionRule", GOOD[2][2]))
    assert bucket("PUT", "/photos/a", b"x").headers["x-oss-server-side-encryption"] == "AES256"
    assert bucket("HEAD", "/photos/a").headers["x-oss-server-side-encryption"] == "AES256"
    own = bucket("PUT", "/photos/b", b"x", **{"x-oss-server-side-encryption": "SM4"})
    assert own.headers["x-oss-server-side-encryption"] == "SM4"
    assert bucket("GET", "/photos/?bucketInfo").element("SSEAlgorithm") == "AES256"


def test_pages_are_let_in_by_their_address(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    inside = (
        "<AllowEmptyReferer>false</AllowEmptyReferer><RefererList><Referer>http://*.example.com/*</Referer>"
        "</RefererList><RefererBlacklist><Referer>http://bad.example.com/*</Referer></RefererBlacklist>"
    )
    bucket("PUT", "/photos/?referer", document("RefererConfiguration", inside))
    assert bucket("GET", "/photos/a", keys=None).code == "AccessDenied"
    assert bucket("GET", "/photos/a", keys=None, referer="http://www.example.com/p?q=1").status == 200
    assert bucket("GET", "/photos/a", keys=None, referer="http://bad.example.com/p").status == 403
    assert bucket("GET", "/photos/a", keys=None, referer="http://other.org/").status == 403
    assert bucket("GET", "/photos/a").status == 200
    url = bucket.presigned("GET", "photos", "a")
    assert bucket("GET", url, keys=None).status == 403
    assert bucket("GET", url, keys=None, referer="http://www.example.com/").status == 200


@pytest.mark.parametrize(
    ("inside", "referer", "status"),
    [
        ("<RefererList><Referer>http://www.e.org</Referer></RefererList>", "http://www.e.org", 200),
        ("<RefererList><Referer>http://www.e.org</Referer></RefererList>", "http://www.e.org/", 200),
        ("<RefererList><Referer>http://www.e.org</Referer></RefererList>", "http://www.e.org/page?q", 200),
        ("<RefererList><Referer>http://www.e.org</Referer></RefererList>", "https://www.e.org/page", 403),
        ("<RefererList><Referer>http://www.e.org</Referer></RefererList>", "http://x/http://www.e.org", 403),
        ("<RefererList><Referer>www.e.org</Referer></RefererList>", "http://www.e.org/", 403),
        ("<RefererList><Referer>*.e.org</Referer></RefererList>", "https://a.e.org/page", 200),
        ("<RefererList><Referer>http://?.e.org</Referer></RefererList>", "http://ab.e.org/", 403),
        ("<RefererList><Referer>http://a.b/p?q=1</Referer></RefererList>", "http://a.b/p?q=1", 403),
        (
            "<AllowTruncateQueryString>false</AllowTruncateQueryString>"
            "<RefererList><Referer>http://a.b/p?q=1</Referer></RefererList>",
            "http://a.b/p?q=1&r",
            200,
        ),
        (
            "<TruncatePath>true</TruncatePath><RefererList><Referer>*/p</Referer></RefererList>",
            "http://a.b/p",
            403,
        ),
        ("<RefererBlacklist><Referer>*evil.com</Referer></RefererBlacklist>", "http://evil.com/", 403),
        ("<RefererBlacklist><Referer>*evil.com</Referer></RefererBlacklist>", "http://a.evil.com/x", 403),
        ("<RefererBlacklist><Referer>*evil.com</Referer></RefererBlacklist>", "http://good.com/", 200),
        ("<RefererBlacklist><Referer></Referer></RefererBlacklist>", "http://good.com/", 200),
        ("<RefererList><Referer></Referer></RefererList>", "http://good.com/", 200),
    ],
)
def test_an_address_is_known_by_how_it_begins(bucket: Desk, inside: str, referer: str, status: int) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    inside = f"<AllowEmptyReferer>true</AllowEmptyReferer>{inside}"
    bucket("PUT", "/photos/?referer", document("RefererConfiguration", inside))
    assert bucket("GET", "/photos/a", keys=None, referer=referer).status == status


def test_browsers_see_a_website(bucket: Desk) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    for key, body in (("index.html", b"home"), ("sub/index.html", b"sub"), ("error.html", b"sorry")):
        bucket("PUT", f"/photos/{key}", body, content_type="text/html")
    inside = (
        "<IndexDocument><Suffix>index.html</Suffix><SupportSubDir>true</SupportSubDir></IndexDocument>"
        "<ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules><RoutingRule><RuleNumber>1"
        "</RuleNumber><Condition><KeyPrefixEquals>old/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404"
        "</HttpErrorCodeReturnedEquals></Condition><Redirect><RedirectType>External</RedirectType>"
        "<Protocol>https</Protocol><HostName>new.example.com</HostName><HttpRedirectCode>301"
        "</HttpRedirectCode></Redirect></RoutingRule></RoutingRules>"
    )
    assert bucket("PUT", "/photos/?website", document("WebsiteConfiguration", inside)).status == 200
    assert bucket("GET", "/photos/", keys=None).body == b"home"
    assert bucket("GET", "/", keys=None, host="photos.oss.localhost").body == b"home"
    assert bucket("GET", "/photos/sub/", keys=None).body == b"sub"
    assert bucket("GET", "/photos/sub", keys=None).headers["location"] == "/sub/"
    missing = bucket("GET", "/photos/none", keys=None)
    assert (missing.status, missing.body, missing.headers["content-type"]) == (404, b"sorry", "text/html")
    bucket("PUT", "/photos/error.html?acl", **{"x-oss-object-acl": "private"})
    assert bucket("GET", "/photos/none", keys=None).code == "NoSuchKey"
    moved = bucket("GET", "/photos/old/a b".replace(" ", "%20"), keys=None)
    assert (moved.status, moved.headers["location"]) == (301, "https://new.example.com/old/a%20b")
    assert "<ListBucketResult>" in bucket("GET", "/photos/").body.decode()
    assert bucket("GET", "/photos/none").code == "NoSuchKey"
    assert "<ListBucketResult>" in bucket("GET", "/photos/?prefix=sub", keys=None).body.decode()


def test_the_front_page_of_a_website_is_asked_about_as_it_is_asked_for(bucket: Desk) -> None:
    head = bucket("HEAD", "/photos/", keys=None)
    assert (head.status, head.headers["x-oss-err"] != "") == (405, True)
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    bucket("PUT", "/photos/index.html", b"home", content_type="text/html")
    inside = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
    assert bucket("PUT", "/photos/?website", document("WebsiteConfiguration", inside)).status == 200
    for host in ("photos.oss.localhost", None):
        target = "/" if host else "/photos/"
        head, got = (bucket(method, target, keys=None, host=host) for method in ("HEAD", "GET"))
        assert (head.status, head.body, got.body) == (200, b"", b"home")
        assert head.headers["content-length"] == "4"
        assert head.headers["etag"] == got.headers["etag"]
    assert bucket("HEAD", "/photos/").status == 405
    assert bucket("HEAD", "/photos/?acl", keys=None).status == 405
    bucket("DELETE", "/photos/index.html")
    assert bucket("HEAD", "/photos/", keys=None).status == 404


def routed(prefix: str, redirect: str) -> bytes:
    condition = f"<KeyPrefixEquals>{prefix}</KeyPrefixEquals>" if prefix else ""
    rule = (
        "<RuleNumber>1</RuleNumber><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>"
        f"{condition}</Condition><Redirect><RedirectType>External</RedirectType><HostName>e.org</HostName>"
        f"{redirect}</Redirect>"
    )
    inside = f"<RoutingRules><RoutingRule>{rule}</RoutingRule></RoutingRules>"
    return document("WebsiteConfiguration", inside)


@pytest.mark.parametrize(
    ("prefix", "redirect", "location"),
    [
        ("abc/", "<ReplaceKeyPrefixWith>def/</ReplaceKeyPrefixWith>", "http://e.org/def/test.txt"),
        (
            "abc/",
            "<EnableReplacePrefix>true</EnableReplacePrefix><ReplaceKeyPrefixWith>def/</ReplaceKeyPrefixWith>",
            "http://e.org/def/test.txt",
        ),
        ("abc/", "<EnableReplacePrefix>true</EnableReplacePrefix>", "http://e.org/test.txt"),
        ("", "<ReplaceKeyPrefixWith>def/</ReplaceKeyPrefixWith>", "http://e.org/def/abc/test.txt"),
        ("abc/", "<ReplaceKeyWith>p/${key}.s</ReplaceKeyWith>", "http://e.org/p/abc/test.txt.s"),
        ("abc/", "", "http://e.org/abc/test.txt"),
        ("abc/", "<PassQueryString>true</PassQueryString>", "http://e.org/abc/test.txt?a=b%20c&d"),
    ],
)
def test_a_website_sends_browsers_elsewhere_as_its_rules_say(
    bucket: Desk, prefix: str, redirect: str, location: str
) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    assert bucket("PUT", "/photos/?website", routed(prefix, redirect)).status == 200
    moved = bucket("GET", "/photos/abc/test.txt?a=b%20c&d", keys=None)
    assert (moved.status, moved.headers["location"]) == (302, location)


def test_a_website_passes_no_query_on_where_there_is_none(bucket: Desk) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    bucket("PUT", "/photos/?website", routed("", "<PassQueryString>true</PassQueryString>"))
    assert bucket("GET", "/photos/a", keys=None).headers["location"] == "http://e.org/a"


def policy(effect: str, action: str, resource: str, principal: object = ("*",), **condition: object) -> bytes:
    statement = {
        "Effect": effect,
        "Action": [action],
        "Principal": list(principal),  # type: ignore[call-overload]
        "Resource": [f"acs:oss:*:*:{resource}"],
    }
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "1", "Statement": [statement]}).encode()


def test_a_policy_lets_others_in_and_keeps_the_owner_out(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    assert bucket("GET", "/photos/?policy").code == "NoSuchBucketPolicy"
    reads = policy("Allow", "oss:GetObject", "photos/*")
    assert bucket("PUT", "/photos/?policy", reads).status == 200
    assert bucket("GET", "/photos/?policy").body == reads
    assert bucket("GET", "/photos/?policyStatus").element("IsPublic") == "true"
    assert bucket("GET", "/photos/a", keys=None).body == b"x"
    assert bucket("GET", "/photos/", keys=None).status == 403
    assert bucket("PUT", "/photos/a", b"y", keys=None).status == 403
    bucket("PUT", "/photos/?policy", policy("Deny", "oss:Get*", "photos/*"))
    assert bucket("GET", "/photos/a").code == "AccessDenied"
    assert bucket("HEAD", "/photos/a").status == 403
    assert bucket("PUT", "/photos/b", **{"x-oss-copy-source": "/photos/a"}).status == 403
    assert bucket("PUT", "/photos/b", b"y").status == 200
    assert bucket("DELETE", "/photos/?policy").status == 204
    assert bucket("GET", "/photos/a").status == 200


@pytest.mark.parametrize("principal", ["", '"Principal": ["*"],', '"NotPrincipal": ["1"],'])
def test_a_statement_that_names_nobody_is_about_everybody(bucket: Desk, principal: str) -> None:
    bucket("PUT", "/photos/a", b"x")
    statement = f'{{{principal}"Effect": "Allow", "Action": "oss:*", "Resource": "*"}}'
    text = f'{{"Version": "1", "Statement": [{statement}]}}'.encode()
    assert bucket("PUT", "/photos/?policy", text).status == 200
    assert bucket("GET", "/photos/?policyStatus").element("IsPublic") == "true"
    assert bucket("GET", "/photos/a", keys=None).status == 200
    block = document("PublicAccessBlockConfiguration", "<BlockPublicAccess>true</BlockPublicAccess>")
    assert bucket("PUT", "/photos/?publicAccessBlock", block).status == 200
    assert bucket("GET", "/photos/a", keys=None).status == 403
    assert bucket("PUT", "/photos/?policy", text).code == "AccessDenied"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"IpAddress": {"acs:SourceIp": ["127.0.0.0/8"]}}, 200),
        ({"IpAddress": {"acs:SourceIp": ["10.0.0.0/8"]}}, 403),
        ({"NotIpAddress": {"acs:SourceIp": ["127.0.0.1"]}}, 403),
        ({"Bool": {"acs:SecureTransport": ["true"]}}, 403),
        ({"Bool": {"acs:SecureTransport": False}}, 200),
        ({"DateLessThan": {"acs:CurrentTime": "2100-01-01T00:00:00Z"}}, 200),
        ({"DateGreaterThan": {"acs:CurrentTime": "2100-01-01T00:00:00Z"}}, 403),
        ({"StringLike": {"acs:UserAgent": "pen*"}}, 200),
        ({"StringNotLike": {"acs:UserAgent": "pen*"}}, 403),
        ({"StringEquals": {"oss:Prefix": "a"}}, 403),
    ],
)
def test_conditions_of_policies_hold(bucket: Desk, condition: dict[str, object], status: int) -> None:
    bucket("PUT", "/photos/a", b"x")
    bucket("PUT", "/photos/?policy", policy("Allow", "oss:GetObject", "photos/a", **condition))
    assert bucket("GET", "/photos/a", keys=None, user_agent="penstock").status == status


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"Version": "2", "Statement": []}',
        b'{"Version": "1", "Statement": [{"Effect": "Maybe"}]}',
        b'{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:*"}]}',
        policy("Allow", "oss:*", "photos/*", Sometimes={"acs:SourceIp": "x"}),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused(bucket: Desk, text: bytes) -> None:
    assert bucket("PUT", "/photos/?policy", text).code == "InvalidPolicyDocument"
    assert bucket("GET", "/photos/?policy").code == "NoSuchBucketPolicy"


def test_blocking_public_access_goes_before_lists_and_policies(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    bucket("PUT", "/photos/?policy", policy("Allow", "oss:GetObject", "photos/*"))
    assert bucket("GET", "/photos/a", keys=None).status == 200
    bucket("PUT", "/photos/?publicAccessBlock", document("PublicAccessBlockConfiguration", GOOD[5][2]))
    assert bucket("GET", "/photos/a", keys=None).status == 403
    assert bucket("GET", "/photos/a").status == 200
    assert bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"}).code == "AccessDenied"
    assert bucket("PUT", "/photos/a?acl", **{"x-oss-object-acl": "public-read"}).code == "AccessDenied"
    assert bucket("PUT", "/photos/?policy", policy("Allow", "oss:*", "photos/*")).code == "AccessDenied"
    assert bucket("DELETE", "/photos/?publicAccessBlock").status == 204
    assert bucket("GET", "/photos/a", keys=None).status == 200


def test_who_asks_pays_where_the_owner_does_not(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    bucket(
        "PUT", "/photos/?requestPayment", document("RequestPaymentConfiguration", "<Payer>Requester</Payer>")
    )
    refused = bucket("GET", "/photos/a", keys=OTHER)
    assert (refused.status, refused.element("EC")) == (403, "0003-00000703")
    assert bucket("GET", "/photos/a", keys=OTHER, **{"x-oss-request-payer": "requester"}).status == 200
    assert bucket("GET", "/photos/a", keys=None, **{"x-oss-request-payer": "requester"}).status == 403


def test_who_is_let_in_by_a_policy_pays_too(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    statement = '{"Effect": "Allow", "Principal": ["*"], "Action": "oss:*", "Resource": "*"}'
    text = f'{{"Version": "1", "Statement": [{statement}]}}'.encode()
    assert bucket("PUT", "/photos/?policy", text).status == 200
    assert bucket("GET", "/photos/a", keys=OTHER).status == 200
    pays = document("RequestPaymentConfiguration", "<Payer>Requester</Payer>")
    assert bucket("PUT", "/photos/?requestPayment", pays).status == 200
    assert bucket("GET", "/photos/a", keys=OTHER).element("EC") == "0003-00000703"
    assert bucket("GET", "/photos/a", keys=None).element("EC") == "0003-00000703"
    assert bucket("GET", "/photos/a", keys=OTHER, **{"x-oss-request-payer": "requester"}).status == 200
    assert bucket("GET", "/photos/a?x-oss-request-payer=requester", keys=OTHER).status == 200
    assert bucket("GET", "/photos/a").status == 200
    assert bucket("GET", "/photos/a").status == 200


def test_a_retention_policy_protects_what_was_written(bucket: Desk) -> None:
    assert bucket("GET", "/photos/?worm").code == "NoSuchWORMConfiguration"
    bucket("PUT", "/photos/a", b"x")
    days = document("InitiateWormConfiguration", "<RetentionPeriodInDays>3</RetentionPeriodInDays>")
    worm = bucket("POST", "/photos/?worm", days).headers["x-oss-worm-id"]
    assert bucket("GET", "/photos/?worm").element("State") == "InProgress"
    assert bucket("DELETE", "/photos/a").code == "FileImmutable"
    assert bucket("PUT", "/photos/a", b"y").code == "FileImmutable"
    assert bucket("PUT", "/photos/new", b"y").status == 200
    bucket.clock[0] += 86_401
    assert bucket("GET", "/photos/?worm").element("State") == "Expired"
    assert bucket("PUT", "/photos/a", b"y").status == 200
    worm = bucket("POST", "/photos/?worm", days).headers["x-oss-worm-id"]
    assert bucket("POST", f"/photos/?wormId={worm}").status == 200
    assert bucket("DELETE", "/photos/?worm").code == "WORMConfigurationLocked"
    bucket.clock[0] += 2 * 86_400
    assert bucket("DELETE", "/photos/a").code == "FileImmutable"
    longer = document("ExtendWormConfiguration", "<RetentionPeriodInDays>9</RetentionPeriodInDays>")
    assert bucket("POST", f"/photos/?wormId={worm}&wormExtend", longer).status == 200
    shorter = longer.replace(b"9", b"1")
    assert bucket("POST", f"/photos/?wormId={worm}&wormExtend", shorter).code == "InvalidWORMConfiguration"
    bucket.clock[0] += 8 * 86_400
    assert bucket("DELETE", "/photos/a").status == 204


def test_archived_objects_are_read_once_they_are_restored(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"cold", **{"x-oss-storage-class": "Archive"})
    bucket("PUT", "/photos/b", b"warm")
    assert bucket("GET", "/photos/a").code == "InvalidObjectState"
    assert bucket("PUT", "/photos/c", **{"x-oss-copy-source": "/photos/a"}).code == "InvalidObjectState"
    assert bucket("POST", "/photos/b?restore").code == "OperationNotSupported"
    wish = document("RestoreRequest", "<Days>2</Days>")
    assert bucket("POST", "/photos/a?restore", wish).status == 202
    again = bucket("POST", "/photos/a?restore", wish)
    assert (again.status, again.code) == (409, "RestoreAlreadyInProgress")
    assert bucket("HEAD", "/photos/a").headers["x-oss-restore"] == 'ongoing-request="true"'
    assert bucket("POST", "/photos/a?cleanRestoredObject").code == "ArchiveRestoreNotFinished"
    assert bucket("GET", "/photos/a").code == "InvalidObjectState"
    bucket.clock[0] += 10
    assert bucket("GET", "/photos/a").body == b"cold"
    assert "expiry-date" in bucket("HEAD", "/photos/a").headers["x-oss-restore"]
    assert 'ongoing-request="false"' in bucket("GET", "/photos/").element("RestoreInfo")
    assert bucket("POST", "/photos/a?restore", wish).status == 200
    assert bucket("POST", "/photos/a?cleanRestoredObject").status == 200
    assert bucket("GET", "/photos/a").code == "InvalidObjectState"
    bucket("POST", "/photos/a?restore", wish)
    bucket.clock[0] += 3 * 86_400
    assert bucket("GET", "/photos/a").code == "InvalidObjectState"


RULES = (
    "<Rule><Action>forbid</Action><Prefix>a/</Prefix><Suffix>.txt</Suffix></Rule>"
    "<Rule><Action>forbid</Action><Prefix>b/</Prefix><Principals><Principal>2000000000000002</Principal>"
    "</Principals></Rule>"
)


def test_a_rule_forbids_to_overwrite(bucket: Desk) -> None:
    assert bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"}).status == 200
    assert bucket("PUT", "/photos/?overwriteConfig", document("OverwriteConfiguration", RULES)).status == 200
    assert bucket("GET", "/photos/?overwriteConfig").body.count(b"<ID>") == 2
    for key in ("a/1.txt", "a/1.jpg", "b/1"):
        assert bucket("PUT", f"/photos/{key}", b"1").status == 200
    copy = {"x-oss-copy-source": "/photos/b/1"}
    for refused in (
        bucket("PUT", "/photos/a/1.txt", b"2"),
        bucket("PUT", "/photos/a/1.txt", **copy),
        bucket("POST", "/photos/a/1.txt?uploads"),
        bucket("PUT", "/photos/a/1.txt?symlink", **{"x-oss-symlink-target": "t"}),
        bucket("PUT", "/photos/b/1", b"2", keys=OTHER),
    ):
        assert (refused.status, refused.code) == (409, "FileAlreadyExists")
    assert bucket("PUT", "/photos/a/1.jpg", b"2").status == 200
    assert bucket("PUT", "/photos/b/1", b"2").status == 200
    assert bucket("PUT", "/photos/b/1", b"2", keys=None).status == 200
    assert bucket("GET", "/photos/a/1.txt").body == b"1"


@pytest.mark.parametrize(
    "rules",
    [
        "<Rule><Action>allow</Action></Rule>",
        "<Rule><ID>r</ID><Action>forbid</Action></Rule>" * 2,
        "<Rule><Action>forbid</Action></Rule>" * 101,
    ],
)
def test_rules_that_make_no_sense_are_refused(bucket: Desk, rules: str) -> None:
    given = document("OverwriteConfiguration", rules)
    assert bucket("PUT", "/photos/?overwriteConfig", given).code == "MalformedXML"


def test_archived_objects_are_read_at_once_where_the_bucket_says_so(bucket: Desk) -> None:
    for key, storage_class in (("a", "Archive"), ("b", "ColdArchive")):
        bucket("PUT", f"/photos/{key}", b"x", **{"x-oss-storage-class": storage_class})
    on = document("ArchiveDirectReadConfiguration", "<Enabled>true</Enabled>")
    assert bucket("GET", "/photos/a").code == "InvalidObjectState"
    assert bucket("PUT", "/photos/?bucketArchiveDirectRead", on).status == 200
    assert bucket("GET", "/photos/a").body == b"x"
    assert bucket("GET", "/photos/b").code == "InvalidObjectState"


def test_names_of_headers_are_kept_in_lower_case(bucket: Desk) -> None:
    given = CORS.replace("x-oss-*", "X-Oss-Meta-A")
    assert bucket("PUT", "/photos/?cors", document("CORSConfiguration", given)).status == 200
    assert bucket("GET", "/photos/?cors").element("AllowedHeader") == "x-oss-meta-a"


def test_an_inventory_of_what_changed_is_kept(bucket: Desk) -> None:
    changes = (
        "<IncrementalInventory><IsEnabled>true</IsEnabled><Schedule><Frequency>600</Frequency></Schedule>"
        "<OptionalFields><Field>RequestId</Field></OptionalFields></IncrementalInventory>"
    )
    given = document("InventoryConfiguration", INVENTORY + changes)
    assert bucket("PUT", "/photos/?inventory&inventoryId=list1", given).status == 200
    assert changes in "".join(
        bucket("GET", "/photos/?inventory&inventoryId=list1").body.decode().replace("\n", "").split("  ")
    )


def test_a_mirror_passes_the_query_in_one_way(bucket: Desk) -> None:
    rule = (
        "<RoutingRules><RoutingRule><RuleNumber>1</RuleNumber><Redirect><RedirectType>Mirror</RedirectType>"
        "<PassQueryString>true</PassQueryString><MirrorURL>http://example.com/</MirrorURL>"
        "<MirrorPassQueryString>false</MirrorPassQueryString>"
        "<MirrorPassOriginalSlashes>true</MirrorPassOriginalSlashes></Redirect></RoutingRule></RoutingRules>"
    )
    assert bucket("PUT", "/photos/?website", document("WebsiteConfiguration", rule)).status == 200
    shown = bucket("GET", "/photos/?website")
    assert shown.element("PassQueryString") == "false"
    assert shown.element("MirrorPassOriginalSlashes") == "true"
