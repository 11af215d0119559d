"""
Who may use an API of ours, and who tried: in front of the management API, and of the console's.

Needs a request and a list of verifiers, and knows nothing of gateways, of routes
or of where tokens are kept.
"""
