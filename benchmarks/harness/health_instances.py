"""Instances that say they are well, each on a loopback address of its own: for `benchmarks.probes`."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n"
    b'Connection: close\r\n\r\n{"status":"up"}'
)


class Instance(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_ANSWER)
            self._transport.close()


def address(number: int) -> str:
    """Return the address of one of the instances."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


async def serve(port: int, instances: int) -> None:
    loop = asyncio.get_running_loop()
    hosts = ["127.0.0.1", *(address(number) for number in range(instances))]
    server = await loop.create_server(Instance, hosts, port, backlog=100)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
