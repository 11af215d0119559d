"""Makes ``twistd fengling-gateway`` and ``twistd fengling-console`` known; imports nothing heavy."""

from twisted.application.service import ServiceMaker

gateway = ServiceMaker(
    "Fengling Gateway",
    "fengling_gateway.tap.plugin",
    "An HTTP API gateway whose configuration lives in PostgreSQL.",
    "fengling-gateway",
)

console = ServiceMaker(
    "Fengling Console",
    "fengling_gateway.tap.console_plugin",
    "Where the routes of Fengling gateways are written and their health is judged.",
    "fengling-console",
)
