Issuers of tokens, clients and API keys are configuration like routes: tables, sections of a file, revisions, rejections one by one.
Of two issuers with the same `iss` the second is refused, by name.
