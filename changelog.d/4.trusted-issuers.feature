Status warns of issuers that `[management] issuers` names and whose tokens are no good there, with the reason.
