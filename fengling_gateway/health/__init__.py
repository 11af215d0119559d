"""
Probing instances, for a whole cluster: by one console at a time, which writes what it finds out.

`verdicts`, `schedule`, `targets` and `outcomes` decide; `probing`, `election`, `writing` and
`names` talk; `service` puts them together. Gateways know nothing of all this: they serve
the rows of ``instance_health`` like any other change.
"""
