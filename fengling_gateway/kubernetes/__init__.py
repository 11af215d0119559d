"""
Kubernetes: what runs in a cluster becomes services, routes and instances, once somebody has approved it.

One console of all watches the cluster's API server, and writes what follows from it. Gateways know
nothing of this: what is written are rows like any others.
"""
