"""Transfers that run in this process, and what other processes may do with them."""
