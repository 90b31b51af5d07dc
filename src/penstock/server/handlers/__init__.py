"""
What each call does: one function per operation, found by its request type.

`HANDLERS` are for calls without a body or with a document, `BODY_HANDLERS` for those that carry bytes.
"""

from penstock.server.call import BodyHandler, Handler
from penstock.server.handlers import (
    accounts,
    buckets,
    configurations,
    forms,
    listing,
    multipart,
    object_worm,
    objects,
    offers,
    preflight,
    reading,
    restoring,
    selecting,
    settings,
    versioning,
    worm,
)

HANDLERS: dict[type, Handler] = {
    **objects.HANDLERS,
    **reading.HANDLERS,
    **multipart.HANDLERS,
    **listing.HANDLERS,
    **buckets.HANDLERS,
    **accounts.HANDLERS,
    **settings.HANDLERS,
    **versioning.HANDLERS,
    **configurations.HANDLERS,
    **worm.HANDLERS,
    **object_worm.HANDLERS,
    **restoring.HANDLERS,
    **preflight.HANDLERS,
    **offers.HANDLERS,
    **selecting.HANDLERS,
}
BODY_HANDLERS: dict[type, BodyHandler] = {
    **objects.BODY_HANDLERS,
    **multipart.BODY_HANDLERS,
    **forms.BODY_HANDLERS,
}

__all__ = ["BODY_HANDLERS", "HANDLERS"]
