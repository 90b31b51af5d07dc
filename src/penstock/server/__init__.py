"""
An OSS that anyone can run: for tests, for work without the cloud, and as the other end of the client.

A request's way: ``listen`` accepts, ``stream`` moves bytes, ``head`` and ``chunked`` find where a request
begins and ends, ``connection`` takes one after the other. ``app`` makes of a `Request` a `Response`, with
no socket: ``routing`` says what is asked, ``gate`` who asks, ``handlers`` do it on a ``store``, ``refusals``
name what went wrong. ``serve`` puts it all together; ``interceptor`` is where faults are let in.
"""
