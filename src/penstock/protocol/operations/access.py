"""Configurations of a bucket that decide who may use it, and from where."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Header, WholeBody, XmlBody
from penstock.protocol.operation import BucketRequest, Operation, Request, Result, Scope
from penstock.protocol.operations.configured import configuration_calls


class CorsRule(msgspec.Struct, frozen=True, kw_only=True):
    """What pages of these origins may do; ``*`` in an origin or header stands for anything."""

    allowed_origins: Annotated[tuple[str, ...], Element("AllowedOrigin")] = ()
    allowed_methods: Annotated[tuple[str, ...], Element("AllowedMethod")] = ()
    allowed_headers: Annotated[tuple[str, ...], Element("AllowedHeader")] = ()
    expose_headers: Annotated[tuple[str, ...], Element("ExposeHeader")] = ()
    max_age_s: Annotated[int | None, Element("MaxAgeSeconds")] = None


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """What web pages of other origins may do; the first rule that fits counts."""

    rules: Annotated[tuple[CorsRule, ...], Element("CORSRule")] = ()
    response_vary: Annotated[bool | None, Element("ResponseVary")] = None


class PutBucketCors(BucketRequest, frozen=True, kw_only=True):
    """Replace what web pages of other origins may do."""

    body: Annotated[Cors, XmlBody("CORSConfiguration")]


class GetBucketCors(BucketRequest, frozen=True, kw_only=True):
    """Ask what web pages of other origins may do."""


class GetBucketCorsResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Cors, XmlBody("CORSConfiguration")]


class DeleteBucketCors(BucketRequest, frozen=True, kw_only=True):
    """Allow web pages of other origins nothing."""


class OptionBucket(BucketRequest, frozen=True, kw_only=True):
    """Ask, as browsers do, whether a page of this origin may send such a request about the bucket."""

    origin: Annotated[str | None, Header("origin")] = None
    asked_method: Annotated[str | None, Header("access-control-request-method")] = None
    asked_headers: Annotated[str | None, Header("access-control-request-headers")] = None


class OptionObject(OptionBucket, frozen=True, kw_only=True):
    """As `OptionBucket`, about an object."""

    key: str


class PreflightResult(Result, frozen=True, kw_only=True):
    """What a page of the origin may send."""

    allow_origin: Annotated[str | None, Header("access-control-allow-origin")] = None
    allow_methods: Annotated[str | None, Header("access-control-allow-methods")] = None
    allow_headers: Annotated[str | None, Header("access-control-allow-headers")] = None
    expose_headers: Annotated[str | None, Header("access-control-expose-headers")] = None
    max_age_s: Annotated[int | None, Header("access-control-max-age")] = None


class PutBucketPolicy(BucketRequest, frozen=True, kw_only=True):
    """Replace the policy: who may do what, as JSON."""

    body: Annotated[bytes, WholeBody()]


class GetBucketPolicy(BucketRequest, frozen=True, kw_only=True):
    """Ask for the policy."""


class BucketPolicy(Result, frozen=True, kw_only=True):
    """The policy as it was put."""

    body: Annotated[bytes, WholeBody()]


class DeleteBucketPolicy(BucketRequest, frozen=True, kw_only=True):
    """Remove the policy."""


class GetBucketPolicyStatus(BucketRequest, frozen=True, kw_only=True):
    """Ask whether the policy lets everybody in."""


class PolicyStatus(Result, frozen=True, kw_only=True):
    """Whether the policy lets everybody in."""

    is_public: Annotated[bool, Element("IsPublic")]


class Referers(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of pages; ``*`` stands for any characters, ``?`` for one."""

    referers: Annotated[tuple[str, ...], Element("Referer")] = ()


class Referer(msgspec.Struct, frozen=True, kw_only=True):
    """From which pages unsigned and URL-signed requests may come."""

    allow_empty: Annotated[bool | None, Element("AllowEmptyReferer")] = None
    allow_truncate_query: Annotated[bool | None, Element("AllowTruncateQueryString")] = None
    truncate_path: Annotated[bool | None, Element("TruncatePath")] = None
    allowed: Annotated[Referers | None, Element("RefererList")] = None
    refused: Annotated[Referers | None, Element("RefererBlacklist")] = None


class PutBucketReferer(BucketRequest, frozen=True, kw_only=True):
    """Decide from which pages a bucket may be used; an empty list lifts the rule."""

    body: Annotated[Referer, XmlBody("RefererConfiguration")]


class GetBucketReferer(BucketRequest, frozen=True, kw_only=True):
    """Ask from which pages a bucket may be used."""


class GetBucketRefererResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Referer, XmlBody("RefererConfiguration")]


class PublicAccessBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Whether public access is off, whatever access lists and policies say."""

    block: Annotated[bool | None, Element("BlockPublicAccess")] = None


class PutBucketPublicAccessBlock(BucketRequest, frozen=True, kw_only=True):
    """Switch public access off or on."""

    body: Annotated[PublicAccessBlock, XmlBody("PublicAccessBlockConfiguration")]


class GetBucketPublicAccessBlock(BucketRequest, frozen=True, kw_only=True):
    """Ask whether public access is off."""


class GetBucketPublicAccessBlockResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[PublicAccessBlock, XmlBody("PublicAccessBlockConfiguration")]


class DeleteBucketPublicAccessBlock(BucketRequest, frozen=True, kw_only=True):
    """Allow public access again."""


class PutPublicAccessBlock(Request, frozen=True, kw_only=True):
    """Switch public access to all buckets of the caller's account off or on."""

    body: Annotated[PublicAccessBlock, XmlBody("PublicAccessBlockConfiguration")]


class GetPublicAccessBlock(Request, frozen=True, kw_only=True):
    """Ask whether public access is off for the caller's account."""


class GetPublicAccessBlockResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[PublicAccessBlock, XmlBody("PublicAccessBlockConfiguration")]


class DeletePublicAccessBlock(Request, frozen=True, kw_only=True):
    """Allow public access to the account's buckets again."""


class RequestPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays for requests: ``BucketOwner`` or ``Requester``."""

    payer: Annotated[str | None, Element("Payer")] = None


class PutBucketRequestPayment(BucketRequest, frozen=True, kw_only=True):
    """Decide who pays for requests."""

    body: Annotated[RequestPayment, XmlBody("RequestPaymentConfiguration")]


class GetBucketRequestPayment(BucketRequest, frozen=True, kw_only=True):
    """Ask who pays for requests."""


class GetBucketRequestPaymentResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[RequestPayment, XmlBody("RequestPaymentConfiguration")]


class HttpsConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of TLS a bucket is spoken to with."""

    enabled: Annotated[bool | None, Element("TLS/Enable")] = None
    versions: Annotated[tuple[str, ...], Element("TLS/TLSVersion")] = ()


class PutBucketHttpsConfig(BucketRequest, frozen=True, kw_only=True):
    """Decide which versions of TLS a bucket is spoken to with."""

    body: Annotated[HttpsConfiguration, XmlBody("HttpsConfiguration")]


class GetBucketHttpsConfig(BucketRequest, frozen=True, kw_only=True):
    """Ask which versions of TLS a bucket is spoken to with."""


class GetBucketHttpsConfigResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[HttpsConfiguration, XmlBody("HttpsConfiguration")]


class OverwriteRule(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that nobody, or none of ``principals``, may write to again; ``action`` is ``forbid``."""

    id: Annotated[str | None, Element("ID")] = None
    action: Annotated[str | None, Element("Action")] = None
    prefix: Annotated[str | None, Element("Prefix")] = None
    suffix: Annotated[str | None, Element("Suffix")] = None
    principals: Annotated[tuple[str, ...], Element("Principals/Principal")] = ()


class Overwriting(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects must not be overwritten; at most 100 rules."""

    rules: Annotated[tuple[OverwriteRule, ...], Element("Rule")] = ()


class PutBucketOverwriteConfig(BucketRequest, frozen=True, kw_only=True):
    """Decide which objects must not be overwritten."""

    body: Annotated[Overwriting, XmlBody("OverwriteConfiguration")]


class GetBucketOverwriteConfig(BucketRequest, frozen=True, kw_only=True):
    """Ask which objects must not be overwritten."""


class GetBucketOverwriteConfigResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Overwriting, XmlBody("OverwriteConfiguration")]


class DeleteBucketOverwriteConfig(BucketRequest, frozen=True, kw_only=True):
    """Let all objects be overwritten."""


_POLICY = (("policy", None),)

OPERATIONS = (
    *configuration_calls(
        "BucketOverwriteConfig",
        "overwriteConfig",
        put=PutBucketOverwriteConfig,
        get=GetBucketOverwriteConfig,
        answer=GetBucketOverwriteConfigResult,
        delete=DeleteBucketOverwriteConfig,
    ),
    *configuration_calls(
        "BucketCors",
        "cors",
        put=PutBucketCors,
        get=GetBucketCors,
        answer=GetBucketCorsResult,
        delete=DeleteBucketCors,
    ),
    Operation("OptionObject", "OPTIONS", Scope.OBJECT, OptionObject, PreflightResult),
    Operation("OptionBucket", "OPTIONS", Scope.BUCKET, OptionBucket, PreflightResult),
    Operation(
        "PutBucketPolicy",
        "PUT",
        Scope.BUCKET,
        PutBucketPolicy,
        Result,
        marks=_POLICY,
        body="text",
        commits=True,
    ),
    Operation(
        "GetBucketPolicy", "GET", Scope.BUCKET, GetBucketPolicy, BucketPolicy, marks=_POLICY, answer="text"
    ),
    Operation(
        "DeleteBucketPolicy",
        "DELETE",
        Scope.BUCKET,
        DeleteBucketPolicy,
        Result,
        marks=_POLICY,
        status=204,
        commits=True,
    ),
    Operation(
        "GetBucketPolicyStatus",
        "GET",
        Scope.BUCKET,
        GetBucketPolicyStatus,
        PolicyStatus,
        marks=(("policyStatus", None),),
        answer="xml",
        answer_root="PolicyStatus",
    ),
    *configuration_calls(
        "BucketReferer",
        "referer",
        put=PutBucketReferer,
        get=GetBucketReferer,
        answer=GetBucketRefererResult,
    ),
    *configuration_calls(
        "BucketPublicAccessBlock",
        "publicAccessBlock",
        put=PutBucketPublicAccessBlock,
        get=GetBucketPublicAccessBlock,
        answer=GetBucketPublicAccessBlockResult,
        delete=DeleteBucketPublicAccessBlock,
    ),
    *configuration_calls(
        "PublicAccessBlock",
        "publicAccessBlock",
        put=PutPublicAccessBlock,
        get=GetPublicAccessBlock,
        answer=GetPublicAccessBlockResult,
        delete=DeletePublicAccessBlock,
        scope=Scope.SERVICE,
    ),
    *configuration_calls(
        "BucketRequestPayment",
        "requestPayment",
        put=PutBucketRequestPayment,
        get=GetBucketRequestPayment,
        answer=GetBucketRequestPaymentResult,
    ),
    *configuration_calls(
        "BucketHttpsConfig",
        "httpsConfig",
        put=PutBucketHttpsConfig,
        get=GetBucketHttpsConfig,
        answer=GetBucketHttpsConfigResult,
    ),
)
