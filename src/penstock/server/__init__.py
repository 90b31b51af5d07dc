"""An OSS for others: the app, who may ask, the handlers, the store, the listener."""
