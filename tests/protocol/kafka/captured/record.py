#!/usr/bin/env python3
"""Records Kafka frames on their way between clients and a broker.

usage: record.py LISTEN_PORT BROKER_PORT CLIENT DIRECTORY

Clients connect to LISTEN_PORT, which the broker must advertise as its own. Each frame becomes a file
DIRECTORY/CLIENT.APIKEY.vVERSION.request|response.NUMBER, without its length. Ends with Ctrl-C.
"""
import asyncio
import itertools
import pathlib
import struct
import sys

listen_port, broker_port, client = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
directory = pathlib.Path(sys.argv[4])
directory.mkdir(parents=True, exist_ok=True)
numbers = itertools.count()


def keep(api, version, kind, content):
    name = f"{client}.{api}.v{version}.{kind}.{next(numbers):06d}"
    (directory / name).write_bytes(content)


async def pass_on(reader, writer, look):
    try:
        while True:
            length = await reader.readexactly(4)
            content = await reader.readexactly(struct.unpack(">i", length)[0])
            look(content)
            writer.write(length + content)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # one side has closed
    finally:
        writer.close()


async def serve(from_client, to_client):
    from_broker, to_broker = await asyncio.open_connection("127.0.0.1", broker_port)
    asked = {}  # correlation id -> API and version, which a response does not say

    def request(content):
        api, version, correlation_id = struct.unpack(">hhi", content[:8])
        asked[correlation_id] = (api, version)
        keep(api, version, "request", content)

    def response(content):
        keep(*asked.pop(struct.unpack(">i", content[:4])[0]), "response", content)

    await asyncio.gather(
        pass_on(from_client, to_broker, request), pass_on(from_broker, to_client, response)
    )


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", listen_port) as server:
        await server.serve_forever()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
