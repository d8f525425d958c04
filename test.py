"""The tests of lowhaio, in the order of the module.

    python -m pytest test.py

They need no internet and no fixed port. Servers run on loopback addresses; names go through
aiodnsresolver to a DNS server on a loopback UDP port. With LOWHAIO_TEST_LOOP=uvloop all of it runs
on uvloop.

Every asynchronous test runs in a loop of its own, and fails if it leaves anything open: see
in_loop.
"""

import asyncio
import contextlib
import functools
import gc
import ipaddress
import os
import ssl

import aiodnsresolver
import pytest
import trustme

import lowhaio

# What the tests share.

def new_loop():
    """Gives the event loop that the environment asks for."""
    if os.environ.get('LOWHAIO_TEST_LOOP') == 'uvloop':
        return pytest.importorskip('uvloop').new_event_loop()
    return asyncio.SelectorEventLoop()


def in_loop(test):
    """Makes a test of a coroutine function, that leaves no descriptor, reader, writer or task.

    Warnings are errors (pyproject.toml), also those of the garbage collector, which runs here so
    that they belong to the test that caused them. No path of lowhaio creates a task, nor has the
    garbage collector create one, which is what closing an abandoned async generator takes.
    """
    @functools.wraps(test)
    def run(*args, **kwargs):
        gc.collect()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(checked(test(*args, **kwargs)))

    return run


async def checked(test):
    """Awaits the test, and looks at what it left."""
    loop = asyncio.get_running_loop()
    created, problems = [], []
    loop.set_task_factory(lambda loop, coroutine, **kwargs: (
        created.append(getattr(coroutine, '__qualname__', repr(coroutine))),
        asyncio.Task(coroutine, loop=loop, **kwargs))[1])
    loop.set_exception_handler(lambda loop, context: problems.append(context))
    descriptors = open_descriptors()

    await with_time_limit(test)
    await settled(descriptors)

    assert open_descriptors() == descriptors, 'a descriptor was left open'
    assert registered(loop) == 0, 'a reader or writer was left registered'
    assert len(asyncio.all_tasks(loop)) == 1, 'a task was left'
    assert not [name for name in created if 'async_generator' in name or 'lowhaio' in name]
    assert not problems, problems


async def with_time_limit(coroutine, seconds=60):
    async with asyncio.timeout(seconds):
        await coroutine


async def settled(descriptors):
    """Lets the test's own servers notice that their clients are gone."""
    for turn in range(100):
        gc.collect()
        if turn > 2 and open_descriptors() == descriptors and len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0.001 if turn < 50 else 0.02)


def open_descriptors():
    """Gives the open descriptors and what they are, but for the spare one that uvloop keeps."""
    def target(number):
        with contextlib.suppress(OSError):
            return os.readlink(f'/proc/self/fd/{number}')

    numbers = os.listdir('/proc/self/fd')
    found = {number: target(number) for number in numbers}
    return {number: name for number, name in found.items() if name not in (None, '/dev/null')}


def registered(loop):
    """Gives the number of descriptors in the selector, but for the loop's own."""
    selector = getattr(loop, '_selector', None)
    return len(selector.get_map()) - 1 if selector is not None else 0


class Server:
    """A TCP server on a loopback address, whose every byte a test decides.

        async with Server(handler) as server:
            await request(b'GET', server.url)

    `handler(reader, writer)` is called for each connection, which is closed when it ends.
    `connections` counts them.
    """

    def __init__(self, handler, host='127.0.0.1', port=0, tls=None):
        self.handler, self.host, self.port, self.tls = handler, host, port, tls
        self.connections = 0
        self.tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(
            self.serve, self.host, self.port, ssl=self.tls, limit=2 ** 24)
        self.port = self.server.sockets[0].getsockname()[1]
        host = f'[{self.host}]' if ':' in self.host else self.host
        self.url = f'{"https" if self.tls else "http"}://{host}:{self.port}/'
        return self

    async def serve(self, reader, writer):
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        try:
            await self.handler(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def __aexit__(self, *_):
        self.server.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader):
    """Gives (head, body) of a request with a content-length, chunked coding or no body."""
    head = await reader.readuntil(b'\r\n\r\n')
    lines = [line.split(b':', 1) for line in head.lower().split(b'\r\n')[1:-2]]
    fields = {name: value.strip() for name, value in lines}
    if b'transfer-encoding' in fields:
        body = b''
        while size := int(await reader.readuntil(b'\r\n'), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return head, body
    return head, await reader.readexactly(int(fields.get(b'content-length', 0)))


def answering(*responses, then='wait'):
    """Gives a handler that answers one request after the other with these bytes.

    The last one is given again and again, or with `then='close'` the connection closed after it.
    """
    async def handler(reader, writer):
        for response in responses:
            await read_request(reader)
            writer.write(response)
            await writer.drain()
        while then == 'wait':
            await read_request(reader)
            writer.write(responses[-1])
            await writer.drain()

    return handler


OK = b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'


@contextlib.asynccontextmanager
async def pool(**kwargs):
    """Gives the `request` of a pool that is closed at the end."""
    request, close = lowhaio.Pool(**kwargs)
    try:
        yield request
    finally:
        await close()


async def get(request, url, method=b'GET', **kwargs):
    """Gives (code, headers, whole body)."""
    code, headers, body = await request(method, url, **kwargs)
    return code, headers, await lowhaio.buffered(body)


class Dns(asyncio.DatagramProtocol):
    """A DNS server on a loopback UDP port, whose records a test changes.

    `records` maps a name to a list of addresses, to `('CNAME', name)`, to a response code, or to
    `None`: no answer at all. `get_resolver` is the hook for Pool: an aiodnsresolver that asks this
    server alone.
    """

    def __init__(self, records=(), ttl=60, seconds=0.5, tries=2):
        self.records, self.ttl, self.seconds, self.tries = dict(records), ttl, seconds, tries
        self.queries = []

    async def __aenter__(self):
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=('127.0.0.1', 0))
        self.port = self.transport.get_extra_info('sockname')[1]
        return self

    async def __aexit__(self, *_):
        self.transport.close()

    def datagram_received(self, data, addr):
        query = aiodnsresolver.parse(data)
        name = query.qd[0].name.lower().decode()
        self.queries.append(name)
        found = self.records.get(name, 3)
        if found is None:
            return
        code, answers = (found, ()) if isinstance(found, int) else (0, self.answers(query, found))
        message = aiodnsresolver.Message(
            query.qid, aiodnsresolver.RESPONSE, 0, 0, 0, 1, 1, 0, code, query.qd, answers, (), ())
        self.transport.sendto(aiodnsresolver.pack(message), addr)

    def answers(self, query, found):
        name = query.qd[0].name
        if found[:1] == ('CNAME',):
            return aiodnsresolver.ResourceRecord(
                name, aiodnsresolver.TYPES.CNAME, 1, self.ttl, found[1].encode()),
        return tuple(aiodnsresolver.ResourceRecord(
            name, aiodnsresolver.TYPES.A, 1, self.ttl, ipaddress.IPv4Address(address).packed)
            for address in found)

    def get_resolver(self, **kwargs):
        async def get_nameservers(_, __):
            for _ in range(self.tries):
                yield self.seconds, ('127.0.0.1', self.port)

        return aiodnsresolver.Resolver(get_nameservers=get_nameservers, **kwargs)


@functools.cache
def certificates():
    """Gives (context for servers, context for clients) of one authority."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        'localhost', '127.0.0.1', '127.0.0.2', '::1', 'example.test').configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def tls_server():
    return certificates()[0]


def tls_client():
    return certificates()[1]


# A first look, in full.

@pytest.mark.parametrize('tls', [False, True])
@in_loop
async def test_requests_reuse_their_connection(tls):
    async with Server(answering(OK), tls=tls_server() if tls else None) as server, \
            pool(get_ssl_context=tls_client) as request:
        for _ in range(3):
            assert await get(request, server.url) == (b'200', ((b'content-length', b'2'),), b'ok')
        assert server.connections == 1


@in_loop
async def test_name_is_resolved_by_a_real_resolver():
    async with Server(answering(OK)) as server, Dns({'example.test': ['127.0.0.1']}) as dns, \
            pool(get_dns_resolver=dns.get_resolver) as request:
        url = f'http://example.test:{server.port}/'
        assert (await get(request, url))[0] == b'200'
        assert (await get(request, url))[0] == b'200'
        assert dns.queries == ['example.test']
        assert server.connections == 1
