"""What the service offers: one region, and no live channels."""

from __future__ import annotations

from penstock.protocol.error_table import fault
from penstock.protocol.operations.offers import (
    DescribeRegions,
    DescribeRegionsResult,
    ListLiveChannel,
    ListLiveChannelResult,
    RegionInfo,
)
from penstock.server.call import Call, Handler


def describe_regions(call: Call[DescribeRegions]) -> DescribeRegionsResult:
    here, wanted = f"oss-{call.service.region}", call.asked.regions
    if wanted is not None and wanted not in (here, call.service.region):
        raise fault("NoSuchRegion", Region=wanted)
    host = call.base.partition("://")[2]
    found = RegionInfo(region=here, internet=host, internal=host, accelerated=host)
    return DescribeRegionsResult(regions=(found,))


def list_live_channels(call: Call[ListLiveChannel]) -> ListLiveChannelResult:
    asked = call.asked
    return ListLiveChannelResult(
        prefix=asked.prefix or "", marker=asked.marker or "", max_keys=asked.max_keys or 100, next_marker=""
    )


HANDLERS: dict[type, Handler] = {DescribeRegions: describe_regions, ListLiveChannel: list_live_channels}
