"""The ``penstock`` command: words, not logic; one file per command."""
