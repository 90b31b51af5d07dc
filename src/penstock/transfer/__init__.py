"""Decides the next step of a transfer and never takes it: events in, commands out, no I/O."""
