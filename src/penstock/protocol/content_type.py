"""The content type that a name suggests; the same on every machine, whatever its system files say."""

from __future__ import annotations

from mimetypes import MimeTypes
from typing import Final

DEFAULT: Final = "application/octet-stream"
"""What OSS gives objects that come without a type."""

_ADDED: Final = {
    ".7z": "application/x-7z-compressed",
    ".apk": "application/vnd.android.package-archive",
    ".avif": "image/avif",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".ipa": "application/octet-stream",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg",
    ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rar": "application/vnd.rar",
    ".ts": "video/mp2t",
    ".ttf": "font/ttf",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
_OF_COMPRESSION: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": "application/octet-stream",
    "compress": "application/octet-stream",
}


def _table() -> MimeTypes:
    # An instance of its own starts from the table in the standard library; only mimetypes.init() reads
    # the system's files, and instances do not call it with files=().
    table = MimeTypes()
    for suffix, kind in _ADDED.items():
        table.add_type(kind, suffix)
    return table


_TABLE: Final = _table()


def content_type_of(name: str) -> str:
    """
    Give the content type for a file name or key by its ending, or ``application/octet-stream``.

    A compressed file is what it is as stored: ``logs.tar.gz`` is ``application/gzip``, not a tar.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    kind, compression = _TABLE.guess_type(f"x{base}" if base.startswith(".") else base)
    if compression is not None:
        return _OF_COMPRESSION.get(compression, DEFAULT)
    return kind or DEFAULT
