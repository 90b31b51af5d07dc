"""The static website of a bucket: its pages, and where requests for what is missing go."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, XmlBody
from penstock.protocol.operation import BucketRequest, Result
from penstock.protocol.operations.configured import configuration_calls


class IncludeHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A header that a request must have."""

    key: Annotated[str | None, Element("Key")] = None
    equals: Annotated[str | None, Element("Equals")] = None
    starts_with: Annotated[str | None, Element("StartsWith")] = None
    ends_with: Annotated[str | None, Element("EndsWith")] = None


class RoutingCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests a routing rule is about."""

    key_prefix: Annotated[str | None, Element("KeyPrefixEquals")] = None
    key_suffix: Annotated[str | None, Element("KeySuffixEquals")] = None
    error_code: Annotated[int | None, Element("HttpErrorCodeReturnedEquals")] = None
    headers: Annotated[tuple[IncludeHeader, ...], Element("IncludeHeader")] = ()


class SetHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A header that is set on the way to the origin."""

    key: Annotated[str | None, Element("Key")] = None
    value: Annotated[str | None, Element("Value")] = None


class MirrorHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """Headers on the way to the origin."""

    pass_all: Annotated[bool | None, Element("PassAll")] = None
    passed: Annotated[tuple[str, ...], Element("Pass")] = ()
    removed: Annotated[tuple[str, ...], Element("Remove")] = ()
    set: Annotated[tuple[SetHeader, ...], Element("Set")] = ()


class MirrorTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that fetched objects get."""

    key: Annotated[str | None, Element("Key")] = None
    value: Annotated[str | None, Element("Value")] = None


class MirrorAuth(msgspec.Struct, frozen=True, kw_only=True):
    """How requests to the origin are signed."""

    auth_type: Annotated[str | None, Element("AuthType")] = None
    region: Annotated[str | None, Element("Region")] = None
    access_key_id: Annotated[str | None, Element("AccessKeyId")] = None
    access_key_secret: Annotated[str | None, Element("AccessKeySecret")] = None


class MirrorAlternate(msgspec.Struct, frozen=True, kw_only=True):
    """Another origin."""

    number: Annotated[int | None, Element("MirrorMultiAlternateNumber")] = None
    url: Annotated[str | None, Element("MirrorMultiAlternateURL")] = None
    vpc_id: Annotated[str | None, Element("MirrorMultiAlternateVpcId")] = None
    region: Annotated[str | None, Element("MirrorMultiAlternateDstRegion")] = None


class RoutingRedirect(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request is sent: ``Mirror``, ``External``, ``AliCDN`` or ``Internal``."""

    redirect_type: Annotated[str | None, Element("RedirectType")] = None
    pass_query: Annotated[bool | None, Element("PassQueryString")] = None
    protocol: Annotated[str | None, Element("Protocol")] = None
    host: Annotated[str | None, Element("HostName")] = None
    status: Annotated[int | None, Element("HttpRedirectCode")] = None
    key_with: Annotated[str | None, Element("ReplaceKeyWith")] = None
    key_prefix_with: Annotated[str | None, Element("ReplaceKeyPrefixWith")] = None
    replace_prefix: Annotated[bool | None, Element("EnableReplacePrefix")] = None
    mirror_url: Annotated[str | None, Element("MirrorURL")] = None
    mirror_pass_query: Annotated[bool | None, Element("MirrorPassQueryString")] = None
    mirror_follow: Annotated[bool | None, Element("MirrorFollowRedirect")] = None
    mirror_check_md5: Annotated[bool | None, Element("MirrorCheckMd5")] = None
    mirror_sni: Annotated[bool | None, Element("MirrorSNI")] = None
    mirror_headers: Annotated[MirrorHeaders | None, Element("MirrorHeaders")] = None
    mirror_pass_slashes: Annotated[bool | None, Element("MirrorPassOriginalSlashes")] = None
    mirror_allow_snapshot: Annotated[bool | None, Element("MirrorAllowVideoSnapshot")] = None
    mirror_async_status: Annotated[int | None, Element("MirrorAsyncStatus")] = None
    mirror_tags: Annotated[tuple[MirrorTag, ...], Element("MirrorTaggings/Taggings")] = ()
    mirror_auth: Annotated[MirrorAuth | None, Element("MirrorAuth")] = None
    mirror_region: Annotated[str | None, Element("MirrorDstRegion")] = None
    mirror_vpc_id: Annotated[str | None, Element("MirrorDstVpcId")] = None
    mirror_slave_vpc_id: Annotated[str | None, Element("MirrorDstSlaveVpcId")] = None
    mirror_tunnel_id: Annotated[str | None, Element("MirrorTunnelId")] = None
    mirror_is_express_tunnel: Annotated[bool | None, Element("MirrorIsExpressTunnel")] = None
    mirror_role: Annotated[str | None, Element("MirrorRole")] = None
    mirror_using_role: Annotated[bool | None, Element("MirrorUsingRole")] = None
    mirror_return_headers: Annotated[tuple[SetHeader, ...], Element("MirrorReturnHeaders/ReturnHeader")] = ()
    mirror_proxy_pass: Annotated[bool | None, Element("MirrorProxyPass")] = None
    mirror_allow_head: Annotated[bool | None, Element("MirrorAllowHeadObject")] = None
    mirror_allow_image_info: Annotated[bool | None, Element("MirrorAllowGetImageInfo")] = None
    mirror_save_metadata: Annotated[bool | None, Element("MirrorSaveOssMeta")] = None
    mirror_last_modified: Annotated[bool | None, Element("MirrorUserLastModified")] = None
    mirror_transparent_codes: Annotated[str | None, Element("TransparentMirrorResponseCodes")] = None
    mirror_url_probe: Annotated[str | None, Element("MirrorURLProbe")] = None
    mirror_url_slave: Annotated[str | None, Element("MirrorURLSlave")] = None
    mirror_switch_on_all_errors: Annotated[bool | None, Element("MirrorSwitchAllErrors")] = None
    mirror_alternates: Annotated[
        tuple[MirrorAlternate, ...], Element("MirrorMultiAlternates/MirrorMultiAlternate")
    ] = ()


class RoutingRule(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with some of the requests; the lowest number goes first."""

    number: Annotated[int | None, Element("RuleNumber")] = None
    condition: Annotated[RoutingCondition | None, Element("Condition")] = None
    redirect: Annotated[RoutingRedirect | None, Element("Redirect")] = None
    lua_script: Annotated[str | None, Element("LuaConfig/Script")] = None


class IndexDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown for a folder; ``kind`` says what becomes of a folder's name without its ``/``."""

    suffix: Annotated[str, Element("Suffix")]
    sub_folders: Annotated[bool | None, Element("SupportSubDir")] = None
    kind: Annotated[int | None, Element("Type")] = None


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown for what is not there."""

    key: Annotated[str, Element("Key")]
    status: Annotated[int | None, Element("HttpStatus")] = None


class RoutingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules in the order of their numbers."""

    rules: Annotated[tuple[RoutingRule, ...], Element("RoutingRule")] = ()


class Website(msgspec.Struct, frozen=True, kw_only=True):
    """How a bucket is shown to browsers."""

    index: Annotated[IndexDocument | None, Element("IndexDocument")] = None
    error: Annotated[ErrorDocument | None, Element("ErrorDocument")] = None
    routing: Annotated[RoutingRules | None, Element("RoutingRules")] = None


class PutBucketWebsite(BucketRequest, frozen=True, kw_only=True):
    """Show a bucket as a website."""

    body: Annotated[Website, XmlBody("WebsiteConfiguration")]


class GetBucketWebsite(BucketRequest, frozen=True, kw_only=True):
    """Ask how a bucket is shown."""


class GetBucketWebsiteResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Website, XmlBody("WebsiteConfiguration")]


class DeleteBucketWebsite(BucketRequest, frozen=True, kw_only=True):
    """Show a bucket as a website no more."""


OPERATIONS = (
    *configuration_calls(
        "BucketWebsite",
        "website",
        put=PutBucketWebsite,
        get=GetBucketWebsite,
        answer=GetBucketWebsiteResult,
        delete=DeleteBucketWebsite,
    ),
)
