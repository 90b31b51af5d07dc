import mimetypes

import pytest

from penstock.protocol.content_type import content_type_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text/plain"),
        ("photos/2026/A.JPG", "image/jpeg"),
        ("C:\\data\\table.CSV", "text/csv"),
        ("logs.tar.gz", "application/gzip"),
        ("site/index.html", "text/html"),
        ("data.parquet", "application/vnd.apache.parquet"),
        ("movie.ts", "video/mp2t"),
        ("no-ending", "application/octet-stream"),
        ("dir.d/file", "application/octet-stream"),
        (".json", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_the_ending_tells_the_type(name, kind):
    assert content_type_of(name) == kind


def test_the_tables_of_the_machine_do_not_matter(monkeypatch):
    monkeypatch.setitem(mimetypes.types_map, ".txt", "text/x-changed")
    assert content_type_of("a.txt") == "text/plain"
