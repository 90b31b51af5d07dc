"""The world's disks: durable writes, the append-only journal, sources to read, locks. Knows nothing of OSS."""
