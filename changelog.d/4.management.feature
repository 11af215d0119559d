Tokens for the management API have names, roles (viewer, editor, admin) and, if wanted, tenants that they are limited to; `fenglingctl token list` and `token revoke` look after them, and a revocation is served within milliseconds.
Tokens of issuers that `[management] issuers` names are good there, too.
Every change and every refused attempt is on record, in the log and at `/api/gateway/audit`.
