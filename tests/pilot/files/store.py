"""An object store (moto) in this process, behind a network that can break."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx2
from moto.moto_server.threaded_moto_server import ThreadedMotoServer


@dataclass
class Store:
    """What the tests see of it.

    Args:
        client: a way around the network that breaks.
        url: the way through it.
        down_cuts: after so many bytes the next connections are cut on the way to us; one for each.
        up_cuts: the same on the way to the store.
        instead: the first request whose first line has this in it is answered with what this returns.
        up_cuts_in: what the first lines of those requests have in them.
        heads: the first lines of all requests.
        headers: the same with their headers.
    """

    client: Any
    url: str = ''
    down_cuts: list[int] = field(default_factory=list)
    up_cuts: list[int] = field(default_factory=list)
    up_cuts_in: str = 'PUT'
    instead: tuple[str, Callable[[], bytes]] | None = None
    heads: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket='data', Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket='data', Key=key)['Body'].read())

    def keys(self) -> list[str]:
        return [each['Key'] for each in self.client.list_objects_v2(Bucket='data').get('Contents', [])]

    def lose_parts(self) -> bytes:
        """The answer of a store without these parts; moto's own is 500, which no other store says."""
        for each in self.client.list_multipart_uploads(Bucket='data').get('Uploads', []):
            self.client.abort_multipart_upload(Bucket='data', Key=each['Key'], UploadId=each['UploadId'])
        body = b'<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>'
        return b'HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body)

    def unfinished(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket='data').get('Uploads', []))


@contextlib.contextmanager
def moto() -> Iterator[tuple[str, int]]:
    """A running server; its objects are those of all tests of this process."""
    server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@contextlib.asynccontextmanager
async def store(host: str, port: int) -> AsyncIterator[Store]:
    """A store with nothing but the empty bucket `data`.

    Args:
        host: of a server of moto.
        port: of it.
    """
    url = f'http://{host}:{port}'
    async with httpx2.AsyncClient() as http:
        (await http.post(f'{url}/moto-api/reset')).raise_for_status()
    client = boto3.client('s3', endpoint_url=url, region_name='us-east-1')
    await asyncio.to_thread(client.create_bucket, Bucket='data')
    state = Store(client)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, port)
        with contextlib.suppress(OSError):
            await asyncio.wait(
                [
                    asyncio.create_task(_pump_up(reader, up_writer, writer, state)),
                    asyncio.create_task(_pump(up_reader, writer, state.down_cuts)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        for each in (writer, up_writer):
            each.transport.abort()

    network = await asyncio.start_server(serve, '127.0.0.1', 0)
    state.url = f'http://127.0.0.1:{network.sockets[0].getsockname()[1]}'
    try:
        yield state
    finally:
        network.close()
        client.close()


async def _pump_up(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter, state: Store
) -> None:
    # Moto ends a connection after each answer, so the beginning is all of the requests.
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b'\r\n\r\n')
        words = head.decode(errors='replace')
        state.heads.append(words.split('\r\n', 1)[0])
        state.headers.append(words)
        if state.instead and state.instead[0] in state.heads[-1]:
            (_, do), state.instead = state.instead, None
            await reader.readexactly(int(words.lower().partition('content-length: ')[2].split()[0]))
            back.write(await asyncio.to_thread(do))
            await back.drain()
            return
        writer.write(head)
        await _pump(reader, writer, state.up_cuts if state.up_cuts_in in state.heads[-1] else [])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cuts: list[int]) -> None:
    passed = 0
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if cuts and passed + len(data) > cuts[0]:
                writer.write(data[: cuts.pop(0) - passed])
                await writer.drain()
                return
            passed += len(data)
            writer.write(data)
            await writer.drain()
