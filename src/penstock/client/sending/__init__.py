"""One request: signed, sent, retried, limited, stopped."""
