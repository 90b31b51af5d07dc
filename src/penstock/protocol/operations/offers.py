"""Calls that ask what a service offers: its regions, live channels."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Query
from penstock.protocol.operation import BucketRequest, Operation, Request, Result, Scope


class DescribeRegions(Request, frozen=True, kw_only=True):
    """Ask for all regions, or for the one with this id (``oss-cn-hangzhou``)."""

    regions: Annotated[str | None, Query("regions")] = None


class RegionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A region and how it is reached."""

    region: Annotated[str, Element("Region")]
    internet: Annotated[str | None, Element("InternetEndpoint")] = None
    internal: Annotated[str | None, Element("InternalEndpoint")] = None
    accelerated: Annotated[str | None, Element("AccelerateEndpoint")] = None


class DescribeRegionsResult(Result, frozen=True, kw_only=True):
    """The regions."""

    regions: Annotated[tuple[RegionInfo, ...], Element("RegionInfo")] = ()


class ListLiveChannel(BucketRequest, frozen=True, kw_only=True):
    """List the live channels of a bucket."""

    prefix: Annotated[str | None, Query("prefix")] = None
    marker: Annotated[str | None, Query("marker")] = None
    max_keys: Annotated[int | None, Query("max-keys")] = None


class ListLiveChannelResult(Result, frozen=True, kw_only=True):
    """One page; a server without live channels has none."""

    prefix: Annotated[str | None, Element("Prefix")] = None
    marker: Annotated[str | None, Element("Marker")] = None
    max_keys: Annotated[int | None, Element("MaxKeys")] = None
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    next_marker: Annotated[str | None, Element("NextMarker")] = None


OPERATIONS = (
    Operation(
        "DescribeRegions",
        "GET",
        Scope.SERVICE,
        DescribeRegions,
        DescribeRegionsResult,
        marks=(("regions", None),),
        answer="xml",
        answer_root="RegionInfoList",
    ),
    Operation(
        "ListLiveChannel",
        "GET",
        Scope.BUCKET,
        ListLiveChannel,
        ListLiveChannelResult,
        marks=(("live", None),),
        answer="xml",
        answer_root="ListLiveChannelResult",
    ),
)
