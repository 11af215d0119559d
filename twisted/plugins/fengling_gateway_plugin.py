"""Makes ``twistd fengling-gateway`` known; imports nothing heavy."""

from twisted.application.service import ServiceMaker

gateway = ServiceMaker(
    "Fengling Gateway",
    "fengling_gateway.tap.plugin",
    "An HTTP API gateway whose configuration lives in PostgreSQL.",
    "fengling-gateway",
)
