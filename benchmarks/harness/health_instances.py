"""Instances on every loopback address of one port, that say they are well: for `benchmarks.probes`."""

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


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    # On the whole of 127.0.0.0/8, which is this host's only.
    server = await loop.create_server(Instance, "0.0.0.0", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
