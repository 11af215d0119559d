`fenglingctl validate`, `diff` and `apply` warn of routes that can never be chosen or that only their ids tell apart, and `fenglingctl explain --route ID` says why a request does not take a route.
