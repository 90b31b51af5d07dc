"""
The calls of OSS, each described once for both ends.

`OPERATIONS` is the table; the structs of requests and results are in the modules beside it.
"""

from penstock.protocol.operation import OperationTable
from penstock.protocol.operations import (
    access,
    archive,
    buckets,
    forms,
    listing,
    multipart,
    object_worm,
    objects,
    offers,
    reports,
    retention,
    select,
    settings,
    versioning,
    website,
)

OPERATIONS = OperationTable(
    (
        *objects.OPERATIONS,
        *multipart.OPERATIONS,
        *listing.OPERATIONS,
        *buckets.OPERATIONS,
        *settings.OPERATIONS,
        *versioning.OPERATIONS,
        *access.OPERATIONS,
        *archive.OPERATIONS,
        *retention.OPERATIONS,
        *object_worm.OPERATIONS,
        *website.OPERATIONS,
        *reports.OPERATIONS,
        *offers.OPERATIONS,
        *forms.OPERATIONS,
        *select.OPERATIONS,
    )
)

__all__ = ["OPERATIONS"]
