`fenglingctl get routes` and `explain` say of each route whether it is public, and `validate`, `diff` and `apply` name those that are or become so.
They warn of routes that nobody can ask, since their issuers are missing or disabled, of API keys that have expired, and of keys and clients that an older file lets in again.
