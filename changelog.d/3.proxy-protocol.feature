Listeners behind balancers take the client's address from PROXY headers, versions 1 and 2: `[[listeners]] proxy_protocol = ["10.0.0.0/8"]`.
