"""Where a local OSS keeps its buckets: metadata in SQLite, bytes in opaque files."""
