The database warns where the row of a token for the management API is deleted that is still good: only revoking it has it refused.
