"""Where OSS is, and who asks."""
