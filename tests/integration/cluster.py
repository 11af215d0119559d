"""A cluster's API server beside a console that follows it, and gateways that serve what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.console import ConsoleProcess, Fleet, fleet_with_database
from tests.support import kubernetes_objects as objects
from tests.support.kubernetes_api import KubernetesApi

SHOP = {"path": "/hello"}


class Followed(Fleet):
    """A fleet with a cluster."""

    api: KubernetesApi

    def following(self, **kubernetes: Any) -> ConsoleProcess:
        """Start a console that may follow the cluster."""
        return self.console(settings=self.settings(**kubernetes))

    def settings(self, **kubernetes: Any) -> dict[str, dict[str, Any]]:
        token, authority = self.api.write_credentials(self.directory)
        return {
            "kubernetes": {
                "enabled": True,
                "api_url": self.api.url,
                "token_file": str(token),
                "ca_file": str(authority),
                **kubernetes,
            }
        }

    def service(self, name: str = "orders", **more: Any) -> None:
        """Have a Service that asks for requests to /hello."""
        self.api.apply(objects.service(name, **{"annotations": SHOP, **more}))

    def endpoints(
        self, *endpoints: Mapping[str, Any], name: str = "orders", port: int, suffix: str = "x7k2p"
    ) -> None:
        """Have these endpoints in a slice of a Service."""
        self.api.apply(
            objects.slice_(name, endpoints, ports=(port,), suffix=suffix, labels=objects.MANAGED)
        )

    def instances(self) -> dict[str, str]:
        """Return the states of the cluster's instances, by address."""
        found: Any = self.sql.value(
            "SELECT coalesce(jsonb_object_agg(address, state), '{}') FROM fengling.instance"
            " WHERE managed_by = 'kubernetes'"
        )
        return dict(found)

    def row(self, name: str = "orders") -> dict[str, Any]:
        """Return what is told of a discovered Service."""
        found: Any = self.sql.value(
            "SELECT to_jsonb(d) FROM fengling.discovered_service AS d WHERE name = %s", name
        )
        return dict(found or {})

    def result(self, name: str = "orders") -> dict[str, Any]:
        """Return what is told of what has become of a Service; nothing at first."""
        return dict(self.row(name).get("result") or {})

    def decide(self, state: str, name: str = "orders") -> None:
        self.sql.run(
            "UPDATE fengling.discovered_service SET state = %s WHERE name = %s", state, name
        )


@contextmanager
def followed_cluster(
    postgres: PostgresServer, template: str, directory: Path, redis: str | None
) -> Iterator[Followed]:
    """Lend a fleet with a cluster, and a database of its own."""
    with (
        KubernetesApi() as api,
        fleet_with_database(postgres, template, directory, redis) as fleet,
    ):
        fleet.__class__ = Followed
        assert isinstance(fleet, Followed)
        fleet.api = api
        yield fleet
