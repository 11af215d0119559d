`fenglingctl get` lists 10,000 routes in a second, names the reasons for which an entity is rejected, `explain --route` says them too, and `reload` tells what is held.
