"""What OSS allows, as its product introduction ("Limits", "Terms") and its error pages state it."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

MIN_PART_BYTES: Final = 100 * KIB
"""Every part but the last one; looked at only when the upload is completed."""

MAX_PART_BYTES: Final = 5 * GIB
MIN_PART_NUMBER: Final = 1
MAX_PART_NUMBER: Final = 10_000
MAX_PARTS: Final = 10_000
MAX_OBJECT_BYTES: Final = MAX_PART_BYTES * MAX_PARTS
"""48.8 TiB: as many of the largest parts as there may be."""

MAX_SINGLE_PUT_BYTES: Final = 5 * GIB
"""PutObject, PostObject, and an appendable object as a whole."""

MAX_SINGLE_COPY_BYTES: Final = 5 * GIB
"""CopyObject within a region; UploadPartCopy goes beyond."""

MIN_KEY_BYTES: Final = 1
MAX_KEY_BYTES: Final = 1023
"""In UTF-8."""

MIN_BUCKET_CHARACTERS: Final = 3
MAX_BUCKET_CHARACTERS: Final = 63
MAX_BUCKETS_PER_REGION: Final = 100

MAX_METADATA_BYTES: Final = 8 * KIB
"""All user metadata of an object: names (with ``x-oss-meta-``) and values."""

MAX_OBJECT_TAGS: Final = 10
MAX_BUCKET_TAGS: Final = 20
MAX_TAG_KEY_CHARACTERS: Final = 128
MAX_TAG_VALUE_CHARACTERS: Final = 256

DEFAULT_LIST_KEYS: Final = 100
"""ListObjects, ListObjectsV2 and ListObjectVersions, where ``max-keys`` is not given; ListBuckets too."""

MAX_LIST_KEYS: Final = 1000
DEFAULT_LIST_UPLOADS: Final = 1000
MAX_LIST_UPLOADS: Final = 1000
DEFAULT_LIST_PARTS: Final = 1000
MAX_LIST_PARTS: Final = 1000
MAX_DELETE_KEYS: Final = 1000
"""DeleteMultipleObjects, in one request."""

MAX_REQUEST_XML_BYTES: Final = 2 * MIB
"""
DeleteMultipleObjects, the largest body of XML by its documented limit. Other long lists need less: 10,000
parts take some 1.3 MB when their ETags are escaped and each element has a line of its own.
"""

MAX_CONFIGURATION_BYTES: Final = 256 * KIB
"""Any other document. Nothing is documented; what OSS allows in one configuration fits many times over."""

MAX_CLOCK_SKEW_S: Final = 15 * 60
MAX_PRESIGN_V4_S: Final = 7 * 24 * 60 * 60
MAX_REQUEST_DURATION_S: Final = 4 * 60 * 60
"""A request must be fully sent by then (EC 0017-00000703)."""

MIN_TRAFFIC_LIMIT_BITS_PER_S: Final = 819_200
MAX_TRAFFIC_LIMIT_BITS_PER_S: Final = 838_860_800
"""The range of ``x-oss-traffic-limit``: 100 KiB/s to 100 MiB/s, in bits."""

MAX_CALLBACK_BYTES: Final = 5 * KIB
MAX_CALLBACK_URLS: Final = 5
CALLBACK_TIMEOUT_S: Final = 5
"""For all of a callback, whichever of its URLs answers."""
