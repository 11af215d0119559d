Status warns of API keys that have expired and are not revoked.
