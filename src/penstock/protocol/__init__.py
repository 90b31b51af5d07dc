"""What OSS says on the wire, for both ends: pure functions and frozen values."""
