PostgreSQL refuses line breaks and other control characters in what becomes a header or a path: redirects, the headers of responses, and policies.
