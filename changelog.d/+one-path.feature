A match costs the same however many routes share one host and path, if they are told apart by methods, or by headers, query parameters or cookies that must equal something.
