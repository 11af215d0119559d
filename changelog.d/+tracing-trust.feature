`[tracing] trust` says whose `traceparent` is believed: everybody's (the default), those that trusted proxies bring, or nobody's.
