"""
The content type that a name suggests; the same on every machine and every Python.

A table of our own, because `mimetypes` reads the system's files even where asked for its built-in table,
and because that table differs between versions of Python. Types are those registered with IANA, or those
that browsers agree on.
"""

from __future__ import annotations

from typing import Final

DEFAULT: Final = "application/octet-stream"
"""What OSS gives objects that come without a type."""

_ENDINGS: Final = {
    "application/epub+zip": "epub",
    "application/gzip": "gz tgz",
    "application/java-archive": "jar war ear",
    "application/json": "json map",
    "application/jsonl": "jsonl ndjson",
    "application/manifest+json": "webmanifest",
    "application/msword": "doc dot",
    "application/pdf": "pdf",
    "application/postscript": "ps ai eps",
    "application/rtf": "rtf",
    "application/sql": "sql",
    "application/toml": "toml",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.apache.arrow.file": "arrow feather",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apple.mpegurl": "m3u8",
    "application/vnd.ms-excel": "xls xlt",
    "application/vnd.ms-fontobject": "eot",
    "application/vnd.ms-powerpoint": "ppt pps pot",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.rar": "rar",
    "application/vnd.sqlite3": "sqlite sqlite3",
    "application/wasm": "wasm",
    "application/x-7z-compressed": "7z",
    "application/x-bzip2": "bz2 tbz2",
    "application/x-hdf5": "h5 hdf5",
    "application/x-ipynb+json": "ipynb",
    "application/x-msdownload": "exe dll",
    "application/x-sh": "sh",
    "application/x-tar": "tar",
    "application/x-xz": "xz txz",
    "application/xhtml+xml": "xhtml",
    "application/xml": "xml xsl xslt xsd",
    "application/yaml": "yaml yml",
    "application/zip": "zip whl",
    "application/zstd": "zst",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/midi": "mid midi",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3 mp2",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "font/otf": "otf",
    "font/ttf": "ttf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "image/apng": "apng",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/jpeg": "jpg jpeg jpe jfif",
    "image/jxl": "jxl",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/tiff": "tif tiff",
    "image/vnd.adobe.photoshop": "psd",
    "image/vnd.microsoft.icon": "ico",
    "image/webp": "webp",
    "message/rfc822": "eml mht mhtml",
    "text/calendar": "ics",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "html htm",
    "text/javascript": "js mjs cjs",
    "text/markdown": "md markdown",
    "text/plain": "txt text log conf ini cfg properties c h cc cpp hpp java go rs bat ps1 srt",
    "text/tab-separated-values": "tsv",
    "text/vtt": "vtt",
    "text/x-python": "py pyi",
    "video/mp2t": "ts m2ts mts",
    "video/mp4": "mp4 m4v",
    "video/mpeg": "mpeg mpg mpe",
    "video/ogg": "ogv",
    "video/quicktime": "mov qt",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
    "video/x-msvideo": "avi",
}
_BY_ENDING: Final = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}


def content_type_of(name: str) -> str:
    """
    Give the content type for a file name or key by its last ending, or ``application/octet-stream``.

    A compressed file is what it is as stored: ``logs.tar.gz`` is ``application/gzip``, not a tar. A name
    that is all ending (``.json``) has none.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    stem, _, ending = base.rpartition(".")
    return _BY_ENDING.get(ending.lower(), DEFAULT) if stem else DEFAULT
