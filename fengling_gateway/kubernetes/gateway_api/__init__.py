"""
The Gateway API: Gateways and HTTPRoutes of a cluster become routes and services, and get their status.

Pure: `translation.translate` takes what is known of a cluster and returns everything that follows
from it. What of gateway.networking.k8s.io/v1 is supported, and how, is in ``docs/gateway-api.md``.
"""
