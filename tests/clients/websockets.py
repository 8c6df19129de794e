"""Talks to a WebSocket that echoes: python3 websockets.py URL [CERTIFICATE]."""

import asyncio
import os
import ssl
import sys

sys.path.pop(0)  # This file has the name of the package.
import websockets  # noqa: E402


def connect(url, certificate):
    """Connects, with the certificate of the server if it has one."""
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    return websockets.connect(url, ssl=context, max_size=None)


async def echoes(socket, message):
    await socket.send(message)
    answer = await socket.recv()
    assert type(answer) is type(message), type(answer)
    assert answer == message, f"{len(answer)} of {len(message)}"


async def messages(url, certificate):
    async with connect(url, certificate) as socket:
        await echoes(socket, "")
        await echoes(socket, "Grüße, 世界 \U0001f980")
        await echoes(socket, b"\x00\xff" * 7)
        for size in (125, 126, 65535, 65536):
            await echoes(socket, os.urandom(size))


async def fragments(url, certificate):
    async with connect(url, certificate) as socket:
        await socket.send(["one ", "two ", "", "three"])
        assert await socket.recv() == "one two three"
        pieces = [os.urandom(size) for size in (1, 70_000, 0, 300)]
        await socket.send(pieces)
        assert await socket.recv() == b"".join(pieces)


async def pings(url, certificate):
    async with connect(url, certificate) as socket:
        for payload in (b"", b"here", bytes(125)):
            await asyncio.wait_for(await socket.ping(payload), 60)
        # A ping between a message and its echo.
        await socket.send(b"x" * 100_000)
        pong = await socket.ping()
        assert len(await socket.recv()) == 100_000
        await asyncio.wait_for(pong, 60)


async def large(url, certificate):
    async with connect(url, certificate) as socket:
        for _ in range(4):
            await echoes(socket, os.urandom(1 << 20))
        await echoes(socket, "é" * (1 << 19))
        # Both ways at once: more than all buffers hold.
        batch = [os.urandom(1 << 20) for _ in range(16)]

        async def send():
            for message in batch:
                await socket.send(message)

        sender = asyncio.ensure_future(send())
        for message in batch:
            assert await socket.recv() == message
        await sender


async def closes(url, certificate):
    for code, reason in ((1000, ""), (1001, "bye"), (3000, "é" * 60), (4999, "own")):
        socket = await connect(url, certificate)
        await echoes(socket, "before")
        await asyncio.wait_for(socket.close(code, reason), 60)
        assert socket.close_code == code, (socket.close_code, code)


async def crowd(url, certificate):
    async def one(number):
        async with connect(url, certificate) as socket:
            for step in range(10):
                await echoes(socket, f"{number}.{step}")

    await asyncio.gather(*(one(number) for number in range(6)))


async def main(url, certificate=None):
    for part in (messages, fragments, pings, large, closes, crowd):
        await asyncio.wait_for(part(url, certificate), 300)
        print(part.__name__, flush=True)


asyncio.run(main(*sys.argv[1:]))
