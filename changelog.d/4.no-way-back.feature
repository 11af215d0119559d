A revoked API key does not come back: neither by undoing a revision, which warns and says how, nor where its entity is rejected, which lets nobody in.
