"""A local OSS per test session, a bucket per test, faults on request."""
