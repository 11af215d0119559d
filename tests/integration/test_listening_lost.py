"""The connection that listens ends, and the one that reads does not."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.conftest import Sql
from tests.integration.gateway import GatewayProcess
from tests.integration.world import lines_with, wait_for_line
from tests.support.wait import wait_until

END_LISTENERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'listens'
"""
LOST = "notifications don't arrive"
BACK = "notifications arrive again"


def test_loss_of_notifications_is_told_once_and_their_return(
    gateways: Callable[..., GatewayProcess], sql: Sql
) -> None:
    """Not again within a minute, however often it happens."""
    listen_url = f"{sql.dsn}{'&' if '?' in sql.dsn else '?'}application_name=listens"
    gateway = gateways(database=sql.dsn, settings={"database": {"listen_url": listen_url}})
    gateway.wait_ready()
    for times in (1, 2):
        wait_until(lambda: gateway.manage("status")["source"]["listening"])
        assert sql.value(END_LISTENERS)
        wait_until(lambda at=times: gateway.manage("status")["source"]["reconnects"] == at)  # type: ignore[misc]
        wait_for_line(gateway, BACK)
    assert [len(lines_with(gateway, text)) for text in (LOST, BACK)] == [1, 1]
    [lost], [back] = lines_with(gateway, LOST), lines_with(gateway, BACK)
    assert " WARN " in lost
    assert gateway.log.index(lost) < gateway.log.index(back)
