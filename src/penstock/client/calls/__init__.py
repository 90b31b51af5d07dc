"""The calls of OSS, each one request."""
