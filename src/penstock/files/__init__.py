"""The world's disks: durable writes, the journal's file, sources to read, locks. Knows nothing of OSS."""
