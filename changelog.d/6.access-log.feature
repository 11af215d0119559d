An access log (`[access_log]`): JSON, `common`, `combined` or a template, with all attempts, phases and causes of failures; filtered, sampled, redacted, to a file or stdout, never stalling a request.
