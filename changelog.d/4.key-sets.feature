Keys of issuers are fetched in the background, by `jwks_url` or OpenID Connect Discovery, kept on disk, and stay in use while the issuer is down; `docs/tokens.md` says what is checked and what operators see.
A token that names a key just published waits for it; a thousand random key ids lead to one fetch in 30 s.
Secrets shared with issuers are renewed by a HUP, without a restart.
