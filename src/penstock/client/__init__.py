"""Operations, credentials, signing, sending, retrying, and the driver that does what transfer/ decides."""
