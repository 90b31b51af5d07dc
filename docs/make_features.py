"""
Writes docs/features.md: which part of OSS each part of penstock has.

    python docs/make_features.py

The rows of calls come from the table of operations, the methods of the client and the handlers of the
server; what those cannot say stands below.
"""

from __future__ import annotations

import re
from pathlib import Path

import penstock
from penstock.protocol.operations import OPERATIONS
from penstock.server.handlers import BODY_HANDLERS, HANDLERS

FILE = Path(__file__).with_name("features.md")

PARTLY = {
    "GetObject": "no `x-oss-process`",
    "ListLiveChannel": "always empty",
    "GetBucketInfo": "replication is always off",
    "PutBucketEncryption": "kept and told; bytes are stored as they come",
    "PutBucketLogging": "kept; no log objects are written",
    "PutUserDefinedLogFieldsConfig": "kept; no log objects are written",
    "PutBucketObjectWormConfiguration": "versions in such buckets do not go by lifecycle rules at all",
    "PutBucketInventory": "kept; no lists are written",
    "PutBucketHttpsConfig": "kept; the server's own TLS settings hold",
    "PutBucketTransferAcceleration": "kept; there is nothing to accelerate",
    "PutBucketAccessMonitor": "kept; times of access are not",
    "PutBucketLifecycle": "rules with `Filter`, by access time, or that move old versions: kept, not done",
    "PutBucketWebsite": "`Mirror` and `Internal` rules are kept, not followed",
    "PutBucketRequestPayment": "refuses who does not agree to pay; nobody pays",
    "DescribeRegions": "the server's own region",
    "SelectObject": "a range of lines or splits needs no CreateSelectObjectMeta before",
    "CreateSelectObjectMeta": "counted anew every time, not kept",
}
COMMANDS = {
    "PutBucket": "mb",
    "DeleteBucket": "rb",
    "ListBuckets": "ls, doctor",
    "GetBucketInfo": "stat",
    "GetBucketStat": "stat",
    "ListObjectsV2": "ls, du, rm -r, cp -r, sync",
    "GetObject": "cp, sync, cat",
    "PutObject": "cp, sync",
    "CopyObject": "cp, sync",
    "UploadPartCopy": "cp, sync",
    "HeadObject": "stat, cp, sync",
    "DeleteObject": "rm",
    "DeleteMultipleObjects": "rm -r, sync --delete",
    "InitiateMultipartUpload": "cp, sync",
    "UploadPart": "cp, sync",
    "CompleteMultipartUpload": "cp, sync",
    "AbortMultipartUpload": "uploads cancel, uploads clean",
    "ListMultipartUploads": "uploads ls, uploads clean, du",
    "ListParts": "uploads show, uploads resume, du",
}
OTHERS = (
    ("Signature V4, in headers and URLs", "yes", "yes", "yes"),
    ("Signature V1, in headers and URLs", "yes", "yes", "yes"),
    ("Signature V2, in headers and URLs", "-", "yes", "-"),
    ("Temporary keys (STS AssumeRole)", "uses them", "issues them; they end with the server", "uses them"),
    ("Several users and accounts, user policies", "-", "`serve --config`", "-"),
    ("Access lists of buckets and objects", "-", "enforced", "-"),
    ("Bucket policies", "-", "enforced: actions, resources, principals, common conditions", "-"),
    ("Referer rules, public access block of buckets and accounts", "-", "enforced", "-"),
    ("CORS preflights and headers", "-", "enforced", "-"),
    ("Retention policies (WORM) and legal holds", "-", "enforced, for buckets and for single objects", "-"),
    (
        "Callbacks",
        "yes",
        "posted; without `authorization` and `x-oss-pub-key-url`: only Alibaba Cloud has that key",
        "-",
    ),
    ("`x-oss-traffic-limit`", "yes", "kept to", "-"),
    ("Image and document processing", "-", "NotImplemented, by name", "-"),
    ("Live channels, replication, CNAME, metadata query", "-", "NotImplemented, by name", "-"),
    (
        "Buckets in the path of a named host",
        "`path_style`",
        "taken; refused as in OSS if so set",
        "`--strict-addressing`",
    ),
    ("The S3 dialect: AWS signatures, `aws-chunked`", "-", "refused", "-"),
    ("Limits: connections, requests, 4 hours, slow bodies", "-", "yes", "-"),
    ("Access log, health, Prometheus metrics", "-", "yes", "-"),
    ("Several processes on one port", "-", "yes", "`serve --processes`"),
    ("Check, scrub and repair of the store, also while it is served", "-", "yes", "fsck"),
    ("Backup of the store while it is served", "-", "yes", "backup"),
)


def text() -> str:
    """The document."""
    # Some calls are several operations, one for each form of what they are about.
    calls = sorted({one.name: one for one in OPERATIONS}.values(), key=lambda one: one.name)
    lines = [
        "# What of OSS is there",
        "",
        "Written by `python docs/make_features.py`. A dash is what is not there.",
        "",
        "## Calls",
        "",
        "| call | client | server | command line |",
        "|---|---|---|---|",
        *(f"| {one.name} | {_client(one.name)} | {_server(one)} | {_command(one.name)} |" for one in calls),
        "",
        "## Beyond single calls",
        "",
        "| feature | client | server | command line |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in OTHERS),
        "",
    ]
    return "\n".join(lines)


def method_name(call: str) -> str:
    """The name that the client gives a call: ``put_object_acl`` for ``PutObjectACL``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", call).lower()


def _client(call: str) -> str:
    name = method_name(call)
    return f"`{name}`" if hasattr(penstock.Client, name) else "-"


def _server(operation: object) -> str:
    request, name = operation.request, operation.name  # type: ignore[attr-defined]
    if request not in HANDLERS and request not in BODY_HANDLERS:
        return "-"
    return f"partly: {PARTLY[name]}" if name in PARTLY else "yes"


def _command(call: str) -> str:
    return f"`{COMMANDS[call]}`" if call in COMMANDS else "-"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
