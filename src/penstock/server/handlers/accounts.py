"""What an account decides for all of its buckets."""

from __future__ import annotations

from penstock.protocol.operation import Result
from penstock.protocol.operations.access import (
    DeletePublicAccessBlock,
    GetPublicAccessBlock,
    GetPublicAccessBlockResult,
    PublicAccessBlock,
    PutPublicAccessBlock,
)
from penstock.server.call import Call, Handler
from penstock.server.guard.rules import PUBLIC_ACCESS_BLOCK, write_document
from penstock.server.handlers import validation


def put_public_access_block(call: Call[PutPublicAccessBlock]) -> Result:
    checked = validation.public_access_block(call, call.asked.body)
    call.store.put_account_config(call.caller.account, PUBLIC_ACCESS_BLOCK, write_document(checked))
    return Result()


def get_public_access_block(call: Call[GetPublicAccessBlock]) -> GetPublicAccessBlockResult:
    blocked = call.service.rules.blocks_public(call.caller.account)
    return GetPublicAccessBlockResult(body=PublicAccessBlock(block=blocked))


def delete_public_access_block(call: Call[DeletePublicAccessBlock]) -> Result:
    call.store.delete_account_config(call.caller.account, PUBLIC_ACCESS_BLOCK)
    return Result()


HANDLERS: dict[type, Handler] = {
    PutPublicAccessBlock: put_public_access_block,
    GetPublicAccessBlock: get_public_access_block,
    DeletePublicAccessBlock: delete_public_access_block,
}
