"""Operations, credentials, signing, sending, retrying; and the driver that carries out what transfer/ decides."""
