"""The tests of lowhaio, in the order of the module.

    python -m pytest test.py

They need no internet and no fixed port. Servers run on loopback addresses; names go through
aiodnsresolver to a DNS server on a loopback UDP port. With LOWHAIO_TEST_LOOP=uvloop all of it runs
on uvloop, and with LOWHAIO_TEST_TASKS=eager each task starts at once, as those of
asyncio.eager_task_factory do (CPython 3.12 and newer).

Every asynchronous test runs in a loop of its own, and fails if it leaves anything open: in_loop.
"""

import array
import ast
import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import errno
import functools
import gc
import gzip
import hashlib
import importlib
import inspect
import ipaddress
import itertools
import json
import logging
import math
import os
import pathlib
import queue
import random
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import types
import urllib.parse
import urllib.request
import warnings
import weakref
import xml.etree.ElementTree
from random import Random
from typing import NamedTuple

import aiodnsresolver
import aiofastforward
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import hypothesis
import hypothesis.strategies as st
import lowhaio_aws_sigv4
import lowhaio_aws_sigv4_unsigned_payload
import lowhaio_chunked
import lowhaio_redirect
import lowhaio_retry
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

import lowhaio

# What the tests share.

EAGER = {'eager_start': True} if os.environ.get('LOWHAIO_TEST_TASKS') == 'eager' else {}


def new_loop():
    """Return the event loop that the environment asks for."""
    if os.environ.get('LOWHAIO_TEST_LOOP') == 'uvloop':
        return pytest.importorskip('uvloop').new_event_loop()
    return asyncio.SelectorEventLoop()


def in_loop(test):
    """Make a test of a coroutine function. It fails if it leaves anything open: see `checked`.

    Warnings are errors (pyproject.toml), also those of the garbage collector, which runs here so
    that they belong to the test that caused them.
    """
    @functools.wraps(test)
    def run(*args, **kwargs):
        gc.collect()
        gc.freeze()             # else each collection of this test looks at all of pytest again
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(checked(test(*args, **kwargs)))
        finally:
            gc.unfreeze()       # hypothesis asks the garbage collector who refers to what

    return run


async def checked(test):
    """Await a test, and check that it leaves no descriptor, reader, writer, timer or task.

    No path of lowhaio creates a task, nor has the garbage collector create one, which is what
    closing an abandoned async generator takes.
    """
    loop = asyncio.get_running_loop()
    created, problems = [], []
    loop.set_task_factory(lambda loop, coroutine, **kwargs: (
        created.append(getattr(coroutine, '__qualname__', repr(coroutine))),
        asyncio.Task(coroutine, loop=loop, **EAGER | kwargs))[1])
    loop.set_exception_handler(lambda loop, context: problems.append(context))
    descriptors = open_descriptors()

    await with_time_limit(test)
    await settled(descriptors)

    assert open_descriptors() == descriptors, 'a descriptor was left open'
    assert registered(loop) == 0, 'a reader or writer was left registered'
    assert timers_of_lowhaio() == [], 'a timer was left'
    assert len(asyncio.all_tasks(loop)) == 1, 'a task was left'
    assert not [name for name in created if 'async_generator' in name or 'lowhaio' in name]
    assert not problems, problems


async def with_time_limit(coroutine, seconds=60):
    async with asyncio.timeout(seconds):
        await coroutine


async def settled(descriptors):
    """Let the servers of the test notice that their clients are gone."""
    for turn in range(100):
        gc.collect()
        if turn > 2 and open_descriptors() == descriptors and len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0.001 if turn < 50 else 0.02)


def open_descriptors():
    """Return the open descriptors and what they are, except the spare one that uvloop keeps."""
    found = {}
    for number in os.listdir('/proc/self/fd'):
        with contextlib.suppress(OSError):
            found[number] = os.readlink(f'/proc/self/fd/{number}')
    return {number: name for number, name in found.items() if name != '/dev/null'}


def registered(loop):
    """Return the number of descriptors in the selector, except the loop's own."""
    selector = getattr(loop, '_selector', None)
    return len(selector.get_map()) - 1 if selector is not None else 0


def timers_of_lowhaio():
    """Return the timers that lowhaio has left in the loop."""
    return [handle for handle in getattr(asyncio.get_running_loop(), '_scheduled', ())
            if not handle.cancelled() and getattr(handle._callback, '__module__', '') == 'lowhaio']


def bound(host, port):
    """Return a socket at this address, where another socket of this kind can listen too."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def reserved(*hosts):
    """Yield a port that is free at all these addresses, and refuses until a test listens there.

    A port that is free at one of them may be in use at another, by whatever runs on the machine.
    """
    with contextlib.ExitStack() as stack:
        while True:
            port = 0
            try:
                for host in hosts:
                    port = stack.enter_context(bound(host, port)).getsockname()[1]
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                stack.close()
        yield port


class Server:
    """A TCP server on a loopback address, whose every byte is decided by the test.

        async with Server(handler) as server:
            await request(b'GET', server.url)

    `handler(reader, writer)` is called for each connection, which is closed when it returns.
    `connections` counts them. `tls` is an SSL context, or whether it is `tls_server`'s.
    """

    def __init__(self, handler, host='127.0.0.1', port=0, tls=False):
        self.handler, self.host, self.port = handler, host, port
        self.tls = tls_server() if tls is True else tls or None
        self.connections, self.tasks = 0, set()

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
        except RuntimeError as error:       # of uvloop, for a write to a peer that is gone
            if not writer.transport.is_closing() or 'the handler is closed' not in str(error):
                raise
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def __aexit__(self, *_):
        self.server.close()
        await self.stop()

    async def stop(self):
        """Cancel the handlers that are still at work."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def servers(first, second):
    """Yield servers at 127.0.0.1 and 127.0.0.2 with these handlers and the same port."""
    with reserved('127.0.0.1', '127.0.0.2') as port:
        async with Server(first, port=port) as old, \
                Server(second, host='127.0.0.2', port=port) as new:
            yield old, new


async def read_request(reader):
    """Return (head, body) of a request with a content-length, chunked coding or no body."""
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
    """Return a handler that answers one request after the other with these bytes.

    After the last it sends that one again and again, or with `then='close'` closes the connection.
    """
    async def handler(reader, writer):
        again = itertools.repeat(responses[-1]) if then == 'wait' else ()
        for response in itertools.chain(responses, again):
            await read_request(reader)
            writer.write(response)
            await writer.drain()

    return handler


OK = b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'


@contextlib.asynccontextmanager
async def pool(**kwargs):
    """Yield the `request` of a pool that trusts `tls_server`, and is closed at the end."""
    request, close = lowhaio.Pool(**{'get_ssl_context': tls_client} | kwargs)
    try:
        yield request
    finally:
        await close()


async def get(request, url, method=b'GET', **kwargs):
    """Return (code, headers, whole body)."""
    code, headers, body = await request(method, url, **kwargs)
    return code, headers, await lowhaio.buffered(body)


class Dns(asyncio.DatagramProtocol):
    """A DNS server on a loopback UDP port, whose records a test may change.

    `records` maps a name to a list of addresses, `('CNAME', name)`, a response code, or `None`
    for no answer. `get_resolver` is the hook for Pool: an aiodnsresolver that asks only this
    server.
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
        code, kind, values = 0, aiodnsresolver.TYPES.A, ()
        match self.records.get(name, 3):
            case None:
                return
            case int(code):
                pass
            case 'CNAME', other:
                kind, values = aiodnsresolver.TYPES.CNAME, [other.encode()]
            case addresses:
                values = [ipaddress.IPv4Address(address).packed for address in addresses]
        answers = tuple(aiodnsresolver.ResourceRecord(query.qd[0].name, kind, 1, self.ttl, value)
                        for value in values)
        message = aiodnsresolver.Message(
            query.qid, aiodnsresolver.RESPONSE, 0, 0, 0, 1, 1, 0, code, query.qd, answers, (), ())
        self.transport.sendto(aiodnsresolver.pack(message), addr)

    def get_resolver(self, **kwargs):
        async def get_nameservers(_, __):
            for _ in range(self.tries):
                yield self.seconds, ('127.0.0.1', self.port)

        return aiodnsresolver.Resolver(get_nameservers=get_nameservers, **kwargs)


@functools.cache
def certificates():
    """Return (context for servers, context for clients) of one authority."""
    authority, hosts = trustme.CA(), ('localhost', '127.0.0.1', '127.0.0.2', '::1', 'example.test')
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(*hosts).configure_cert(server)
    authority.configure_trust(client)
    return server, client


def tls_server():
    return certificates()[0]


def tls_client():
    return certificates()[1]


class Socks(list):
    """A `get_sock` that remembers its sockets, and whether they are open."""

    def __init__(self, kind=socket.socket):
        super().__init__()
        self.kind, self.families = kind, []

    def __call__(self, family=socket.AF_INET):
        sock = self.kind(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        self.append(sock)
        self.families.append(family)
        return sock

    def open(self):
        return [sock.fileno() != -1 for sock in self]


def served(handler, tls=False, records=None, socks=False, **settings):
    """Make a test of a coroutine function, as `in_loop` does: `test(request, server, ...)`.

    Args:
        handler: of the `Server`; a class is called once for each run of the test, and what it
            returns is `server.handler`.
        tls: whether the server's URL is https. A parameter `tls` of the test takes precedence.
        records: of `server.dns`, the `Dns` that the pool asks.
        socks: whether `server.socks`, a `Socks`, creates the sockets of the pool.
        settings: of the `Pool` that `request` belongs to.
    """
    def decorate(test):
        @in_loop
        @functools.wraps(test)
        async def run(*args, **kwargs):
            server = Server(handler() if isinstance(handler, type) else handler,
                            tls=kwargs.get('tls', tls))
            server.dns, server.socks = Dns(records or ()), Socks()
            hooks = {}
            if records is not None:
                hooks['get_dns_resolver'] = server.dns.get_resolver
            if socks:
                hooks['get_sock'] = server.socks
            async with server, server.dns, pool(**hooks | settings) as request:
                await test(request, server, *args, **kwargs)

        signature = inspect.signature(test)         # which tells pytest what to give
        run.__signature__ = signature.replace(parameters=[*signature.parameters.values()][2:])
        return run

    return decorate


async def wait_for_ever():
    await asyncio.Event().wait()


def table(names, rows):
    """Parametrize a test with rows that begin with a sentence, the id of the case."""
    return pytest.mark.parametrize(
        names, [pytest.param(*row, id=sentence) for sentence, *row in rows])


@contextlib.contextmanager
def cpu_limit(seconds):
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


# A first look, in full.

@pytest.mark.parametrize('tls', [False, True])
@served(answering(OK), records={'example.test': ['127.0.0.1']})
async def test_requests_resolve_a_name_once_and_reuse_their_connection(request, server, tls):
    url = server.url.replace('127.0.0.1', 'example.test')
    for _ in range(3):
        assert await get(request, url) == (b'200', ((b'content-length', b'2'),), b'ok')
    assert server.dns.queries == ['example.test']
    assert server.connections == 1


# The public names.

ERRORS = {      # and what they are derived from
    'HttpError': Exception, 'HttpConnectionError': lowhaio.HttpError,
    'HttpDnsError': lowhaio.HttpConnectionError, 'HttpTlsError': lowhaio.HttpConnectionError,
    'HttpDataError': lowhaio.HttpError, 'HttpConnectionClosedError': lowhaio.HttpDataError,
    'HttpStaleConnectionError': lowhaio.HttpConnectionClosedError,
    'HttpHeaderTooLong': lowhaio.HttpDataError}


def test_public_names_are_these_and_no_others():
    public = {name for name, value in vars(lowhaio).items()
              if not name.startswith('_') and not inspect.ismodule(value)}
    types = {'Request', 'Close', 'Response', 'ResponseBody'}    # which the stubs describe
    assert public == types | ERRORS.keys() | {
        'Pool', 'streamed', 'buffered', 'empty_async_iterator', 'HttpLoggerAdapter',
        'get_logger_adapter_default', 'get_resolver_logger_adapter_default',
        'get_nonblocking_sock', 'set_tcp_cork', 'unset_tcp_cork', 'send_header_tuples_of_bytes',
        'send_body_async_gen_bytes', 'send_all', 'timeout'}
    assert all(inspect.getdoc(getattr(lowhaio, name)) for name in public - types)


@in_loop
async def test_parameters_have_these_names_defaults_and_order():
    get_adapter = functools.partial(lowhaio.get_logger_adapter_default)
    get_dns_adapter = lowhaio.get_resolver_logger_adapter_default
    request, close = lowhaio.Pool(get_logger_adapter=get_adapter)

    def expected_pool(
            get_dns_resolver=aiodnsresolver.Resolver, get_sock=lowhaio.get_nonblocking_sock,
            get_ssl_context=ssl.create_default_context, sock_pre_message=lowhaio._do_nothing,
            sock_post_message=lowhaio._do_nothing, send_header=lowhaio.send_header_tuples_of_bytes,
            send_body=lowhaio.send_body_async_gen_bytes, http_version=b'HTTP/1.1',
            keep_alive_timeout=15, recv_bufsize=65536, max_header_length=16384, socket_timeout=10,
            get_logger_adapter=lowhaio.get_logger_adapter_default,
            get_resolver_logger_adapter=get_dns_adapter, connect_timeout=30):
        pass

    def expected_request(
            method, url, params=(), headers=(), body=lowhaio.empty_async_iterator, body_args=(),
            body_kwargs=(), get_logger_adapter=get_adapter,
            get_resolver_logger_adapter=get_dns_adapter):
        pass

    def expected_close(get_logger_adapter=get_adapter,
                       get_resolver_logger_adapter=get_dns_adapter):
        pass

    assert inspect.signature(lowhaio.Pool) == inspect.signature(expected_pool)
    assert inspect.signature(request) == inspect.signature(expected_request)
    assert inspect.signature(close) == inspect.signature(expected_close)
    assert all(map(inspect.iscoroutinefunction, (
        request, close, lowhaio.buffered, lowhaio.send_header_tuples_of_bytes,
        lowhaio.send_body_async_gen_bytes, lowhaio.send_all)))
    await close()


@pytest.mark.parametrize(('name', 'base'), ERRORS.items())
def test_error_classes_are_a_tree(name, base):
    assert getattr(lowhaio, name).__bases__ == (base,)


def test_every_numbered_deviation_is_in_the_code_and_in_a_row():
    numbers = set(re.findall(r'^    (D\d) ', lowhaio.__doc__, re.M))
    code = inspect.getsource(lowhaio).removeprefix(f'"""{lowhaio.__doc__}"""')
    rows = ' '.join(row[0] for row in REQUEST_TARGETS + HOST_FIELDS + SIGNED_REQUESTS + RESPONSES)
    assert numbers == set(re.findall(r'\bD\d\b', code)) == set(re.findall(r'\bD\d\b', rows))


# Bodies.

@in_loop
async def test_streamed_yields_its_data_once_each_time_it_is_called():
    data = bytearray(b'abc')
    body = lowhaio.streamed(data)
    for _ in range(2):
        chunk, = [chunk async for chunk in body()]
        assert chunk is data


@in_loop
async def test_buffered_joins_what_a_body_yields():
    async def body():
        for chunk in (b'ab', b'', bytearray(b'c'), memoryview(b'd')):
            yield chunk

    whole = await lowhaio.buffered(body())
    assert (type(whole), whole) == (bytes, b'abcd')
    assert await lowhaio.buffered(lowhaio.streamed(b'abc')()) == b'abc'
    assert await lowhaio.buffered(lowhaio.empty_async_iterator()) == b''


# Logging.

@table('extra, prefix', [
    ('an empty extra adds nothing', {}, '[http] '),
    ('no extra adds nothing', None, '[http] '),
    ('a value follows a colon', {'a': 'GET'}, '[http:GET] '),
    ('values are joined in their order', {'b': 'GET', 'a': 1}, '[http:GET,1] '),
    ('an empty value is one', {'a': ''}, '[http:] '),
    ('a % in a value is not a format', {'a': '%41%s'}, '[http:%41%s] '),
])
def test_adapters_prefix_messages(extra, prefix, caplog):
    caplog.set_level('DEBUG')
    lowhaio.HttpLoggerAdapter(logging.getLogger('any'), extra).debug('Got %s of 100 %%', 50)
    lowhaio.get_logger_adapter_default(extra).debug('Got %s', 1)
    get_dns_adapter = lowhaio.get_resolver_logger_adapter_default(extra)
    get_dns_adapter({'aiodnsresolver_fqdn': 'a.test'}).debug('Got %s', 2)

    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ('any', f'{prefix}Got 50 of 100 %'),
        ('lowhaio', f'{prefix}Got 1'),
        ('aiodnsresolver', f'{prefix}[dns:a.test] Got 2')]


def test_adapters_pass_keyword_arguments_on():
    adapter = lowhaio.HttpLoggerAdapter(logging.getLogger('any'), {'a': '%'})
    assert adapter.process('m', {'stacklevel': 2}) == ('[http:%%] m', {'stacklevel': 2})
    assert adapter.process(b'm', {})[0] == "[http:%%] b'm'"


# Hooks: sockets, and the timeout of a block.

@pytest.mark.parametrize('family', [socket.AF_INET, socket.AF_INET6])
def test_sockets_do_not_block_and_do_not_delay(family):
    with lowhaio.get_nonblocking_sock(family) as sock:
        assert (sock.family, sock.type, sock.getblocking()) == (family, socket.SOCK_STREAM, False)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_cork_is_set_and_unset():
    with lowhaio.get_nonblocking_sock() as sock:
        for hook, corked in ((lowhaio.set_tcp_cork, 1), (lowhaio.unset_tcp_cork, 0)):
            hook(sock)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) == corked


def within(seconds):
    return lowhaio.timeout(asyncio.get_running_loop(), seconds)


def leaves_no_cancellation(test):
    """Make a test, as `in_loop` does, of a coroutine function that leaves its task uncancelled."""
    @in_loop
    @functools.wraps(test)
    async def run(*args, **kwargs):
        await test(*args, **kwargs)
        await asyncio.sleep(0)          # where a cancellation that is too late is raised
        assert asyncio.current_task().cancelling() == 0

    return run


@contextlib.contextmanager
def cancelled(times):
    """Check that the block is cancelled, that many times, and take these back."""
    with pytest.raises(asyncio.CancelledError) as caught:
        yield caught
    task = asyncio.current_task()
    assert task.cancelling() == times
    for _ in range(times):
        task.uncancel()


@leaves_no_cancellation
async def test_timeout_ends_a_block_that_takes_too_long():
    before = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.TimeoutError, match=r'expected an end within 0\.02 s; got none'):
        with within(0.02):
            await wait_for_ever()
    assert asyncio.get_running_loop().time() - before > 0.015


@leaves_no_cancellation
async def test_timeout_leaves_alone_what_ends_in_time():
    with Clock(asyncio.get_running_loop()) as clock:
        with within(1) as reset:
            await clock.forward(0.9)
        await clock.forward(9)
        with within(0):
            pass
        await clock.forward(9)

        reset()                         # too late: nothing is there to be ended
        await clock.forward(9)
        assert clock.left() == []


@leaves_no_cancellation
async def test_timeout_starts_anew_when_it_is_reset():
    with Clock(asyncio.get_running_loop()) as clock:
        with pytest.raises(asyncio.TimeoutError, match='expected an end within 1 s'), \
                within(1) as reset:
            for _ in range(3):
                await clock.forward(0.9)
                assert reset() is None
            await clock.forward(0.9)
            is_there = True
            await clock.forward(0.2)
            is_there = False
        assert is_there
        assert clock.left() == []


@pytest.mark.parametrize('error', [
    ValueError, KeyboardInterrupt, asyncio.TimeoutError, asyncio.CancelledError])
@leaves_no_cancellation
async def test_timeout_lets_exceptions_of_the_block_pass(error):
    raised = error('mine')
    with Clock(asyncio.get_running_loop()) as clock:
        with pytest.raises(error) as caught, within(1):
            await clock.forward(0.9)
            raise raised
        assert caught.value is raised
        assert clock.left() == []


@leaves_no_cancellation
async def test_timeout_lets_exceptions_pass_that_its_end_provokes():
    with pytest.raises(ValueError, match='mine'), within(0.01):
        try:
            await wait_for_ever()
        finally:
            raise ValueError('mine')


@leaves_no_cancellation
async def test_timeout_ends_also_a_block_that_has_swallowed_a_cancellation_from_outside():
    with cancelled(1), within(0.05):        # it was asked to end, and has not
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.current_task().cancel()
            await asyncio.sleep(5)
        await asyncio.sleep(5)


@leaves_no_cancellation
async def test_timeout_is_no_error_if_the_block_swallows_its_end():
    with within(0.01) as reset:
        with contextlib.suppress(asyncio.CancelledError):
            await wait_for_ever()
        reset()
        await asyncio.sleep(0.02)           # it is ended only once


@pytest.mark.parametrize('seconds', [60, 0])
@leaves_no_cancellation
async def test_timeout_leaves_a_cancellation_from_outside_as_it_is(seconds):
    """With 0 s both come in the same iteration of the loop, either of them first."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    with cancelled(1):
        loop.call_soon(task.cancel)
        with within(seconds):
            await wait_for_ever()

    for times in (1, 2):
        with cancelled(times), within(seconds):
            for _ in range(times):
                loop.call_later(0, task.cancel)
            await wait_for_ever()


@leaves_no_cancellation
async def test_timeout_is_of_the_task_that_enters_it():
    async def enter():
        with pytest.raises(asyncio.TimeoutError), block:
            await wait_for_ever()

    block = within(0.01)
    await asyncio.create_task(enter())


@leaves_no_cancellation
async def test_timeout_may_be_entered_again():
    block = within(0.01)
    for _ in range(2):
        with pytest.raises(asyncio.TimeoutError), block:
            await asyncio.sleep(5)
        with block:
            pass


@leaves_no_cancellation
async def test_timeout_keeps_the_arguments_of_a_cancellation_in_the_same_turn():
    def cancel_as_the_time_is_over():
        task.cancel('mine')
        block._timer.cancel()
        block._on_timer()           # as the loop calls it next

    task, block = asyncio.current_task(), within(60)
    with cancelled(1) as caught, block:
        asyncio.get_running_loop().call_soon(cancel_as_the_time_is_over)
        await asyncio.sleep(0)
    assert caught.value.args == ('mine',)


@leaves_no_cancellation
async def test_timeout_counts_from_the_cancellations_that_were_there():
    task = asyncio.current_task()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    with pytest.raises(asyncio.TimeoutError), within(0.01):
        await wait_for_ever()
    assert task.cancelling() == 1
    task.uncancel()


@contextlib.asynccontextmanager
async def timeout(seconds):
    """Do as `within`, in the manner of `asyncio.timeout`, whose error has no text."""
    with within(seconds):
        yield


@pytest.mark.parametrize(('outer', 'limit', 'inner', 'inner_limit', 'text'), [
    (timeout, 0.01, timeout, 60, r'within 0\.01 s'),
    (timeout, 60, timeout, 0.01, r'within 0\.01 s'),
    (timeout, 0, timeout, 0.0, 'within 0 s'),
    (timeout, 0.01, asyncio.timeout, 60, r'within 0\.01 s'),
    (timeout, 60, asyncio.timeout, 0.01, '^$'),
    (asyncio.timeout, 0.01, timeout, 60, '^$'),
    (asyncio.timeout, 60, timeout, 0.01, r'within 0\.01 s'),
    (asyncio.timeout, 0, timeout, 0, '^$')])
@leaves_no_cancellation
async def test_timeout_that_is_over_first_ends_the_block(outer, limit, inner, inner_limit, text):
    with pytest.raises(asyncio.TimeoutError, match=text):
        async with outer(limit), inner(inner_limit):
            await wait_for_ever()


# Request on the wire.

# RFC 9110 5.6.2
TCHAR = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH, CODING = b'Content-Length', b'Transfer-Encoding'


def checked_request(url, method=b'GET', params=(), headers=(), http_version=b'HTTP/1.1',
                    body=lowhaio.empty_async_iterator, checks_content=False):
    """Return what `request` makes of its arguments."""
    target, headers, fields, *_ = lowhaio._checked_request(
        http_version, method, url, params, headers, body, (), (), checks_content)
    return target, headers, fields


def request_head(url, method=b'GET', params=(), headers=(), http_version=b'HTTP/1.1'):
    """Return the request line and header section of a request, as its hook does."""
    target, headers, _ = checked_request(url, method, params, headers, http_version)
    return lowhaio._request_head(http_version, method, target.parsed, params, headers)


# (sentence, what follows http://a.test, params, request-target)
REQUEST_TARGETS = [
    ('a path is sent as it is', '/b/c!', (), b'/b/c!'),
    ('an empty path is a slash', '', (), b'/'),
    ('an empty path before a query is a slash', '?b', (), b'/?b'),
    ('dot segments are not removed', '/b/../c/./', (), b'/b/../c/./'),
    ('slashes are not joined', '//b//', (), b'//b//'),
    ('a + in a query is kept', '/?a+b', (), b'/?a+b'),
    ('escapes are kept in their case', '/%2f%2F%41?%2b%2B', (), b'/%2f%2F%41?%2b%2B'),
    ('a % that begins no escape is encoded', '/%?%', (), b'/%25?%25'),
    ('a % before one digit is encoded', '/%4?%4', (), b'/%254?%254'),
    ('a % before other letters is encoded', '/%zz%4g?%%41', (), b'/%25zz%254g?%25%41'),
    ('a space is encoded', '/a b?c d', (), b'/a%20b?c%20d'),
    ('a tab is encoded, not dropped', '/a\tb?c\td', (), b'/a%09b?c%09d'),
    ('others are UTF-8, encoded', '/\xfc\u20ac?\U0001f600', (), b'/%C3%BC%E2%82%AC?%F0%9F%98%80'),
    ('a query is kept, with more question marks', '/?a=b&c=/?d', (), b'/?a=b&c=/?d'),
    ('an empty query is not sent', '/a?', (), b'/a'),
    ('path parameters are kept', '/a;b=c/d;e', (), b'/a;b=c/d;e'),
    ('a fragment is not sent', '/a?b#c?d', (), b'/a?b'),
    ('a fragment after the host is not sent', '#/c', (), b'/'),
    ('a slash ends the host before an @', '/@b', (), b'/@b'),
    ('params follow a path', '/a', (('b', 'c'),), b'/a?b=c'),
    ('params follow an empty path', '', {'b': 'c'}, b'/?b=c'),
    ('params follow a query', '/a?b=c', (('d', 'e'),), b'/a?b=c&d=e'),
    ('params follow an empty query', '/a?#f', (('d', 'e'),), b'/a?d=e'),
    ('params repeat', '/', [('b', '1'), ('b', '2')], b'/?b=1&b=2'),
    ('params with many values repeat', '/', {'b': ['1', '2'], 'c': 3}, b'/?b=1&b=2&c=3'),
    ('params without values are not sent', '/?a', {'b': []}, b'/?a'),
    ('params are encoded', '/', {'b c': 'd+&=%20\xfc\r\n\0'},
     b'/?b%20c=d%2B%26%3D%2520%C3%BC%0D%0A%00'),
    ('params may be bytes', '/', ((b'b', b'\xff'),), b'/?b=%FF'),
]


@table('path, params, target', REQUEST_TARGETS)
def test_request_target(path, params, target):
    assert request_head('http://a.test' + path, params=params) == (
        b'GET %b HTTP/1.1\r\nhost: a.test\r\n\r\n' % target)


# (sentence, url, request-target, host field) of a request that carries an AWS signature
SIGNED_REQUESTS = [
    ('D1: the port is not in the host field', 'http://a.test:81/', b'/', b'a.test'),
    ('D2: all but unreserved characters are escaped', "http://a.test/b/-._~!$&'()*+,;=:@",
     b'/b/-._~%21%24%26%27%28%29%2A%2B%2C%3B%3D%3A%40', b'a.test'),
    ('D2: a tab is escaped once', 'http://a.test/a\tb?\tc', b'/a%09b?%09c', b'a.test'),
    ('D2: a % too, in the path alone', 'http://a.test/%41?%41+b', b'/%2541?%41+b', b'a.test'),
]


@table('url, target, host', SIGNED_REQUESTS)
def test_request_that_carries_an_aws_signature(url, target, host):
    field = b'Authorization', b'AWS4-HMAC-SHA256 Credential=a'
    assert request_head(url, headers=(field,)) == (
        b'GET %b HTTP/1.1\r\nhost: %b\r\n%b: %b\r\n\r\n' % (target, host, *field))
    assert b':81\r\n' in request_head(
        'http://a.test:81/', headers=((b'authorization', b'Basic AWS4-HMAC-SHA256'),))


@pytest.mark.parametrize('before', ['/', '/?'])
def test_every_character_that_a_target_cannot_hold_is_encoded(before):
    for character in map(chr, range(256)):
        url = f'http://a.test{before}a{character}b'
        if character in '\r\n\0':
            with pytest.raises(lowhaio.HttpConnectionError, match='without CR, LF and NUL'):
                request_head(url)
        elif character not in '/?%\t#':         # these have rows of their own
            encoded = urllib.parse.quote(character, "!$&'()*+,;=:@")        # RFC 3986 3.3
            assert request_head(url).split(b' ')[1] == f'{before}a{encoded}b'.encode()


# (sentence, url, host field, origin)
A_TEST = 'http', 'a.test', 80
HOST_FIELDS = [
    ('a name is the host', 'http://a.test/', b'a.test', A_TEST),
    ('https has port 443', 'https://a.test/', b'a.test', ('https', 'a.test', 443)),
    ('a port is sent', 'http://a.test:81/', b'a.test:81', ('http', 'a.test', 81)),
    ('the port of http is not sent', 'http://a.test:80/', b'a.test', A_TEST),
    ('the port of https is not sent', 'https://a.test:443/', b'a.test', ('https', 'a.test', 443)),
    ('port 80 of https is sent', 'https://a.test:80/', b'a.test:80', ('https', 'a.test', 80)),
    ('a port may be empty', 'https://a.test:/', b'a.test', ('https', 'a.test', 443)),
    ('a port may be 65535', 'http://a.test:65535', b'a.test:65535', ('http', 'a.test', 65535)),
    ('scheme and host are put into lower case', 'HTTP://A.Test/', b'a.test', A_TEST),
    ('userinfo is not sent', 'http://user:pass%40@a.test/', b'a.test', A_TEST),
    ('userinfo ends at the last @', 'http://b@c.test@a.test/', b'a.test', A_TEST),
    ('a name is put into punycode', 'http://\xfc.A', b'xn--tda.a', ('http', 'xn--tda.a', 80)),
    ('a name in punycode is kept', 'http://xn--tda/', b'xn--tda', ('http', 'xn--tda', 80)),
    ('a last capital sigma is one', 'http://\u03a3\u03a3/', b'xn--4xaa', ('http', 'xn--4xaa', 80)),
    ('a name may end in a dot', 'http://a.test./', b'a.test.', ('http', 'a.test.', 80)),
    ('a name may have _ and -', 'http://_a-b.test/', b'_a-b.test', ('http', '_a-b.test', 80)),
    ('a name may have 254 characters, the last a dot', 'http://' + 'a.' * 127, b'a.' * 127,
     ('http', 'a.' * 127, 80)),
    ('a name may have 253 characters', f'http://{"a." * 126}a', b'a.' * 126 + b'a',
     ('http', 'a.' * 126 + 'a', 80)),
    ('an address is sent', 'http://127.0.0.1:81/', b'127.0.0.1:81', ('http', '127.0.0.1', 81)),
    ('an IPv6 address is sent in brackets', 'http://[::1]/', b'[::1]', ('http', '::1', 80)),
    ('an IPv6 address may have a port', 'http://[::1]:81/', b'[::1]:81', ('http', '::1', 81)),
    ('an IPv6 address may follow userinfo', 'http://b@[::1]/', b'[::1]', ('http', '::1', 80)),
    ('an IPv6 address is shortened', 'http://[0:0:0:0:0:0:0:A]/', b'[::a]', ('http', '::a', 80)),
]


@table('url, host, origin', HOST_FIELDS)
def test_host_field_and_origin(url, host, origin):
    assert request_head(url) == b'GET / HTTP/1.1\r\nhost: %b\r\n\r\n' % host

    target, _, _ = checked_request(url)
    assert target.key == origin
    assert target.is_literal == (':' in origin[1] or origin[1] == '127.0.0.1')
    assert isinstance(target.parsed, urllib.parse.SplitResult)


def test_logged_url_has_no_userinfo():
    target, _, _ = checked_request('http://b:c@d@A.test:81/b?c#d')
    assert target.log_url == 'http://A.test:81/b?c#d'


ALL_BUT_CONTROLS = b'\t' + bytes(range(32, 127)) + bytes(range(128, 256))


@table('headers, lines', [
    ('the host field alone is added', (), [b'host: a.test']),
    ('fields are sent in their order and case, after host',
     [(b'B', b'1'), (b'a', b' 2 '), (b'B', b'')], [b'host: a.test', b'B: 1', b'a:  2 ', b'B: ']),
    ('host may be in any case', ((b'a', b'1'), (b'hOsT', b'b:81')), [b'a: 1', b'hOsT: b:81']),
    ('fields may come from an iterator', iter([(b'a', b'1')]), [b'host: a.test', b'a: 1']),
    ('fields may be items of a dict', {b'a': b'1'}.items(), [b'host: a.test', b'a: 1']),
    ('an empty host is one', [(b'host', b'')], [b'host: ']),
    ('values may hold all but control characters', [(b'a', ALL_BUT_CONTROLS)],
     [b'host: a.test', b'a: ' + ALL_BUT_CONTROLS]),
])
def test_header_section(headers, lines):
    expected = b'\r\n'.join([b'POST / HTTP/1.0', *lines, b'', b''])
    assert request_head('http://a.test/', b'POST', (), headers, b'HTTP/1.0') == expected


BAD_PORT = r'a port from 1 to 65535; got something else$'
BAD_HOST = 'beside the brackets|with a valid host'    # by the module, or by urlsplit
BAD_LENGTH = 'content-length as one number'

# By argument: (sentence, value that is refused, text of the ValueError)
REFUSED_ARGUMENTS = {
    'method': [
        ('a method must be bytes', 'http://secret@a.test/', 'method as bytes; got str$'),
        ('a method must not be missing', None, 'method as bytes; got NoneType$'),
        ('a method must be no URL', b'http://secret@a.test/', "as a token .*; got b'http:'$"),
        ('a method must be no long URL', b'http://secret@a.test/' + b'x' * 300, "got b'http:'$"),
        ('a method must not be empty', b'', "method as a token .*; got b''"),
        ('a method must be a token', b'GET /', "method as a token .*; got b'GET /'"),
        ('a method must not end its line', b'GET\r\n', 'a token'),
        ('a method must not be CONNECT', b'CONNECT', "got b'CONNECT'"),
        ('a method must not be CONNECT in any case', b'cOnnect', "got b'cOnnect'"),
        ('a long method is quoted in part', b'(' * 81, r"got b'\({80}'\.\.\.$"),
        ('a method must not have 257 bytes', b'A' * 257, 'at most 256 bytes, other than CONNECT'),
    ],
    'url': [
        ('a URL must be str', b'http://secret@a.test/', 'url as str; got bytes$'),
        *[(f'a URL must not hold CR, LF or NUL: {url!r}', url, 'url without CR, LF and NUL')
          for url in ('http://secret@a.test/\r', 'http://a.test/?\n', 'http://a.test/#\0',
                      'http://a\r.test/', '\nhttp://a.test/', 'http://secret@a.test/\n')],
        ('a URL must not hold half a surrogate pair', 'http://a.test/\ud800', 'surrogates'),
        ('a host must not have 254 characters', f'http://{"a." * 126}ab/', 'at most 253 .* 254$'),
        ('a host must not be too long in punycode', 'http://' + 'ä.' * 99, 'at most 253 .* 792$'),
        ('a host must not be as long as takes long to encode', 'http://' + '\u4e00' * 20000,
         'host of at most 253 characters; got 20000$'),
        ('a scheme must be http or https', 'ftp://secret@a.test/', "http or https; got 'a.test/'"),
        ('a scheme must not be missing', 'a.test/', "http or https; got 'a.test/'"),
        ('a host must not be missing', 'http:///a', "with a host, .*; got 'http:///a'"),
        ('a host must follow slashes', 'http:a.test/', "with a host, .*; got 'http:a.test/'"),
        ('a host must not be a port alone', 'http://:80/', "with a host, .*; got 'http://:80/'"),
        ('a host must not be userinfo alone', 'http://secret@/', "with a host, .*; got '/'"),
        ('a host must not hold a space', 'http://secret@a b/', "with a host, .*; got 'a b/'"),
        ('a host must not hold a tab', 'http://a\tb/', r"with a host, .*; got 'http://a\\tb/'"),
        ('a host must not hold an escape', 'http://a%2e/', "with a host, .*; got 'http://a%2e/'"),
        ('a host must not hold a letter that IDNA 2003 replaces', 'http://secret\xdf/y@a.test/',
         'another name by some: give it in punycode'),
        ('a host must not hold its capital either', 'http://FA\u1e9e.test/', 'in punycode'),
        ('a host must not hold a final sigma', 'http://\u03bb\u03c2.test/', 'in punycode'),
        ('a host must not hold a joiner', 'http://a\u200db.test/', 'in punycode'),
        ('a host must not hold a non-joiner', 'http://a\u200cb.test/', 'in punycode'),
        ('a URL must not have a space before it', ' http://secret@a.test/', 'spaces around it'),
        ('a URL must not have a space after it', 'http://a.test/ ', 'spaces around it'),
        ('a host must not hold a backslash', 'http://a\\b/', 'with a host'),
        ('a host must not hold an empty label', 'http://u@secret..x/y@a.test/', 'label'),
        ('a host must not hold a label of 64 bytes', f'http://secret{"a" * 58}/@a.test', 'label'),
        ('a host must not normalise to other parts', 'http://secret@a\u2100b/', 'a valid host'),
        ('a host must not normalise to userinfo', 'http://secret\uff20a.test/', 'a valid host'),
        ('brackets must close', 'http://[secret@a.test/', 'a valid host'),
        ('brackets must hold an address', 'http://[a.test]/', 'in the brackets|a valid host'),
        ('brackets must not hold IPv4', 'http://[127.0.0.1]/', 'in the brackets|a valid host'),
        ('brackets must not hold an address of the future', 'http://[v1.a]/',
         r"in the brackets of url; got 'http://\[v1.a\]/'"),
        ('brackets must not hold a zone', 'http://[fe80::1%secret]/y@a.test/', 'without a zone'),
        ('nothing may precede brackets', 'http://secret@a[::1]/', BAD_HOST),
        ('nothing but a port may follow brackets', 'http://[::1]secret/y@a.test/', BAD_HOST),
        ('a bracket must not stand for a port', 'http://[::1]:]/', 'beside the brackets'),
        ('brackets must not be in userinfo', 'http://b[::1]@a.test/', BAD_HOST),
        *[(f'a port must not be {port!a}', f'http://user:secret@a.test:{port}/', BAD_PORT)
          for port in ('b', '+80', '-1', '8_0', ' 80', '\u0668\u0660', '0', '65536')],
        *[(f'a password must not hold a {character}', f'http://user:secret{character}b@a.test/',
           BAD_PORT) for character in '/?#'],
    ],
    'params': [
        ('params must be what urlencode takes', 5, 'params, pairs or a mapping; got not a valid'),
        ('params must be pairs', 'secret', 'params, pairs or a mapping; got not a valid'),
        ('params must not be missing', None, 'params, pairs or a mapping; got not a valid'),
        ('params must be UTF-8', {'a': '\ud800'}, 'pairs or a mapping; got .* surrogates'),
        ('params with many values must be UTF-8', {'a': ['\ud800']}, 'mapping; got .* surrog'),
    ],
    'headers': [
        ('fields must be iterable', 5, "valid headers, pairs of bytes; got 'int'"),
        ('fields must not be missing', None, "valid headers, pairs of bytes; got 'NoneType'"),
        ('fields must not be a dict', {b'accept': b'*/*'}, r'pass its \.items\(\)$'),
        ('fields must not be lines', [b'a: secret'],
         r"headers as pairs of bytes, such as \(\(b'accept', b'\*/\*'\),\); got bytes$"),
        ('fields must not be lines of str', [('a: secret',)], r'got \(str\)$'),
        ('a field must not be its name alone', [(b'secret',)], r'got \(bytes\)$'),
        ('fields must not be one pair', (b'ab', b'cd'), r'\(\(.*\),\); got bytes$'),
        ('fields must not be empty', [()], r'got \(\)$'),
        ('a field must not be in brackets of its own', [((b'a', b'secret'),)], r'got \(tuple\)$'),
        ('fields must not be triples', [(b'a', b'secret', b'')], r"got \(b'a', bytes, bytes\)$"),
        ('fields must not be numbers', [5], 'as pairs of bytes, .*; got int$'),
        ('a field name must be bytes', [('a', b'b')], r'got \(str, bytes\)$'),
        ('a field value must be bytes', [(b'a', 'b')], r"got \(b'a', str\)$"),
        ('a length must be bytes', [(LENGTH, 5)], r"got \(b'Content-Length', int\)$"),
        ('a field name must not be empty', [(b'', b'b')], "name as a token .*; got b''"),
        ('a field name must be a token', [(b'a: secret', b'')], "a token .*; got b'a:'$"),
        ('a field name must not end in a space', [(b'host ', b'b')], "a token .*; got b'host '"),
        ('a field name must not hold CRLF', [(b'a\r\nb', b'c')], 'a token'),
        *[(f'a field value must not be {value!r}', [(b'a', value)],
           "expected b'a' with a value without control characters")
          for value in (b'b\rc', b'secret\n', b'b\0c', b'b\ac', b'b\x7fc', b'b\r\n c', b'b\r\n')],
        ('fields must not be iterators', [iter((b'a', b'b'))], 'got tuple_iterator$'),
        *[(f'host must not be {value!r}', [(b'Host', value)],
           'expected a host field of a host, and a port')
          for value in (b'a b', b'a/', b'a@b', b'http://a', b'a:b', b'[::1', b'a:1:2')],
        ('host must be given once', [(b'host', b'a'), (b'Host', b'a')], 'one host field'),
        *[(f'a length must not be {value[:20]!r}', [(LENGTH, value)], BAD_LENGTH)
          for value in (b'', b' ', b'-0', b'-5', b'+5', b'5_0', b'0x5', b'5.0', b'5 0', b'5,5',
                        b'5, 6', b'five', b'5;', b'1e3', b'\xa05', b'9' * 19, '\u0665'.encode(),
                        b'5' * 1_000_000)],
        ('a length must be given once', [(LENGTH, b'5'), (LENGTH.lower(), b'5')], BAD_LENGTH),
        ('lengths must not differ', [(LENGTH, b'5'), (LENGTH.lower(), b'6')], BAD_LENGTH),
        *[(f'a coding must not be {value!r}', [(CODING, value)],
           'a list of codings that ends in chunked, once')
          for value in (b'', b'gzip', b'identity', b'xchunked', b'chunkedx', b'chunked;q=1',
                        b'"chunked"', b'chunked,', b'chunked, gzip', b'chunked, identity',
                        b'chun ked', b',chunked', b'"x, chunked', b'gzip;q=1, chunked',
                        b'chunked;q=1, chunked', b'chunked, chunked', b'Chunked,gzip,CHUNKED')],
        ('a coding must be the last of all fields',
         [(CODING, b'chunked'), (CODING.lower(), b'gzip')], 'ends in chunked'),
        ('a coding must be chunked once in all fields',
         [(CODING, b'chunked'), (CODING.lower(), b'chunked')], 'chunked, once'),
        ('a length must be without a coding', [(LENGTH, b'5'), (CODING, b'chunked')], 'got both'),
        ('an empty length must too', [(CODING, b'chunked'), (LENGTH, b'')], 'got both'),
    ],
    'body': [
        ('a body must be a function, not bytes', b'a', r'as streamed\(data\); got bytes$'),
        ('a body must be a function, not str', 'a', r'as streamed\(data\); got str$'),
        ('a body must not be missing', None, r'as streamed\(data\); got NoneType$'),
    ],
}
# (sentence, arguments of checked_request, text of the ValueError)
REFUSED_REQUESTS = [
    *[(f'TRACE must not have a body: {what}', {
        'method': b'TRACE', 'headers': [(LENGTH, b'1')], 'body': body}, 'TRACE without a body')
      for what, body in (('known', lowhaio.streamed(b'a')), ('iterated', lambda: None))],
    *[(sentence, {argument: value}, text)
      for argument, rows in REFUSED_ARGUMENTS.items() for sentence, value, text in rows],
    ('a coding must not be in HTTP/1.0',
     {'headers': [(CODING, b'chunked')], 'http_version': b'HTTP/1.0'},
     'no transfer-encoding in HTTP/1.0'),
    ('content must be as its coding says', {
        'headers': [(CODING, b'chunked')], 'body': lowhaio.streamed(b'secret'),
        'checks_content': True}, 'a chunk size .*; got 6 bytes that are not'),
]


@table('given, text', REFUSED_REQUESTS)
def test_refused_request_says_why_and_quotes_nothing_private(given, text):
    with pytest.raises(lowhaio.HttpConnectionError, match=text) as caught:
        checked_request(**{'url': 'http://a.test/', **given})
    assert type(caught.value) is lowhaio.HttpConnectionError
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value) == f'request refused: {caught.value.__cause__}'
    assert len(str(caught.value)) < 300
    assert 'secret' not in ''.join(traceback.format_exception(caught.value))


@in_loop
async def test_refused_request_opens_nothing_and_does_not_start_its_body():
    def body():
        pytest.fail('a refused request has called its body')

    dns = Dns()         # not started: to ask it would not be a refusal
    for _, given, text in REFUSED_REQUESTS:
        given = {'method': b'GET', 'url': 'http://127.0.0.1/', 'body': body, **given}
        given.pop('checks_content', None)           # the default hooks do
        async with pool(get_dns_resolver=dns.get_resolver, get_sock=pytest.fail,
                        http_version=given.pop('http_version', b'HTTP/1.1')) as request:
            with pytest.raises(lowhaio.HttpConnectionError, match=text):
                await request(**given)


@pytest.mark.parametrize(('before', 'after'), [(b'', b''), (b'a', b''), (b'', b'a'), (b'a', b'a')])
def test_every_byte_is_part_of_a_token_or_is_refused(before, after):
    for number in range(256):
        token = before + bytes([number]) + after
        heads = []
        for given in ({'method': token}, {'headers': [(token, b'')]}):
            with contextlib.suppress(lowhaio.HttpConnectionError):
                heads.append(request_head('http://a.test/', **given))
        assert heads == ([] if number not in TCHAR else [
            b'%b / HTTP/1.1\r\nhost: a.test\r\n\r\n' % token,
            b'GET / HTTP/1.1\r\nhost: a.test\r\n%b: \r\n\r\n' % token])


@hypothesis.settings(max_examples=300, deadline=None, database=None, derandomize=True)
@hypothesis.given(
    url=st.text(max_size=20),
    params=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    method=st.binary(min_size=1, max_size=3) | st.just(b'GET'),
    headers=st.lists(
        st.tuples(st.binary(max_size=3) | st.just(b'a'), st.binary(max_size=5)), max_size=3))
def test_whatever_is_sent_has_its_lines_and_no_others(url, params, method, headers):
    try:
        head = request_head('http://a.test/' + url, method, params, headers)
    except lowhaio.HttpConnectionError as error:
        assert isinstance(error.__cause__, ValueError)
        return

    request_line, *lines = head.split(b'\r\n')
    assert re.fullmatch(rb'[!-~]+ /[!"$-~]* HTTP/1\.1', request_line)
    assert not re.search(rb'[\r\n\0]', head.replace(b'\r\n', b''))
    host = [] if any(name.lower() == b'host' for name, _ in headers) else [b'host: a.test']
    assert lines == [*host, *[b'%b: %b' % field for field in headers], b'', b'']


@table('headers, fields', [
    ('other fields do not frame', [(b'a', b'b')], {}),
    ('a length frames', [(LENGTH, b'5')], {b'content-length': b'5'}),
    ('a length of 0 frames', [(b'content-length', b'0')], {b'content-length': b'0'}),
    ('zeros before a length are dropped', [(LENGTH, b'000050')], {b'content-length': b'50'}),
    ('zeros before a length of 0 are dropped', [(LENGTH, b'000')], {b'content-length': b'0'}),
    ('spaces around a length are dropped', [(LENGTH, b' \t5\t ')], {b'content-length': b'5'}),
    ('a length may have 18 digits', [(LENGTH, b'9' * 18)], {b'content-length': b'9' * 18}),
    ('chunked frames, any case', [(CODING, b' Chunked\t')], {b'transfer-encoding': b' Chunked\t'}),
    ('chunked may come after another coding', [(b'transfer-encoding', b'gzip , chunked')],
     {b'transfer-encoding': b'gzip , chunked'}),
    ('codings may be in many fields', [(CODING, b'gzip'), (CODING, b'chunked')],
     {b'transfer-encoding': b'gzip,chunked'}),
    ('connection options may be in many fields',
     [(b'connection', b'a'), (b'Connection', b'close'), (b'host', b'b')],
     {b'connection': b'a,close', b'host': b'b'}),
])
def test_request_framing(headers, fields):
    checked = checked_request('http://a.test/', headers=iter(headers))
    assert checked[1:] == (tuple(headers), fields)


@pytest.mark.parametrize('method', [b'POST', b'UNLOCK'])       # on both sides of TRACE
def test_request_framing_by_a_length_in_http_1_0(method):
    checked = checked_request('http://a.test/', method, headers=[(LENGTH, b'5')],
                              http_version=b'HTTP/1.0', body=lowhaio.streamed(b'hello'))
    assert checked[1:] == (((LENGTH, b'5'),), {b'content-length': b'5'})


# Response on the wire.

class Gives(NamedTuple):
    """What a response means. Its fields are those of its last header section, unless given."""

    code: bytes
    content: bytes
    kept: float = 15                    # seconds that its connection may be idle, of 15
    headers: tuple | None = None
    leftover: bytes = b''
    until_close: bool = False           # else the response says where it ends


def until_close(code, content):
    return Gives(code, content, kept=0, until_close=True)


def malformed(text):
    return lowhaio.HttpDataError, text


def too_long(what, limit):
    text = f'expected {what} of at most {limit} bytes; got more: max_header_length sets the limit'
    return lowhaio.HttpHeaderTooLong, text


def reply(*lines, content=b'', status=b'HTTP/1.1 200 OK'):
    return b'\r\n'.join([status, *lines, b'', content])


def reply_of(code, *lines, content=b''):
    return reply(*lines, content=content, status=b'HTTP/1.1 %b x' % code)


def chunked(content, *lines):
    return reply(CHUNKED_LINE, *lines, content=content)


def row(sentence, raw, expected, method=b'GET', limit=16384):
    """Return a row of RESPONSES. What is expected of a 200 may be its content alone."""
    expected = Gives(b'200', expected) if isinstance(expected, bytes) else expected
    return sentence, method, raw, expected, limit


STATUS_1_0 = b'HTTP/1.0 200 OK'
LENGTH_0, LENGTH_2 = b'content-length: 0', b'content-length: 2'
CHUNKED_LINE, IDENTITY_LINE = b'transfer-encoding: chunked', b'transfer-encoding: identity'
KEEP_ALIVE_LINE, HINT_OF_5 = b'connection: keep-alive', b'keep-alive: timeout=5'
CONTINUE = b'HTTP/1.1 100 Continue\r\n\r\n'
EVERY_BYTE = bytes(range(256))
CHUNKED_HEAD = chunked(b'')
HTTP2_SETTINGS = bytes.fromhex('000012040000000000000300000080000400010000000500ffffff')
OK_UNTIL_CLOSE = until_close(b'200', b'ok')
NOT_A_STATUS_LINE = malformed('expected a status line')
NOT_A_FIELD_LINE = malformed('expected a field line; got')
BROKEN_LINE = malformed('lines that end in CRLF or LF, without other CR and NUL; got')
NOT_A_LENGTH = malformed('expected content-length as one number of at most 18 digits; got')
NOT_THAT_CODING = malformed(
    'expected transfer-encoding chunked, without content-length, in HTTP/1.1; got')
NOT_A_CHUNK_SIZE = malformed('expected a chunk size; got')
NOT_CRLF = malformed('expected CRLF after a chunk; got')
LONG_HEAD = too_long('a header section', 100)
LONG_SIZE = too_long('a chunk-size line', 100)

RESPONSES = [
    # Status lines, RFC 9112 4.
    row('a response has fields and content', reply(b'A: b', b'Content-Length: 2', content=b'ok'),
        Gives(b'200', b'ok', headers=((b'a', b'b'), (b'content-length', b'2')))),
    *[row(sentence, reply(LENGTH_0, status=b'HTTP/1.1 ' + status), Gives(status[:3], b''))
      for sentence, status in (
          ('a reason phrase may have words and other bytes', b'404 Not \xff\t Found: '),
          ('a reason phrase may be empty', b'200 '),
          ('the space before a missing reason phrase may be missing', b'200'),
          ('a code may be any three digits', b'999 x'), ('a code may be below 100', b'099 x'))],
    *[row(f'a status line must not be {line!r}', reply(LENGTH_0, status=line), NOT_A_STATUS_LINE)
      for line in (
          b'', b'HTTP/2 200 OK', b'HTTP/0.9 200 OK', b'HTTP/1.10 200 OK', b'HTTP/01.1 200 OK',
          b'http/1.1 200 OK', b'HTTPS/1.1 200 OK', b' HTTP/1.1 200 OK', b'HTTP/1.1', b'HTTP/1.1 ',
          b'HTTP/1.1 20 OK', b'HTTP/1.1 2000 OK', b'HTTP/1.1 2xx OK', b'HTTP/1.1 -20 OK',
          b'HTTP/1.1  200 OK', b'HTTP/1.1\t200 OK', b'HTTP/1.1 200\tOK', b'HTTP/1.1 200OK',
          b'HTTP/1.1 \xb2\xb2\xb2 OK', b'200 OK', b'ICY 200 OK', b'SSH-2.0-OpenSSH_9.2',
          b'\x15\x03\x03\x02')],
    row('D9: HTTP/1.2 is refused', reply(status=b'HTTP/1.2 200 OK'), NOT_A_STATUS_LINE),
    row('what is no status line is found before its end', b'SSH-2.0', NOT_A_STATUS_LINE),
    row('an empty line is found before its end, and is not said to be TLS', b'\r\n',
        malformed('expected a status line; got an empty line$')),
    row('an empty line before a response is told as one', b'\r\n' + OK,
        malformed('expected a status line.*; got an empty line$')),

    # Interim responses, RFC 9110 15.2.
    *[row(sentence, interim + OK, b'ok') for sentence, interim in (
        ('an interim response is skipped', CONTINUE),
        ('interim responses may have fields', reply_of(b'103', b'link: </a>') + CONTINUE),
        ('an interim response has no content, even if it says so', reply_of(b'102', LENGTH_2)),
        ('hundreds of interim responses are skipped', CONTINUE * 600))],
    row('D7: interim responses above the limit in all are refused', CONTINUE * 5 + OK,
        too_long('all interim responses', 100), limit=100),
    row('an interim response must be well-formed', reply_of(b'100', b'a') + OK, NOT_A_FIELD_LINE),
    row('what follows an interim response must be one', CONTINUE + b'ok', NOT_A_STATUS_LINE),
    *[row(sentence, reply_of(b'101', *lines, content=b'\0\xff'), until_close(b'101', b'\0\xff'))
      for sentence, *lines in (
          ('a 101 is final, and its stream goes on', b'upgrade: a', b'connection: upgrade'),
          ('the stream after a 101 has no length', b'content-length: 1'),
          ('the stream after a 101 has no coding', CHUNKED_LINE))],
    row('a connection is not kept after a 101 to HEAD', reply_of(b'101', content=b'ab'),
        until_close(b'101', b'ab'), b'HEAD'),

    # Field lines, RFC 9112 5.
    *[row(sentence, reply(*lines), Gives(b'200', b'', headers=tuple(headers)), b'HEAD')
      for sentence, lines, *headers in (
          ('there may be no fields, thus neither length nor coding', []),
          ('names are put into lower case, and repeated fields kept in order',
           [b'Set-Cookie: a', b'B: c', b'SET-COOKIE: b', b'set-cookie: a'],
           (b'set-cookie', b'a'), (b'b', b'c'), (b'set-cookie', b'b'), (b'set-cookie', b'a')),
          ('a name may have all characters of a token', [TCHAR + b': a'], (TCHAR.lower(), b'a')),
          ('a value may be empty', [b'a:', b'b: \t '], (b'a', b''), (b'b', b'')),
          ('spaces and tabs around a value are dropped, inside they are kept',
           [b'a:\t b \t c\t '], (b'a', b'b \t c')),
          ('other white space of a value is kept', [b'a:\x0bb\x0c\xa0'], (b'a', b'\x0bb\x0c\xa0')),
          ('a letter at either end of a value is kept, also when folded',
           [b'a: XaX', b' XbX', b'b:', b' XcX'], (b'a', b'XaX XbX'), (b'b', b'XcX')),
          ('a value may have colons and other bytes', [b'a: :b:\xff\x01'], (b'a', b':b:\xff\x01')),
          ('a folded line is joined by a space', [b'a: b', b'  \tc: d ', b'e: f'],
           (b'a', b'b c: d'), (b'e', b'f')),
          ('a line may be folded often', [b'a:', b' b', b'\tc', b' ', b' d'], (b'a', b'b c d')),
          ('a folded line without a value folds', [b'a: b', b' \t'], (b'a', b'b')))],
    row('a folded line is part of its length', reply(b'content-length: 1', b' 0'), NOT_A_LENGTH),
    row('a folded line may hold the whole length', reply(b'content-length:', b' 2', content=b'ok'),
        Gives(b'200', b'ok', headers=((b'content-length', b'2'),))),
    row('a folded line may hold the coding',
        reply(b'transfer-encoding:', b'\tchunked', content=b'0\r\n\r\n'),
        Gives(b'200', b'', headers=((b'transfer-encoding', b'chunked'),))),
    row('the first field must not be folded', reply(b' a: b', LENGTH_0), NOT_A_FIELD_LINE),
    *[row(f'a field line must not be {line!r}', reply(LENGTH_0, line), NOT_A_FIELD_LINE)
      for line in (b'a', b':', b': b', b'a : b', b'a\t: b', b'content-length : 5', b'a b: c',
                   b'"a": b', b'a(b): c', b'\xffa: b', b'\xc3\xbc: b', b'a\x0b: b', b'\x0ba: b',
                   b'\xa0a: b', b'a=b', b'HTTP/1.1 200 OK')],
    *[row(f'a header section must not hold a lone {byte!r}{where}', raw, BROKEN_LINE)
      for byte in (b'\r', b'\0')
      for where, raw in (
          ('', reply(LENGTH_2, b'a: b%bc: d' % byte, content=b'ok')),
          (' at the end of a line', reply(LENGTH_2, b'a: b' + byte, content=b'ok')),
          (' in a name', reply(LENGTH_2, b'a%bb: c' % byte, content=b'ok')),
          (' in its status line', reply(LENGTH_0, status=b'HTTP/1.1 200 O%bK' % byte)),
          (' in a folded line', reply(b'a: b', b' c%bd' % byte, LENGTH_2, content=b'ok')),
          (' before its end', b'HTTP/1.1 200 OK\r\n%ba' % byte))],
    row('lines may end in LF alone', b'HTTP/1.1 200 OK\ncontent-length: 2\na: b\n c\n\nok',
        Gives(b'200', b'ok', headers=((b'content-length', b'2'), (b'a', b'b c')))),
    row('the last line may end in LF', b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok', b'ok'),
    row('the empty line alone may end in CRLF',
        b'HTTP/1.1 200 OK\ncontent-length: 6\n\r\n\r\n\r\nok', b'\r\n\r\nok'),
    row('content may hold what ends a header section',
        b'HTTP/1.1 200 OK\r\ncontent-length: 6\n\na\r\n\r\nb', b'a\r\n\r\nb'),
    row('a script may end the section with LF alone, and its content with the connection',
        b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\n\nhello\n',
        until_close(b'200', b'hello\n')),
    row('a lone LF in a name parts a line that is none', reply(b'a\nb: c'), NOT_A_FIELD_LINE),
    *[row(sentence, raw, BROKEN_LINE) for sentence, raw in (
        ('a lone CR and a lone LF do not make a pair', reply(LENGTH_0, b'a: b\rc\nd')),
        ('lines must not end in CR CR LF', reply(b'content-length: 0\r')),
        ('lines must not end in LF CR', b'HTTP/1.1 200 OK\n\rcontent-length: 0\n\r\n\r'))],

    # Content-length, RFC 9110 8.6 and RFC 9112 6.3 rules 5 and 6.
    row('content of length 0 is none', reply(LENGTH_0), b''),
    row('content may be any bytes', reply(b'content-length: 256', content=EVERY_BYTE), EVERY_BYTE),
    *[row(sentence, reply(*lines, content=b'ok'), b'ok') for sentence, *lines in (
        ('a length may have zeros before it', b'content-length: 0002'),
        ('a length may have more zeros than int takes digits', b'content-length: %05000d' % 2),
        ('spaces around a length are dropped', b'content-length:\t 2 \t'),
        ('the same length in two fields counts as one', LENGTH_2, b'a: b', b'Content-Length: 2'),
        ('the same length in a list counts as one', b'content-length: 2 , 2 ,\t2'),
        ('the same length in fields and lists counts as one', b'content-length: 2,2', LENGTH_2),
        ('D5: identity counts as none, before a length', IDENTITY_LINE, LENGTH_2))],
    row('lengths in a list may have spaces around them', reply(b'content-length: 0\t, 0 ,0'), b''),
    row('a length may have 18 digits', reply(b'content-length: ' + b'9' * 18),
        (lowhaio.HttpConnectionClosedError, '^expected 9{18} more bytes of content; got the end')),
    *[row(sentence, reply(LENGTH_2, line, content=b'okk'), NOT_A_LENGTH) for sentence, line in (
        ('lengths in two fields must not differ', b'content-length: 3'),
        ('a bad length must not follow a good one', b'content-length: x'))],
    *[row(f'a length must not be {value[:20]!r}', reply(b'content-length: ' + value), NOT_A_LENGTH)
      for value in (b'', b'-2', b'+2', b'-0', b'0x2', b'2_0', b'2.0', b'2 0', b'2;', b'2, 3',
                    b'2, 02', b'2,', b',2', b',', b'2,,2', b'two', b'"2"', b'\x0b2', b'2\xa0',
                    b'\xb2', b'\xd9\xa2', b'9' * 19, b'9' * 5000, b'X0', b'0, X0')],
    row('a bad length is quoted in part', reply(b'content-length: ' + b'9' * 81),
        malformed(r"one number of at most 18 digits; got b'9{80}'\.\.\.$")),

    # Transfer-encoding, RFC 9112 6.3 rules 3 and 4.
    row('chunked content is as long as its chunks', chunked(b'2\r\nok\r\n0\r\n\r\n'), b'ok'),
    row('chunked may be in any case',
        reply(b'Transfer-Encoding: \tChUnKeD ', content=b'0\r\n\r\n'), b''),
    row('D5: identity counts as none, without a length',
        reply(b'transfer-encoding: Identity', content=b'ok'), OK_UNTIL_CLOSE),
    row('D5: identity counts as none, in HTTP/1.0',
        reply(IDENTITY_LINE, LENGTH_0, status=STATUS_1_0), Gives(b'200', b'', kept=0)),
    *[row(f'{what} is refused', reply(*lines), NOT_THAT_CODING) for what, *lines in (
        ('D6: chunked before a length', CHUNKED_LINE, b'content-length: 5'),
        ('D6: chunked after a length', b'content-length: 5', CHUNKED_LINE),
        ('D6: chunked with an empty length', b'content-length:', CHUNKED_LINE),
        ('D8: gzip before chunked', b'transfer-encoding: gzip, chunked'),
        ('a coding before chunked in another field', b'transfer-encoding: gzip', CHUNKED_LINE),
        ('chunked in two fields', CHUNKED_LINE, CHUNKED_LINE),
        ('identity before chunked in another field', IDENTITY_LINE, CHUNKED_LINE),
        ('a coding in a folded line', CHUNKED_LINE, b' , gzip'))],
    row('chunked in HTTP/1.0 is refused', reply(CHUNKED_LINE, status=STATUS_1_0), NOT_THAT_CODING),
    *[row(f'coding {value!r} is refused', reply(b'transfer-encoding: ' + value), NOT_THAT_CODING)
      for value in (b'', b'gzip', b'chunked, gzip', b'chunked, chunked', b'identity, chunked',
                    b'chunked, identity', b'identity, identity', b'xchunked', b'chunkedx',
                    b'chunked;q=1', b'"chunked"', b'chunked,', b',chunked', b'\x0bchunked',
                    b'chunked\x0c', b'\xa0chunked', b'chun ked', b'cow')],

    # Responses without content, RFC 9112 6.3 rule 1.
    row('HEAD has no content, whatever its length', reply(b'content-length: 5'), b'', b'HEAD'),
    row('HEAD has no content, whatever its coding', reply(CHUNKED_LINE), b'', b'HEAD'),
    *[row(sentence, reply_of(code, *lines), Gives(code, b'', kept))
      for sentence, code, kept, *lines in (
          ('a 304 has no content, whatever its length says', b'304', 15, b'content-length: 5'),
          ('a 304 has no content without either', b'304', 15),
          ('a 204 with a length of 0 has no content', b'204', 15, LENGTH_0),
          ('a 205 may have content, so that its length counts', b'205', 15, LENGTH_0),
          # Not kept, since content may follow all the same
          ('a 304 has no content, whatever its coding says', b'304', 0, CHUNKED_LINE),
          ('a 204 has no content, but what follows chunked is unknown', b'204', 0, CHUNKED_LINE))],
    row('a 204 has no content', reply_of(b'204'), Gives(b'204', b''), b'DELETE'),
    row('D3: a 204 with a length has that content', reply_of(b'204', LENGTH_2, content=b'ok'),
        Gives(b'204', b'ok')),
    row('a 204 must not have a bad length', reply_of(b'204', b'content-length: x'), NOT_A_LENGTH),
    row('a 204 must not have a length and chunked', reply_of(b'204', LENGTH_2, CHUNKED_LINE),
        NOT_THAT_CODING),

    # Until close, RFC 9112 6.3 rule 8.
    row('without length and coding, content ends with the stream', reply(content=b'ok\r\n'),
        until_close(b'200', b'ok\r\n')),
    row('content until close may be empty', reply(b'connection: close'), until_close(b'200', b'')),
    *[row(sentence, reply(line, content=b'ok'), OK_UNTIL_CLOSE) for sentence, line in (
        ('options other than keep-alive leave it at that', b'connection: a, keep-alivex'),
        ('a keep-alive field leaves it at that', HINT_OF_5),
        ('with keep-alive, content ends with the connection all the same', KEEP_ALIVE_LINE),
        ('a close beside the keep-alive wins', b'connection: keep-alive, close'))],
    row('with keep-alive in HTTP/1.0 too',
        reply(KEEP_ALIVE_LINE, content=b'ok', status=STATUS_1_0), OK_UNTIL_CLOSE),
    row('D4: without length and coding, but with keep-alive, DELETE has no content',
        reply(KEEP_ALIVE_LINE), b'', b'DELETE'),
    row('D4: keep-alive may be in a list, in any case, in HTTP/1.0',
        reply(b'Connection: a', b'connection: b ,\tKeep-Alive', status=STATUS_1_0), b'',
        b'DELETE'),
    row('without keep-alive, DELETE has content that ends with the connection',
        reply(content=b'ok'), OK_UNTIL_CLOSE, b'DELETE'),
    row('with keep-alive, methods but DELETE have such content',
        reply(KEEP_ALIVE_LINE, content=b'ok'), OK_UNTIL_CLOSE, b'COPY'),

    # Chunked, RFC 9112 7.1.
    *[row(sentence, chunked(content), means) for sentence, content, means in (
        ('there may be many chunks', b'1\r\na\r\n2\r\nbc\r\n3\r\nd\r\n\r\n0\r\n\r\n', b'abcd\r\n'),
        ('there may be no chunk but the last', b'0\r\n\r\n', b''),
        ('chunks may look like the end', b'7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n', b'\r\n0\r\n\r\n'),
        ('a chunk size is hexadecimal, in any case',
         b'1a\r\n%b\r\nA\r\n%b\r\n0\r\n\r\n' % (b'a' * 26, b'b' * 10), b'a' * 26 + b'b' * 10),
        ('spaces and tabs after a chunk size are dropped', b'2 \t \r\nok\r\n0\t\r\n\r\n', b'ok'),
        ('chunk extensions are dropped',
         b'2;a=b\r\nok\r\n2 ; a ="b\xff;0"\r\nay\r\n0;\r\n\r\n', b'okay'),
        ('trailer fields are dropped', b'2\r\nok\r\n0\r\nA: b\r\nc:\r\n d\r\n\r\n', b'ok'),
        ('trailers do not frame', b'0\r\ncontent-length: 9\r\nconnection: close\r\n\r\n', b''))],
    *[row(f'a chunk size may have {digits} digits',
          chunked(b'%b\r\nok\r\n%b\r\n\r\n' % (b'2'.zfill(digits), b'0' * digits)), b'ok')
      for digits in range(1, 17)],
    *[row(f'a chunk-size line must not be {line!r}', chunked(line + b'\r\nok\r\n0\r\n\r\n'),
          NOT_A_CHUNK_SIZE)
      for line in (b'', b' ', b' 2', b'\t2', b'-2', b'+2', b'0x2', b'2h', b'g', b'2 2', b'2_0',
                   b'2,2', b';a', b'2 a=b', b'2\x0b', b'\xb2', b'2;a\rb', b'2;a\nb', b'2;a\0b',
                   b'2\r', b'2\n', b'2\0', b'2\r\r', b'2;\r\r', b'2'.zfill(17))],
    *[row(f'{line!r} is refused before the end of its line', chunked(line),
          malformed('^' + re.escape(f'expected a chunk size; got {line!r}') + '$'))
      for line in (b';', b' ', b'\r', b'5;\n', b'5;\ra', b'5;\0', b'5\r\r', b'5 5', b'0' * 17)],
    *[row(f'chunks must not be {content!r}', chunked(content), NOT_A_CHUNK_SIZE)
      for content in (b'0' * 17 + b'\r\n\r\n', b'2\nok\n0\n\n', b'2;a\nok\r\n0\r\n\r\n',
                      b'2\rok\r\n0\r\n\r\n', b'x', b'2\r\nok\r\n-2\r\nok\r\n')],
    *[row(f'a chunk must not end in {end!r}', chunked(b'2\r\nok' + end + b'0\r\n\r\n'), NOT_CRLF)
      for end in (b'', b'a', b'!\r\n', b'\n', b'\r', b'\n\r', b'\r\r\n', b' \r\n', b'\0')],
    *[row(f'a trailer section must not hold {line!r}',
          chunked(b'2\r\nok\r\n0\r\n%b\r\n\r\n' % line), NOT_A_FIELD_LINE)
      for line in (b'a', b' a: b', b'a : b', b': b', b'a: b\r\nc', b'0', b'a: b\nc')],
    *[row(f'a trailer section must not be {section!r}', chunked(b'0\r\n' + section), BROKEN_LINE)
      for section in (b'a: b\rc: d\r\n\r\n', b'a: \0\r\n\r\n', b'\0', b'\ra')],
    *[row(f'a trailer section may be {section!r}', chunked(b'0\r\n' + section + b'HTTP'),
          Gives(b'200', b'', leftover=b'HTTP'))
      for section in (b'\n', b'a: b\n\n', b'a: b\r\n\n', b'a: b\nc: d\r\n\r\n')],

    # Limits: the header section of the first rows has 100 and 101 bytes, and so on.
    *[row(sentence, raw, expected, b'HEAD', limit=100) for sentence, raw, expected in (
        ('a header section may have as many bytes as the limit', reply(b'a: %076d' % 0), b''),
        ('a header section must not have one byte more', reply(b'a: %077d' % 0), LONG_HEAD),
        ('an unfinished head must leave room to end', reply(b'a: %077d' % 0)[:100], LONG_HEAD),
        ('an interim response may have as many bytes as the limit',
         reply_of(b'100', b'a: %077d' % 0) + reply(b'a: %076d' % 0), b''),
        ('interim responses may have as many bytes in all as the limit',
         CONTINUE * 4 + reply(b'a: %076d' % 0), b''),
        ('an interim response must not have one byte more',
         reply_of(b'100', b'a: %078d' % 0) + reply(), LONG_HEAD))],
    row('content does not count as header section, also after LF alone',
        b'HTTP/1.1 200 OK\ncontent-length: 200\n\n' + b'a' * 200, b'a' * 200, limit=100),
    *[row(sentence, chunked(content), expected, limit=100) for sentence, content, expected in (
        ('a chunk-size line may have as many bytes as the limit',
         b'2;%096d\r\nok\r\n0;%096d\r\n\r\n' % (0, 0), b'ok'),
        ('a chunk-size line must not have more', b'2;%097d\r\nok\r\n0\r\n\r\n' % 0, LONG_SIZE),
        ('the last size line must not have more', b'2\r\nok\r\n0;%097d\r\n\r\n' % 0, LONG_SIZE),
        ('a chunk-size line must not have one more space',
         b'2%b\r\nok\r\n0\r\n\r\n' % (b' ' * 98), LONG_SIZE),
        ('an unfinished size line must leave room for its end', b'5'.ljust(100), LONG_SIZE),
        ('an unfinished size line may leave room for its end alone', b'5'.ljust(99),
         (lowhaio.HttpConnectionClosedError, '^expected a chunk size; got the end of the stream')),
        ('size lines do not add up', b'1;%096d\r\na\r\n' % 0 * 3 + b'0\r\n\r\n', b'aaa'),
        ('a trailer section may have as many bytes', b'0\r\na: %093d\r\n\r\n' % 0, b''),
        ('a trailer section must not have one byte more',
         b'0\r\na: %094d\r\n\r\n' % 0, too_long('a trailer section', 100)))],
]


of_each_valid = table(('method', 'raw', 'expected', 'limit'), [
    valid for valid in RESPONSES if isinstance(valid[3], Gives) and len(valid[2]) <= 3000])


class Came(NamedTuple):
    """What came of pieces."""

    gives: Gives | None                     # unless there was an error
    chunks: list                            # of the content, as far as it came
    error: lowhaio.HttpDataError | None

    @property
    def content(self):
        return b''.join(self.chunks)


def read_response(method, pieces, limit=16384):
    """Do what request and the body that it returns do with these pieces and then the end.

    All that was not needed is the leftover.
    """
    pieces, chunks, is_ended = filter(None, pieces), [], False

    def receive():
        nonlocal is_ended
        assert not is_ended, 'asked for more after the end of the stream'
        piece = next(pieces, b'')
        is_ended = not piece
        return piece

    try:
        version, code, headers, fields, rest = received_head(receive, limit)
        length = lowhaio._message_body_length(method, version, code, fields)
        kept = max(0, lowhaio._keep_seconds(15, True, version, code, fields, length))
        decoder = lowhaio._body_decoder(length, rest, limit)
        chunk = next(decoder)
        while True:
            if chunk is not None:
                assert isinstance(chunk, bytes)
                assert chunk
                chunks.append(chunk)
            chunk = decoder.send(receive() if chunk is None else None)
    except StopIteration as stop:
        leftover = stop.value + b''.join(pieces)
    except lowhaio.HttpDataError as error:
        return Came(None, chunks, error)
    assert is_ended == (length is lowhaio._UNTIL_CLOSE)
    return Came(Gives(code, b''.join(chunks), kept, headers, leftover, is_ended), chunks, None)


def received_head(receive, limit):
    """Run receive_head, which waits for nothing here, on what `receive` returns."""
    async def receive_some(is_likely):
        return receive()

    connection = types.SimpleNamespace(
        receive=receive_some, unparsed=b'', interim_bytes=0, is_answered=False, head_limit=limit)
    connection.parse_head = functools.partial(lowhaio._Connection.parse_head, connection)
    with pytest.raises(StopIteration) as stop:
        lowhaio._Connection.receive_head(connection).send(None)
    return stop.value.value


def meaning(method, pieces, limit):
    """Return what pieces mean, or None for an HttpDataError; other exceptions fail the test."""
    return read_response(method, pieces, limit).gives


def cut_at(raw, cuts):
    """Return the pieces of raw, cut at these positions modulo its length."""
    ends = sorted({cut % (len(raw) + 1) for cut in cuts} | {0, len(raw)})
    return [raw[start:end] for start, end in itertools.pairwise(ends)]


def splittings(raw):
    """Yield lists of pieces: the whole, single bytes unless they are many, and some at random."""
    yield [raw]
    if len(raw) <= 3000:
        yield cut_at(raw, range(len(raw)))
    random = Random(raw)
    for _ in range(5 if len(raw) > 1 else 0):
        count = min(len(raw) - 1, random.randint(1, 8))
        yield cut_at(raw, random.sample(range(1, len(raw)), count))


def with_fields(expected, raw):
    """Return the expectation with the fields of its last header section, plainly read."""
    if expected.headers is not None:
        return expected
    section = raw.removesuffix(expected.leftover)
    section = re.split(rb'\n\r?\n', section[section.rindex(b'HTTP/1.'):])[0]
    fields = [line.split(b':', 1) for line in section.split(b'\n')[1:]]
    headers = tuple((name.lower(), value.strip()) for name, value in fields)
    return expected._replace(headers=headers)


@table(('method', 'raw', 'expected', 'limit'), RESPONSES)
def test_response(method, raw, expected, limit):
    for pieces in splittings(raw):
        came = read_response(method, pieces, limit)
        if isinstance(expected, Gives):
            assert came.gives == with_fields(expected, raw)
        else:
            kind, text = expected
            assert type(came.error) is kind
            assert re.search(text, str(came.error))
            assert len(str(came.error)) < 600


@of_each_valid
def test_response_ends_where_it_says(method, raw, expected, limit):
    longer = 'content' if expected.until_close else 'leftover'
    for junk in (b'x', b'\r\n', b'\0\r\r\n', OK):
        after = with_fields(expected, raw)._replace(**{longer: getattr(expected, longer) + junk})
        for pieces in (*splittings(raw + junk), [raw, junk]):
            assert read_response(method, pieces, limit).gives == after


@of_each_valid
def test_response_that_ends_too_early_is_an_error(method, raw, expected, limit):
    message = raw.removesuffix(expected.leftover)
    ends = range(len(message))
    for end in ends if len(ends) <= 200 else Random(raw).sample(ends, 20):
        content_so_far = end - (len(message) - len(expected.content))
        if expected.until_close and content_so_far >= 0:
            so_far = with_fields(expected, raw)._replace(content=expected.content[:content_so_far])
            assert read_response(method, [message[:end]], limit).gives == so_far
            continue

        for pieces in itertools.islice(splittings(message[:end]), 3):
            came = read_response(method, pieces, limit)
            assert type(came.error) is lowhaio.HttpConnectionClosedError
            assert re.search('expected .*; got the end of the stream', str(came.error))
            assert expected.content.startswith(came.content)


@of_each_valid
def test_damaged_response_means_the_same_however_it_is_split(method, raw, expected, limit):
    random = Random(raw)
    for _ in range(15):
        start, end = sorted((random.randint(0, len(raw)), random.randint(0, min(len(raw), 100))))
        inserted = random.choice((b'', random.randbytes(1), b'\r', b'\n', b'\r\n', b' ', b':',
                                  b'0', raw[start:end] * 2))
        damaged = raw[:start] + inserted + raw[random.choice((start, start + 1, end)):]
        assert len({meaning(method, pieces, limit) for pieces in splittings(damaged)}) == 1


@table(('start', 'piece', 'expected'), [
    ('a status line', b'HTTP/1.1 200 OK', b'a', too_long('a header section', 1000)),
    ('a field value', b'HTTP/1.1 200 OK\r\na:', b'a', too_long('a header section', 1000)),
    ('a field name', b'HTTP/1.1 200 OK\r\n', b'a', too_long('a header section', 1000)),
    ('fields', b'HTTP/1.1 200 OK\r\n', b'a:b\r\n', too_long('a header section', 1000)),
    ('folded lines', b'HTTP/1.1 200 OK\r\na:b\r\n', b' c\r\n', too_long('a header section', 1000)),
    ('empty lines', b'', b'\r\n', NOT_A_STATUS_LINE),
    ('interim responses', b'', CONTINUE, too_long('all interim responses', 1000)),
    ('interim responses in one piece', b'',
     CONTINUE * 40 + reply_of(b'103', b'a:b') * 40, too_long('all interim responses', 1000)),
    ('zeros of a chunk size', chunked(b''), b'0', NOT_A_CHUNK_SIZE),
    ('spaces after a chunk size', chunked(b'1'), b' ', too_long('a chunk-size line', 1000)),
    ('a chunk extension', chunked(b'1;'), b'a', too_long('a chunk-size line', 1000)),
    ('a trailer field', chunked(b'0\r\n'), b'a', too_long('a trailer section', 1000)),
    ('trailer fields', chunked(b'0\r\n'), b'a:b\r\n', too_long('a trailer section', 1000))])
def test_what_never_ends_is_an_error(start, piece, expected):
    kind, text = expected
    for count in (1, 7):
        pieces = itertools.chain([start], itertools.repeat(piece * count, 20_000))
        error = read_response(b'GET', pieces, limit=1000).error
        assert type(error) is kind
        assert re.search(text, str(error))
        assert next(pieces, None), 'all of it was read'


@table(('raw', 'quoted'), [
    ('80 bytes in full', b'x' * 80, f"b'{'x' * 80}'"),
    ('81 bytes in part', b'x' * 81, f"b'{'x' * 80}'..."),
    ('HTTP/2 as that', HTTP2_SETTINGS, f'{HTTP2_SETTINGS!r}, which is HTTP/2')])
def test_quotation_of_what_is_no_status_line(raw, quoted):
    error = read_response(b'GET', [raw]).error
    assert str(error) == f'expected a status line; got {quoted}'


@table(('start', 'end', 'leftover'), [
    ('of a known length', reply(b'content-length: 3000000'), b'b', b'b'),
    ('in one chunk', chunked(b'2dc6c0\r\n'), b'\r\n0\r\n\r\n', b'')])
def test_large_content_is_given_as_it_comes(start, end, leftover):
    pieces = [b'a' * 1_000_000] * 3
    came = read_response(b'GET', [start, *pieces, end])
    assert came.gives.leftover == leftover
    assert came.chunks == pieces
    assert all(chunk is pieces[0] for chunk in came.chunks[:2]), 'it was copied'


def test_many_small_chunks_are_decoded_in_linear_time():
    raw = chunked(b'1\r\nx\r\n' * 300_000 + b'0\r\n\r\nrest')
    with cpu_limit(3):          # 0.2 s; if each chunk copied the rest, 15 s
        came = read_response(b'GET', [raw])
    assert came.chunks == [b'x'] * 300_000
    assert came.gives.leftover == b'rest'


@pytest.mark.parametrize('raw', [b'a: b%b\r', b'a: b\r\n%b\r', b'a: b%b\r\n c\r'])
def test_long_folded_lines_are_unfolded_in_linear_time(raw):
    with cpu_limit(0.5):        # 1 ms; if each space began a search, 5 s
        with pytest.raises(lowhaio.HttpDataError):
            lowhaio._parse_fields(raw % (b' ' * 100_000))


@table(('raw', 'step'), [
    ('a field line', reply(LENGTH_0, b'a: ' + b'b' * 16000), 1),
    ('many field lines', reply(LENGTH_0, *[b'a: b'] * 2600), 1),
    ('a field line of 1 MB, at once', reply(LENGTH_0, b'a: %01000000d' % 0), 2 ** 20),
    ('very many field lines, at once', reply(LENGTH_0, *[b'a:b'] * 200_000), 2 ** 20),
    ('spaces after a size', chunked(b'0' + b' ' * 35_000 + b'\r\n\r\n'), 1),
    ('a chunk extension', chunked(b'0;' + b'a' * 16000 + b'\r\n\r\n'), 1),
    ('trailers', chunked(b'0\r\n' + b'a: b\r\n' * 2600 + b'\r\n'), 1)])
def test_response_takes_linear_time(raw, step):
    with cpu_limit(1.5):        # 0.3 s; if each byte had all read again, 3 s
        came = read_response(b'GET', cut_at(raw, range(0, len(raw), step)), 2 ** 20)
    assert (came.error, came.content) == (None, b'')
    assert len(came.gives.headers) == raw.partition(b'\r\n\r\n')[0].count(b'\r\n')


@served(answering(OK))
async def test_long_urls_fields_and_heads_are_not_cached(request, server):
    caches = (lowhaio._parse_url, lowhaio._lower_token, lowhaio._parse_head,
              lowhaio._parse_field_line, lowhaio._tokens)
    for size, cached in ((5000, [0, 1, 0, 0, 0]), (10, [1, 2, 1, 1, 1])):
        server.handler = answering(
            b'HTTP/1.1 200 OK\r\nconnection: %b\r\n\r\n' % (b'x' * size), then='close')
        for cache in (*caches, urllib.parse.urlsplit):
            cache.cache_clear()
        await get(request, f'{server.url}?{"x" * size}', headers=((b'y' * size, b''),))
        assert [cache.cache_info().currsize for cache in caches] == cached
    with contextlib.suppress(lowhaio.HttpConnectionError):      # 12 bytes each, encoded
        await get(request, f'http://127.0.0.1:1/{chr(0x1f600) * 300}')
    assert lowhaio._parse_url.cache_info().currsize == 1
    assert urllib.parse.urlsplit.cache_info().currsize == 0


@table(('version', 'lines', 'seconds'), [       # of 15
    ('HTTP/1.1 persists', b'HTTP/1.1', [], 15),
    ('HTTP/1.0 does not persist', b'HTTP/1.0', [], 0),
    ('HTTP/1.0 does not persist with a hint', b'HTTP/1.0', [HINT_OF_5], 0),
    *[(f'{version.decode()} {"persists" if seconds else "ends"} with {options!r}',
       version, [b'Connection: ' + value for value in options], seconds)
      for version, seconds, *rows in (
          (b'HTTP/1.1', 15, [b''], [b'keep-alive'], [b'upgrade, closed, not-close'], [b'Xclose']),
          (b'HTTP/1.1', 0, [b'close'], [b'cLoSe'], [b'a ,\tclose\t,b'],
           [b'keep-alive', b'close'], [b'close, keep-alive']),
          (b'HTTP/1.0', 15, [b'keep-alive'], [b'a,KEEP-Alive'], [b'a', b'keep-alive']),
          (b'HTTP/1.0', 0, [b'a, keep-alives'], [b'keep-alive, close']))
      for options in rows],
    ('close in another field is none', b'HTTP/1.1', [b'a: close', b'proxy-connection: close'], 15),

    # A hint takes effect 1 s earlier. It counts by its whole seconds, of at most nine digits, and
    # not at all if it is longer than the limit.
    *[(f'the hint {value[:40].decode()} leaves {seconds} s', b'HTTP/1.1',
       [b'keep-alive: ' + value], seconds)
      for seconds, *values in (
          (4, b'timeout=5', b'timeout="5"', b'TimeOut = 5', b'timeout  =  5', b'timeout=5.9',
           b'timeout=000000005', b'max=100, timeout=5', b'max=100,timeout=5', b'a;timeout=5;b'),
          (14, b'timeout=15'), (1, b'timeout=2'), (0, b'timeout=1', b'timeout=0'),
          (15, b'timeout=16', b'timeout=999999999', b'timeout=' + b'9' * 5000,
           b'timeout=0000000005', b'timeout=-5', b'timeout=', b'timeout', b'timeout=five',
           b'timeout=""5', b'xtimeout=5, x-timeout=5, timeouts=5', b'', b'5'))
      for value in values],
    ('a hint may be in another field', b'HTTP/1.1', [b'keep-alive: max=100', HINT_OF_5], 4),
    ('a hint counts in HTTP/1.0', b'HTTP/1.0', [KEEP_ALIVE_LINE, HINT_OF_5], 4),
    ('a hint does not undo close', b'HTTP/1.1', [b'connection: close', HINT_OF_5], 0)])
def test_seconds_that_a_connection_is_kept(version, lines, seconds):
    for pieces in splittings(reply(LENGTH_0, *lines, status=version + b' 200 OK')):
        assert read_response(b'GET', pieces).gives.kept == seconds


@table(('limit', 'is_ours_kept', 'seconds'), [
    ('not at all if our side does not keep it', 15, False, 0),
    ('not at all if the limit is 0', 0, True, 0),
    ('for the limit if the hint is longer', 0.5, True, 0.5),
    ('for the hint if there is no limit', math.inf, True, 4)])
def test_seconds_that_a_connection_is_kept_with_a_hint_of_5(limit, is_ours_kept, seconds):
    fields = {b'keep-alive': b'timeout=5'}
    assert lowhaio._keep_seconds(limit, is_ours_kept, b'HTTP/1.1', b'200', fields, 0) == seconds


# Response on the wire and body decoders together: generated responses.
#
# Valid ones, made together with what they mean, and what becomes of them when bytes are changed,
# inserted, cut and spliced; all of them split anywhere. The examples are the same in each run,
# unless more are asked for, which takes about a quarter of an hour:
#
#     LOWHAIO_TEST_EXAMPLES=100000 python -m pytest test.py -k generated

GENERATED_EXAMPLES = int(os.environ.get('LOWHAIO_TEST_EXAMPLES', 0))


def generated(examples):
    """Return the settings of a test with this many examples, unless more are asked for."""
    return hypothesis.settings(
        max_examples=max(examples, GENERATED_EXAMPLES), derandomize=not GENERATED_EXAMPLES,
        database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))


GENERATED_NAMES = (b'a', b'x-Content-Length', b"!#$%&'*+-.^_`|~09AZaz", b'set-cookie')
GENERATED_REASONS = (b'', b' ', b' OK', b' Not \xff\t', b' HTTP/1.1 204')
GENERATED_FIELD_LINES = tuple(itertools.product(        # case of the name, before the value, after
    (bytes.lower, bytes.upper, bytes.title), (b'', b' ', b'\t ', b'\r\n ', b' \r\n\t \r\n '),
    (b'', b' ', b' \t')))
GENERATED_OPTIONS = (b'close', b'Close', b'keep-alive', b'Keep-Alive', b'upgrade', b'')
GENERATED_EXTENSIONS = (b'', b'', b' ', b';', b' \t;a="0;b"', b';\xff\x01')
GENERATED_SIZES = (b'%x', b'%X', b'0%x', b'%016X')
GENERATED_LENGTHS = (b'%d', b'0%d', b'%d, %d', b'%d,%d\t,%d')
GENERATED_HINTS = (     # of keep-alive, and the seconds that they leave
    (b'timeout=5', 4), (b'max=9, timeout=16', 15), (b'Timeout = "7";max=1', 6), (b'timeout=1', 0),
    (b'timeout=0', 0), (b'timeout=99', 15), (b'max=5', 15), (b'xtimeout=5', 15), (b'timeout=', 15))
GENERATED_INTERIM = (
    CONTINUE, b'HTTP/1.1 103\r\nlink: <a>\r\n b\r\ncontent-length: 3\r\n\r\n',
    b'HTTP/1.0 199 \r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n')
GENERATED_LEFTOVERS = b'', b'', b'', b'', b'\r\n', b'0\r\n\r\n', OK

generated_choice = functools.cache(st.sampled_from)    # making a strategy costs more than drawing
generated_content = st.binary(max_size=30)
generated_sizes = st.lists(st.integers(1, 20), max_size=3)
generated_fields = st.lists(st.tuples(
    st.sampled_from(GENERATED_NAMES), st.lists(st.binary(max_size=8), max_size=3)), max_size=2)
generated_options = st.lists(st.sampled_from(GENERATED_OPTIONS), max_size=2)
generated_interim = st.lists(st.sampled_from(GENERATED_INTERIM), max_size=2)
generated_number = st.integers(0, 999)
generated_cuts = st.lists(generated_number, max_size=5)


@st.composite
def responses(draw):
    """Return (method, raw response, what it Gives)."""
    def one_of(choices):
        return draw(generated_choice(choices))

    def line_of(name, value):
        cased, before, after = one_of(GENERATED_FIELD_LINES)
        return b'%b:%b%b%b\r\n' % (cased(name), before, value, after)

    def other_fields():
        for name, parts in draw(generated_fields):
            parts = [part.translate(None, b'\r\n\0').strip(b' \t') for part in parts]
            yield name, b' '.join(filter(None, parts)), b'\r\n\t'.join(parts)

    method = one_of((b'GET', b'GET', b'POST', b'HEAD'))
    code = one_of((b'200',) * 5 + (b'204', b'204', b'299', b'300', b'304', b'304', b'999', b'101'))
    framing = one_of(('length', 'chunked', 'kept', 'close'))
    version = one_of((b'HTTP/1.1', b'HTTP/1.0')) if framing != 'chunked' else b'HTTP/1.1'
    options = draw(generated_options)
    has_none = code == b'304' or (method == b'HEAD' and code != b'101')
    content = draw(generated_content)
    fields = list(other_fields())

    def add(name, *values):
        fields.extend((name, value, value) for value in values)

    if framing == 'length':
        length = one_of(GENERATED_LENGTHS).replace(b'%d', b'%d' % len(content))
        add(b'content-length', *[length] * one_of((1, 1, 2)))
    if framing == 'chunked':
        add(b'transfer-encoding', one_of((b'chunked', b'CHUNKED')))
    if framing == 'kept':
        options = [*[option for option in options if option.lower() != b'close'], b'keep-alive']
        method = b'DELETE' if method != b'HEAD' else method
    if framing != 'chunked' and one_of((False, False, True)):
        add(b'transfer-encoding', b'identity')
    add(b'connection', *options)
    hint, seconds = one_of(GENERATED_HINTS) if one_of((False, True)) else (b'', 15)
    add(b'keep-alive', *[hint] * bool(hint))
    first = draw(generated_number) % (len(fields) + 1)
    fields = fields[first:] + fields[:first]

    raw = b''.join(draw(generated_interim))
    raw += version + b' ' + code + one_of(GENERATED_REASONS) + b'\r\n'
    raw += b''.join(line_of(name, value) for name, _, value in fields) + b'\r\n'

    is_until_close = code == b'101' or (framing == 'close' and not has_none and code != b'204')
    if has_none or (not is_until_close and (
            framing in ('kept', 'close') or (framing == 'chunked' and code == b'204'))):
        content = b''
    elif is_until_close or framing == 'length':
        raw += content
    else:
        rest = content
        for size in [*draw(generated_sizes), len(content)]:
            if chunk := rest[:size]:
                raw += one_of(GENERATED_SIZES) % len(chunk) + one_of(GENERATED_EXTENSIONS)
                raw, rest = raw + b'\r\n' + chunk + b'\r\n', rest[size:]
        raw += one_of((b'0', b'0' * 16)) + one_of(GENERATED_EXTENSIONS) + b'\r\n'
        raw += b''.join(line_of(name, value) for name, _, value in other_fields()) + b'\r\n'

    leftover = b'' if is_until_close else one_of(GENERATED_LEFTOVERS)
    options = [option.lower() for option in options]
    persists = b'close' not in options and (version == b'HTTP/1.1' or b'keep-alive' in options)
    is_kept = persists and not is_until_close and not (
        code in (b'204', b'304') and any(name == b'transfer-encoding' for name, _, _ in fields))
    headers = tuple((name.lower(), value) for name, value, _ in fields)
    return method, raw + leftover, Gives(
        code, content, seconds if is_kept else 0, headers, leftover, is_until_close)


GENERATED_INSERTS = (
    b'\r\n', b'\r', b'\n', b'\0', b' ', b'\t', b':', b',', b';', b'-', b'+', b'_', b'0x', b'\xff',
    b'\r\n ', b'\r\n\r\n', b'0\r\n\r\n', b'5\r\n', b'9' * 20, b'\r\ncontent-length: 3',
    b'\r\nconnection: close', b'\r\ntransfer-encoding: chunked', CONTINUE)
generated_responses = responses()
generated_mutations = st.lists(st.sampled_from(
    ('flip', 'flip', 'insert', 'insert', 'cut', 'move', 'splice')), min_size=1, max_size=3)


@st.composite
def mutated_responses(draw):
    """Return (method, raw) of a response whose bytes were changed, inserted, cut or spliced."""
    method, raw, _ = draw(generated_responses)
    for kind in draw(generated_mutations):
        at, number = draw(generated_number) % (len(raw) + 1), draw(generated_number)
        if kind == 'flip':
            flipped = bytes(byte ^ number % 255 + 1 for byte in raw[at:at + 1])
            raw = raw[:at] + flipped + raw[at + 1:]
        elif kind == 'insert':
            raw = raw[:at] + GENERATED_INSERTS[number % len(GENERATED_INSERTS)] + raw[at:]
        elif kind == 'cut':
            raw = raw[:at] + raw[at + 1 + number % 20:]
        elif kind == 'move':
            raw = raw[:at] + raw[number % (len(raw) + 1):][:20] + raw[at:]
        else:
            _, other, _ = draw(generated_responses)
            raw = raw[:at] + other[number % (len(other) + 1):]
    return method, raw


@generated(600)
@hypothesis.given(generated_responses, generated_cuts)
def test_generated_responses_are_read_as_what_they_mean(response, cuts):
    method, raw, gives = response
    for pieces in ([raw], cut_at(raw, cuts), cut_at(raw, range(len(raw)))):
        assert read_response(method, pieces).gives == gives


@generated(1500)
@hypothesis.given(mutated_responses(), generated_cuts, st.sampled_from((16384, 16384, 40, 15)))
def test_generated_mutations_give_what_was_sent_or_an_error(response, cuts, limit):
    method, raw = response
    gives, chunks, error = read_response(method, [raw], limit)
    content = b''.join(chunks)
    for pieces in (cut_at(raw, cuts), cut_at(raw, range(len(raw)))):
        again = read_response(method, pieces, limit)
        assert (again.gives, again.content) == (gives, content)
        assert type(again.error) is type(error) or (
            limit < 16384 and lowhaio.HttpHeaderTooLong in (type(error), type(again.error)))

    if error:
        assert str(error)
    else:
        assert content == gives.content
        assert raw.endswith(gives.leftover)
        message = raw[:len(raw) - len(gives.leftover)]
        codings = [value.lower() for name, value in gives.headers if name == b'transfer-encoding']
        if codings == [b'chunked'] and not gives.until_close and content:
            assert b'content-length' not in dict(gives.headers)
            assert message.endswith(b'\n')
        else:
            assert re.search(rb'\n\r?\n%b\Z' % re.escape(content), message)
        for name, value in gives.headers:
            assert lowhaio._TOKEN.fullmatch(name)
            assert name == name.lower()
            assert value == value.strip(b' \t')
            assert not set(value) & set(b'\r\n\0')

    sent = iter(raw)
    assert all(byte in sent for byte in content), 'bytes that were not sent in this order'


def test_generated_responses_leave_their_connection_in_step():
    """Over a socket: after each response, requests must get the answers with their own number."""
    serial = itertools.count()

    @hypothesis.settings(generated(200), max_examples=max(200, GENERATED_EXAMPLES // 50))
    @hypothesis.given(st.one_of(generated_responses, mutated_responses()), generated_cuts,
                      st.sampled_from(('early', 'early', 'closes', 'waits')))
    def run_all(response, cuts, manner):
        method, raw, *_ = response
        runner.run(with_time_limit(check_in_step(serial, method, raw, cuts, manner), 20))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.sleep(0))
        descriptors = open_descriptors()
        run_all()
        runner.run(settled(descriptors))
        assert open_descriptors() == descriptors
        assert registered(runner.get_loop()) == 0


async def check_in_step(serial, method, raw, cuts, manner):
    """Have a server answer with raw, and send two numbered requests after it.

    The answer may be early, before the server has read the body of the request. After it the
    server waits for more or closes, as it does in any case where no other end would come.
    """
    gives, chunks, error = read_response(method, [raw])
    closes = manner == 'closes' or gives is None or gives.until_close
    is_early = manner == 'early' and not closes
    answered = asyncio.Event()

    async def handler(reader, writer):
        while True:
            head = await reader.readuntil(b'\r\n\r\n')
            if not head.startswith(method + b' / '):
                number = head.split(b' ')[1]
                length = b'content-length: %d' % len(number)
                writer.write(reply(b'number: ' + number, length, content=number))
                continue
            try:
                for piece in cut_at(raw, cuts):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if closes:
                    writer.close()
                    await writer.wait_closed()
                    return
            finally:
                answered.set()
            await reader.readexactly(4 if is_early else 0)

    async def body():
        if is_early:
            await answered.wait()
            yield b'body'

    content, failure = b'', None
    async with Server(handler) as server, pool() as request:
        try:
            code, headers, response_body = await request(
                method, server.url, body=body, headers=((b'content-length', b'4'),) * is_early)
            async for chunk in response_body:
                content += chunk
        except lowhaio.HttpDataError as caught:
            failure = caught

        assert type(failure) is type(error)
        if failure:
            assert b''.join(chunks).startswith(content)
        else:
            assert (code, headers, content) == (gives.code, gives.headers, gives.content)

        await answered.wait()
        for number in itertools.islice(serial, 2):
            path = b'/%d' % number
            assert await get(request, f'{server.url}{number}') == (b'200', (
                (b'number', path), (b'content-length', b'%d' % len(path))), path)

        is_kept = not (closes or gives.leftover) and gives.kept > 0
        if not is_early or code < b'300':       # else the body may have been cut off
            assert server.connections == (1 if is_kept else 2)


@in_loop
async def test_response_that_came_before_the_request_was_sent_is_given_once():
    answered = asyncio.Event()

    async def handler(reader, writer):
        await reader.readuntil(b'\r\n\r\n')
        writer.write(reply(b'content-length: 5'))
        answered.set()
        await reader.readexactly(4)
        writer.write(b'first')
        await answering(OK)(reader, writer)

    async def body():
        await answered.wait()
        await asyncio.sleep(0.01)
        yield b'body'

    async with Server(handler) as server, pool() as request:
        headers = ((b'content-length', b'4'),)
        assert (await get(request, server.url, b'POST', headers=headers, body=body))[2] == b'first'
        assert (await get(request, server.url))[2] == b'ok'
        assert server.connections == 1


@served(answering(OK), keep_alive_timeout=0.9)
async def test_connection_may_be_kept_for_less_than_a_second(request, server):
    for _ in range(2):
        await get(request, server.url)
    assert server.connections == 1


# Pool: which connection a request gets, hooks, parameters, and what is logged. Of the sockets, a
# test decides every byte.

class Resolver:
    """A `get_dns_resolver` whose answers a test decides: a list, or what is called to get one."""

    def __init__(self, answer):
        self.answer, self.asked, self.cleared = answer, [], 0

    def __call__(self, **_):
        return self.resolve, self.clear_cache

    async def resolve(self, host, kind, get_logger_adapter):
        assert kind is aiodnsresolver.TYPES.A
        get_logger_adapter({})
        self.asked.append(host)
        return self.answer() if callable(self.answer) else self.answer

    async def clear_cache(self, get_logger_adapter):
        get_logger_adapter({})
        self.cleared += 1


class Address(str):
    """An address with an `expires_at`, as aiodnsresolver's have one."""

    def __new__(cls, address, expires_at):
        self = super().__new__(cls, address)
        self.expires_at = expires_at
        return self


@contextlib.contextmanager
def failing(kind, text, cause=None):
    """Check that the block raises exactly this class, with this text (a pattern) and cause."""
    with pytest.raises(kind, match=text or None) as caught:
        yield caught
    assert type(caught.value) is kind
    if cause is not None:
        assert isinstance(caught.value.__cause__, cause)
    assert asyncio.current_task().cancelling() == 0


async def until(condition, seconds=5):
    """Wait for what other tasks or the network bring about soon."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0)          # not longer, since a Clock may have stopped the time


async def cancel(task):
    """Cancel the task, and check that it ends so."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


def peer_socket(writer):
    """Return a plain socket of a server's stream, which sends at once. The caller closes it."""
    return socket.socket(fileno=os.dup(writer.get_extra_info('socket').fileno()))


class Clock:
    """The loop's time, that goes on only when told to, as layers' tests have it."""

    def __init__(self, loop):
        # A day behind the loop's own, so that no test goes on to the timer of its time limit
        self.loop, self.now, self.timers = loop, round(loop.time()) - 86400.0, []

    def __enter__(self):
        self.loop.time, self.loop.call_at = lambda: self.now, self.call_at
        self.loop.call_later = lambda delay, *args, **kwargs: self.call_at(
            self.now + delay, *args, **kwargs)
        return self

    def __exit__(self, *_):
        del self.loop.time, self.loop.call_at, self.loop.call_later

    def call_at(self, when, callback, *args, context=None):
        self.timers.append(Timer(when, functools.partial(callback, *args)))
        return self.timers[-1]

    async def forward(self, seconds):
        self.now += seconds
        while due := [timer for timer in self.left() if timer.when() <= self.now]:
            self.timers.remove(due[0])
            due[0].run()
            await asyncio.sleep(0)

    def left(self):
        return [timer for timer in self.timers if timer.run]


class Timer:
    """A timer of a Clock. asyncio's own cannot be made for uvloop."""

    def __init__(self, when, run):
        self.when, self.run = lambda: when, run

    def cancel(self):
        self.run = None


class Body:
    """A request body that counts its `calls`, and the `ends` of its generators."""

    def __init__(self, *chunks, then=None, at_end=None):
        self.chunks, self.then, self.at_end = chunks, then, at_end
        self.calls = self.ends = 0

    async def __call__(self):
        self.calls += 1
        try:
            for chunk in self.chunks:
                yield chunk
            if self.then:
                await self.then()
        finally:
            self.ends += 1
            if self.at_end:
                await self.at_end()

    def is_done(self):
        return (self.calls, self.ends) == (1, 1)


class Endless(Body):
    """A request body of its chunk again and again."""

    def __init__(self, chunk):
        super().__init__()
        self.chunks = itertools.repeat(chunk)


class Chunks(collections.abc.AsyncIterator):
    """An async iterator that is no generator, so that nothing is left of it if it is dropped."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)

    async def __anext__(self):
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


class Receiving:
    """A handler that keeps every byte that comes, and answers if it has an answer."""

    def __init__(self, answer=None):
        self.answer, self.received, self.is_over = answer, b'', asyncio.Event()

    async def __call__(self, reader, writer):
        try:
            while data := await reader.read(65536):
                self.received += data
                if self.answer and self.received.endswith(b'END'):
                    writer.write(self.answer)
        finally:
            self.is_over.set()

    async def content(self):
        """Return what came after the header section, once the client has closed."""
        await self.is_over.wait()
        return self.received.partition(b'\r\n\r\n')[2]


async def put_body(request, server, body, length):
    """Return what `get` does, of a PUT that leaves the task as before."""
    fields = [(b'content-length', b'%d' % length)]
    answer = await get(request, server.url, b'PUT', headers=fields, body=body)
    assert asyncio.current_task().cancelling() == 0
    return answer


def raising(exception):
    async def raise_it(*_):
        raise exception

    return raise_it


OF_3_BYTES = [(b'content-length', b'3')]

# (sentence, body, class of the error, its text, its cause, what is sent of the body)
FAILING_BODIES = [
    ('More than said: nothing beyond is sent.', lambda: Body(b'ab', b'cd'), lowhaio.HttpDataError,
     'expected 1 more bytes of the request body, by its content-length; got 2', None, b'ab'),
    ('Fewer than said.', lambda: Body(b'ab'), lowhaio.HttpDataError,
     'expected 1 more bytes of the request body, by its content-length; got its end', None, b'ab'),
    ('A str.', lambda: Body('str'), lowhaio.HttpDataError,
     'expected bytes of the request body; got TypeError', TypeError, b''),
    ('An OSError.', lambda: Body(b'a', then=raising(OSError('disk'))), lowhaio.HttpDataError,
     r"expected bytes of the request body; got OSError\('disk'", OSError, b'a'),
    ('A reset of another connection, that the body reads.',
     lambda: Body(b'a', then=raising(ConnectionResetError('another'))), lowhaio.HttpDataError,
     'got ConnectionResetError', ConnectionResetError, b'a'),
    ('An HttpConnectionError that is not one of this request.',
     lambda: Body(b'a', then=raising(lowhaio.HttpConnectionError('another'))),
     lowhaio.HttpDataError, 'got HttpConnectionError', lowhaio.HttpConnectionError, b'a'),
    ('A CancelledError passes.', lambda: Body(b'a', then=raising(asyncio.CancelledError())),
     asyncio.CancelledError, '', None, b'a'),
    ('What is no Exception passes.', lambda: Body(b'a', then=raising(BaseException())),
     BaseException, '', None, b'a'),
    ('A finally that fails.', lambda: Body(b'abc', at_end=raising(OSError('late'))),
     lowhaio.HttpDataError, 'got OSError', OSError, b'abc'),
    ('The first error is told if the finally fails too.',
     lambda: Body(b'ab', b'cd', at_end=raising(OSError('late'))), lowhaio.HttpDataError,
     'expected 1 more bytes', None, b'ab'),
]


@served(answering(OK), records={name: ['127.0.0.1'] for name in ('a.test', 'b.test')})
async def test_connections_are_pooled_by_host_without_case_by_port_and_by_pool(request, server):
    for name in ('a.test', 'b.test', 'A.Test', 'b.test', 'a.TEST'):
        await get(request, f'http://{name}:{server.port}/')
    assert server.connections == 2
    async with pool(get_dns_resolver=server.dns.get_resolver) as another:
        await get(another, f'http://a.test:{server.port}/')
    assert server.connections == 3
    async with Server(answering(OK)) as other:
        await get(request, f'http://a.test:{other.port}/')
        assert (server.connections, other.connections) == (3, 1)


class FaultyPeer:
    """A server's end of one connection, plain or TLS, that does what a good one never does.

    TLS goes through memory, so that any byte of it can be held back.
    """

    def __init__(self, reader, writer, tls):
        self.reader, self.writer = reader, writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls and tls.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.is_accepted = not tls

    async def step(self, function, *args):
        """Return what the TLS function returns, fed until it does. What it has to say is kept."""
        while True:
            try:
                return function(*args)
            except ssl.SSLWantReadError:
                await self.send_wire(self.outgoing.read())
                self.incoming.write(await self.reader.readexactly(1) + self.reader._buffer)
                self.reader._buffer.clear()
                self.reader._maybe_resume_transport()

    async def accept(self):
        if not self.is_accepted:
            await self.step(self.tls.do_handshake)
            await self.send_wire(self.outgoing.read())
            self.is_accepted = True

    async def read(self, size=65536):
        await self.accept()
        return await (self.step(self.tls.read, size) if self.tls else self.reader.read(size))

    async def read_to(self, end=b'\r\n\r\n'):
        data = b''
        while end not in data:
            if not (more := await self.read()):
                raise EOFError
            data += more
        return data

    def wire(self, data):
        """Return the bytes that carry `data`, which have not been sent."""
        if not self.tls:
            return data
        self.tls.write(data)
        return self.outgoing.read()

    async def send_wire(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, data):
        await self.send_wire(self.wire(data))

    async def serve(self, response=OK):
        """Answer each request in the same way."""
        while True:
            head = await self.read_to()
            if b'content-length: 4\r\n' in head and not head.endswith(b'body'):
                await self.read_to(b'y')
            await self.send(response)

    async def close(self):
        """End the transport alone; with TLS, without a word."""
        self.writer.close()

    async def send_end_of_tls(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self.send_wire(self.outgoing.read())

    async def close_politely(self):
        if self.tls:
            await self.send_end_of_tls()
        self.writer.close()

    async def reset(self):
        self.writer.get_extra_info('socket').setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.writer.transport.abort()

    async def half_close(self):
        self.writer.write_eof()
        await self.stall()

    async def drip(self):
        """Send a TLS record in bytes, each of them long before the time is over."""
        for byte in b'\x16\x03\x03\x40\x00' + bytes(50):
            await self.send_wire(bytes([byte]))
            await asyncio.sleep(0.01)

    async def stall(self):
        """Neither read nor send: the client has to end it."""
        self.writer.transport.pause_reading()
        await asyncio.sleep(30)


@contextlib.asynccontextmanager
async def faulty(serve, tls, **settings):
    """Yield the `request` of a pool, and a server that calls `serve(peer)` for each connection.

    `tls` is the SSL context of its `FaultyPeer`s, or False.
    """
    async def handler(reader, writer):
        await serve(FaultyPeer(reader, writer, tls))

    async with Server(handler) as server, pool(**settings) as request:
        server.url = server.url.replace('http:', 'https:' if tls else 'http:')
        yield request, server


@contextlib.contextmanager
def few_polls(most=60):
    """Check that the loop does not spin: one that does polls 1000 times in the 50 ms here."""
    # uvloop keeps its own count to itself
    selector = getattr(asyncio.get_running_loop(), '_selector', types.SimpleNamespace(select=None))
    select, counted = selector.select, collections.Counter()

    def counting_select(timeout=None):
        counted['polls'] += 1
        return select(timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selector, 'select', counting_select)
        yield counted
    assert counted['polls'] - counted['before'] < most


HALF_A_BODY = b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'
HEAD_OF_CHUNKS = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
UNTIL_CLOSE = b'HTTP/1.1 200 OK\r\n\r\nall'


def after(data, stage=FaultyPeer.read_to):
    """Return the stage after that one, at which `data` has been sent."""
    async def stage_and_send(peer):
        await stage(peer)
        await peer.send(data)

    return stage_and_send


class Halves:
    """A handler whose responses end only when told to, each with the number of its connection."""

    def __init__(self):
        self.go = {}

    async def __call__(self, reader, writer):
        number = len(self.go) + 1
        self.go[number] = asyncio.Event()
        while True:
            await read_request(reader)
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n%d' % number)
            await self.go[number].wait()
            writer.write(b'%d' % number)


class Holding:
    """A handler that answers, and keeps its reader and writer for the test to use."""

    def __init__(self, response=OK):
        self.response, self.streams = response, []

    async def __call__(self, reader, writer):
        self.streams.append((reader, writer))
        while True:
            await read_request(reader)
            writer.write(self.response)


@pytest.mark.parametrize(('ended', 'reused'), [((1, 2), b'22'), ((2, 1), b'11')])
@served(Halves)
async def test_the_connection_that_became_idle_last_is_taken_first(request, server, ended, reused):
    bodies = [(await request(b'GET', server.url))[2] for _ in range(2)]
    for number in ended:
        server.handler.go[number].set()
        assert await lowhaio.buffered(bodies[number - 1]) == b'%d%d' % (number, number)
    assert (await get(request, server.url))[2] == reused
    assert server.connections == 2


def shut_down(sock):
    sock.shutdown(socket.SHUT_RDWR)


def answer_unasked(sock):
    sock.send(b'HTTP/1.1 408 Request Timeout\r\n\r\n')


@table('does_loop_run, tls', [
    ('noticed at once', True, False),
    ('noticed at once, TLS', True, True),
    ('probed before it is reused', False, False),
])
@pytest.mark.parametrize('end', [shut_down, answer_unasked])
@in_loop
async def test_idle_connections_that_the_server_ends_are_closed(does_loop_run, tls, end):
    def are_open():
        return [sock.fileno() != -1 for sock in used]

    holding, used = Holding(), []
    async with Server(holding, tls=tls) as server, pool(sock_post_message=used.append) as request:
        await asyncio.gather(get(request, server.url), get(request, server.url))
        for _, writer in holding.streams:
            if tls and end is answer_unasked:
                writer.write(b'x')
            else:
                with peer_socket(writer) as peer:
                    end(peer)
        assert are_open() == [True, True]       # the event loop has not seen it
        if does_loop_run:
            await until(lambda: are_open() == [False, False])
        assert await get(request, server.url) == (b'200', ((b'content-length', b'2'),), b'ok')
        assert are_open() == [False, False, True]
        assert server.connections == 3


def ok_with(field, version=b'1.1'):
    return b'HTTP/%b 200 OK\r\n%b\r\ncontent-length: 2\r\n\r\nok' % (version, field)


@pytest.mark.parametrize(('settings', 'response', 'seconds'), [
    pytest.param({}, OK, 15, id='The default is 15 seconds.'),
    pytest.param({'keep_alive_timeout': 3}, OK, 3, id='The parameter decides.'),
    pytest.param({}, ok_with(b'keep-alive: timeout=5'), 4, id='A shorter hint counts less 1 s.'),
])
@in_loop
async def test_idle_connection_has_one_timer_due_exactly_then(settings, response, seconds):
    loop, socks = asyncio.get_running_loop(), Socks()
    async with Server(answering(response)) as server, pool(get_sock=socks, **settings) as request:
        with Clock(loop) as clock:
            for _ in range(2):                      # the time begins anew
                await get(request, server.url)
                await clock.forward(seconds - 0.001)
                assert socks.open() == [True]
            timer, = clock.left()
            assert timer.when() == pytest.approx(clock.now + 0.001)
            await clock.forward(0.001)
            assert (socks.open(), clock.left()) == ([False], [])
            assert server.connections == 1


@served(answering(OK), socks=True)
async def test_idle_connection_is_closed_when_aiofastforward_says_so(request, server):
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip('aiofastforward recurses endlessly on uvloop')
    with aiofastforward.FastForward(loop) as forward:
        await get(request, server.url)
        await forward(14)
        assert server.socks.open() == [True]
        await forward(1)
        assert server.socks.open() == [False]


@served(answering(b'HTTP/1.1 103 \r\n\r\n' * 3 + OK), max_header_length=60)
async def test_interim_responses_are_counted_for_each_request_anew(request, server):
    for _ in range(2):
        assert (await get(request, server.url))[2] == b'ok'
    assert server.connections == 1


@in_loop
async def test_origins_are_forgotten_but_for_the_last_ones(monkeypatch):
    """Those with an address literal are forgotten with their last connection."""
    monkeypatch.setattr(lowhaio, '_CACHE_SIZE', 5)

    def count():
        gc.collect()
        return sum(type(thing) is lowhaio._Origin for thing in gc.get_objects())

    before = count()
    async with Server(answering(OK)) as server, \
            pool(get_dns_resolver=Resolver(['127.0.0.1']), keep_alive_timeout=0) as request:
        for number in range(20):
            await get(request, f'http://{number}.test:{server.port}/')
            await get(request, server.url)
        await asyncio.sleep(0)          # until here, the last connection is calling this task
        assert count() == before + 5


@served(answering(OK), keep_alive_timeout=0.02)
async def test_late_idle_connection_is_not_reused_though_no_timer_could_run(request, server):
    await get(request, server.url)
    time.sleep(0.03)                                            # noqa: ASYNC251
    await get(request, server.url)
    assert server.connections == 2


HTTP_1_0 = {'http_version': b'HTTP/1.0'}
OK_1_0 = OK.replace(b'1.1', b'1.0')
KEEP_ALIVE = (b'connection', b'keep-alive')


@table('settings, fields, response, is_kept', [
    ('HTTP/1.1 keeps.', {}, [], OK, True),
    ('A keep_alive_timeout of 0 keeps none.', {'keep_alive_timeout': 0}, [], OK, False),
    ('A hint of 1 s leaves no time.', {}, [], ok_with(b'keep-alive: timeout=1'), False),
    ('A hint of 0 s leaves no time.', {}, [], ok_with(b'keep-alive: timeout=0'), False),
    ('The server closes.', {}, [], ok_with(b'connection: Close'), False),
    ('The client closes.', {}, [(b'Connection', b'x, CLOSE')], OK, False),
    ('More has come than the content.', {}, [], OK + b'surplus', False),
    ('HTTP/1.0 closes.', HTTP_1_0, [], OK_1_0, False),
    ('HTTP/1.0 closes if one asks.', HTTP_1_0, [KEEP_ALIVE], OK_1_0, False),
    ('HTTP/1.0 keeps if both ask.', HTTP_1_0, [KEEP_ALIVE],
     ok_with(b'connection: Keep-Alive', b'1.0'), True),
])
@in_loop
async def test_connection_is_kept_or_closed_at_the_last_byte(settings, fields, response, is_kept):
    socks, heads = Socks(), []

    async def handler(reader, writer):
        heads.append((await read_request(reader))[0])
        writer.write(response)
        await reader.read()

    async with Server(handler) as server, pool(get_sock=socks, **settings) as request:
        body = (await request(b'GET', server.url, headers=fields))[2]
        assert await anext(body) == b'ok'
        assert socks.open() == [is_kept]
        assert await lowhaio.buffered(body) == b''
        version = settings.get('http_version', b'HTTP/1.1')
        assert heads[0].startswith(b'GET / %b\r\nhost: 127.0.0.1:' % version)


@served(answering(b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n'))
async def test_connection_is_idle_before_request_returns_a_response_without_body(request, server):
    bodies = [(await request(b'HEAD', server.url))[2] for _ in range(2)]
    assert server.connections == 1
    assert [await lowhaio.buffered(body) for body in bodies] == [b'', b'']


@served(Halves)
async def test_connection_is_idle_when_the_last_chunk_is_given(request, server):
    body = (await request(b'GET', server.url))[2]
    assert await anext(body) == b'1'
    server.handler.go[1].set()
    assert await anext(body) == b'1'
    assert (await get(request, server.url))[2] == b'11'
    assert server.connections == 1
    with pytest.raises(StopAsyncIteration):
        await anext(body)
    await body.aclose()
    assert (await get(request, server.url))[2] == b'11'
    assert server.connections == 1


def spying(kind=socket.socket):
    """Return a Socks whose sockets note their calls, with sizes, in one list: `kind.calls`."""
    class Spying(kind):
        calls = []      # noqa: RUF012

        def recv(self, size):
            self.calls.append(('recv', size))
            return super().recv(size)

        def send(self, data):
            self.calls.append(('send', len(data)))
            return super().send(data)

    return Socks(Spying)


@contextlib.contextmanager
def noting_loop_calls(fd=None):
    """Yield the names of the loop's methods called for `fd`, if given, and for timers."""
    def note_and_call(name, method, first, *args, **kwargs):
        if fd is None or name in timers or getattr(first, 'fileno', lambda: first)() == fd:
            called.append(name)
        return method(first, *args, **kwargs)

    loop, called, timers = asyncio.get_running_loop(), [], ('call_at', 'call_later')
    with pytest.MonkeyPatch.context() as patch:
        for name in ('add_reader', 'remove_reader', 'add_writer', 'remove_writer', *timers):
            noting = functools.partial(note_and_call, name, getattr(loop, name))
            patch.setattr(loop, name, noting)
        yield called


@in_loop
async def test_hooks_of_one_request_are_called_in_order_with_what_they_need():
    async def send_header(*args):
        calls.append(args)
        head = b'PUT /own HTTP/1.1\r\ncontent-length: 3\r\n\r\n'
        await lowhaio.send_all(*args[1:4], head)

    async def send_body(*args):
        calls.append(args)
        await lowhaio.send_body_async_gen_bytes(*args)

    async def body(a, b):
        yield a
        yield memoryview(b)

    handler, socks, calls = Receiving(OK), Socks(), []
    async with Server(handler) as server, pool(
            get_sock=socks, sock_pre_message=lambda *args: calls.append(('pre', *args)),
            sock_post_message=lambda *args: calls.append(('post', *args)),
            send_header=send_header, send_body=send_body, socket_timeout=3) as request:
        assert await get(request, server.url + 'path', b'PUT', params={'a': 'b'}, body=body,
                         headers=[(b'Content-Length', b'3')], body_args=(b'EN',),
                         body_kwargs={'b': b'D'})
    assert await handler.content() == b'END'
    assert handler.received.startswith(b'PUT /own HTTP/1.1\r\n')

    pre, (header_logger, *of_header), (body_logger, *of_body), post = calls
    first = [asyncio.get_running_loop(), socks[0], 3]
    url = urllib.parse.urlsplit(server.url + 'path')
    assert (pre, post) == (('pre', socks[0]), ('post', socks[0]))
    assert of_header == [*first, b'HTTP/1.1', b'PUT', url, {'a': 'b'},
                         ((b'Content-Length', b'3'),)]
    assert (of_body[:3], of_body[4], dict(of_body[5])) == (first, (b'EN',), {'b': b'D'})
    assert {type(header_logger), type(body_logger)} == {lowhaio.HttpLoggerAdapter}
    assert type(of_header[5]) is urllib.parse.SplitResult


async def send_file(logger, loop, sock, socket_timeout, body, body_args, body_kwargs):
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip('uvloop has no sock_sendfile')
    await loop.sock_sendfile(sock, *body_args)


@served(Receiving(OK), send_body=send_file)
async def test_send_body_may_send_a_file_with_loop_sock_sendfile(request, server):
    content = os.urandom(2 ** 20) + b'END'
    with tempfile.TemporaryFile() as file:
        file.write(content)
        for _ in range(2):
            file.seek(0)
            assert (await get(request, server.url, b'PUT', body_args=(file,), headers=[
                (b'content-length', b'%d' % len(content))]))[2] == b'ok'
    assert server.connections == 1
    assert server.handler.received.count(content) == 2


@table('body, lengths', [
    ('none', lowhaio.empty_async_iterator, [0]),
    ('streamed', lowhaio.streamed(b'body'), [4]),
    ('large', lowhaio.streamed(bytes(16384)), [16384]),
    ('too large', lowhaio.streamed(bytes(16385)), [0, 16385]),
    ('not bytes', lowhaio.streamed(bytearray(4)), [4]),
    ('large, not bytes', lowhaio.streamed(bytearray(16385)), [0, 16385]),
    ('iterated', Body(b'body'), [0, 4]),
    ('larger than a send', lowhaio.streamed(bytes(50000)), [0, 32768, 50000 - 32768]),
])
@in_loop
async def test_warm_request_costs_one_send_one_recv_and_one_probe(body, lengths):
    """And another send, if the header section is not sent together with the content."""
    socks = spying()
    async with Server(answering(OK)) as server, pool(get_sock=socks, recv_bufsize=5000) as request:
        fields = [(b'content-length', b'%d' % sum(lengths))] if sum(lengths) else []
        await get(request, server.url, headers=fields, body=body)
        socks[0].calls.clear()
        with noting_loop_calls(socks[0].fileno()) as loop_calls:
            await get(request, server.url, headers=fields, body=body)
        head = b'GET / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n' % server.port + b''.join(
            b'%b: %b\r\n' % field for field in fields) + b'\r\n'
        sends = [len(head) + lengths[0], *lengths[1:]]
        assert socks[0].calls == [('recv', 1), *[('send', size) for size in sends], ('recv', 5000)]
        assert loop_calls == []


def have_logger_raise_once(text, caplog, monkeypatch):
    """Have the logger raise for the first message with this text. Return a list that gets it."""
    def raise_once(record):
        if text in record.msg and not raised:
            raised.append(text)
            raise ValueError('no room')
        return True

    raised = []
    caplog.set_level(logging.DEBUG, logger='lowhaio')
    monkeypatch.setattr(logging.getLogger('lowhaio'), 'filter', raise_once)
    return raised


@pytest.mark.parametrize('message', [
    'Connecting', 'Connected', 'handshake done', 'Header sent', 'Reusing', 'Body received',
    'Kept alive', 'Closing'])
@served(None, tls=True)
async def test_logger_that_raises_leaves_nothing_open(
        request, server, message, caplog, monkeypatch):
    server.handler = answering(ok_with(b'connection: close') if message == 'Closing' else OK)
    raised, errors = have_logger_raise_once(message, caplog, monkeypatch), []
    listening = open_descriptors()
    for _ in range(2):
        try:
            await get(request, server.url)
        except (lowhaio.HttpError, ValueError) as error:
            errors.append(error)
            assert len(open_descriptors()) <= len(listening) + 1    # the server's end
    assert (raised, len(errors)) == ([message], 1)
    assert (await get(request, server.url))[2] == b'ok'


@served(Receiving, socks=True)
async def test_logger_that_raises_as_an_upload_fails(request, server, caplog, monkeypatch):
    have_logger_raise_once('Closing %s: ', caplog, monkeypatch)
    body = Body(b'abc')
    with failing(lowhaio.HttpDataError, 'no room'):
        await put_body(request, server, body, 2)
    assert body.is_done()
    assert server.socks.open() == [False]


@in_loop
async def test_logger_that_raises_as_a_pool_closes(caplog, monkeypatch):
    have_logger_raise_once('Closing %s: ', caplog, monkeypatch)
    socks = Socks()
    async with Server(answering(OK)) as server:
        request, close = lowhaio.Pool(get_sock=socks)
        await asyncio.gather(get(request, server.url), get(request, server.url))
        assert socks.open() == [True, True]
        with pytest.raises(ValueError, match='no room'):
            await close()
        assert socks.open() == [False, False]


@pytest.mark.parametrize('error', [NotImplementedError, TypeError])
@in_loop
async def test_pool_on_a_loop_that_cannot_watch_a_socket_is_refused(error, monkeypatch):
    """As asyncio's proactor loop, and as PySide6.QtAsyncio, whose method just raises."""
    def add_reader(*_):
        raise error

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, 'add_reader', add_reader)
    text = f'that can watch a socket.*got {type(loop).__name__}$'
    with pytest.raises(NotImplementedError, match=text):
        lowhaio.Pool()


@pytest.mark.parametrize('what', ['request', 'close'])
@in_loop
async def test_call_in_another_loop_is_refused_while_that_of_the_pool_runs(what):
    async with Server(answering(OK)) as server:
        request, close = lowhaio.Pool()
        await get(request, server.url)
        call = close() if what == 'close' else request(b'GET', server.url)
        with pytest.raises(RuntimeError, match=r'the event loop in which Pool\(\) was called'):
            await asyncio.to_thread(asyncio.run, call)
        assert (await get(request, server.url))[2] == b'ok'
        assert server.connections == 1
        await close()


def test_pool_whose_loop_has_ended_is_closed_in_another_thread_but_makes_no_request_there():
    async def main():
        async with Server(answering(OK)) as server:
            request, close = lowhaio.Pool()
            await get(request, server.url)
            return request(b'GET', server.url), close()

    before = open_descriptors()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        requesting, closing = runner.run(main())
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        with pytest.raises(RuntimeError, match=r'the event loop in which Pool\(\) was called'):
            thread.submit(asyncio.run, requesting).result()
        thread.submit(asyncio.run, closing).result()
    del runner
    gc.collect()
    assert open_descriptors() == before


def answer_in_a_thread(listener, response):
    """Answer one request, and return the socket, with a server that outlives the event loop."""
    def answer():
        peer, _ = listener.accept()
        peer.recv(1000)
        peer.sendall(response)
        return peer

    return asyncio.to_thread(answer)


def test_body_whose_reader_still_waits_is_closed_after_its_loop_has():
    async def main():
        request, _ = lowhaio.Pool(get_sock=socks)
        url = f'http://127.0.0.1:{listener.getsockname()[1]}/'
        peer, (_, _, body) = await asyncio.gather(
            answer_in_a_thread(listener, HALF_A_BODY), request(b'GET', url))
        reading = asyncio.ensure_future(lowhaio.buffered(body))
        await asyncio.sleep(0.01)
        reading._log_destroy_pending = False
        return peer, body, reading

    socks, loop = Socks(), new_loop()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        peer, body, reading = loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.run(body.aclose())
        peer.close()
    assert socks.open() == [False]
    assert not reading.done()


def test_pools_in_four_threads_with_a_loop_each():
    """The caches of the module are all that they share."""
    head = b'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n'
    responses = [head + b'number: %d\r\n\r\n%04d' % (number, number) for number in range(300)]

    async def main(thread):
        async with Server(answering(*responses)) as server, pool() as request:
            for number in range(len(responses)):
                code, headers, body = await get(
                    request, f'{server.url}{thread}?{number}',
                    headers=((b'from-%d-%d' % (thread, number), b'x'),))
                assert (code, dict(headers)[b'number'], body) == (
                    b'200', b'%d' % number, b'%04d' % number)
            return server.connections

    def run(thread):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main(thread))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(run, range(4))) == [1] * 4


@table('response', [
    ('header section', b'HTTP/1.1 200 OK\r\nx: ' + b'x' * 100 + b'\r\ncontent-length: 0\r\n\r\n'),
    ('trailer section', HEAD_OF_CHUNKS + b'0\r\nx: ' + b'x' * 200),
])
@served(None, socks=True, max_header_length=100)
async def test_section_above_max_header_length_is_an_error(request, server, response):
    server.handler = answering(response)
    with failing(lowhaio.HttpHeaderTooLong, 'of at most 100 bytes; got more'):
        await get(request, server.url)
    assert server.socks.open() == [False]


@table('hook, error, kind', [
    ('before', 'sock_pre_message', OSError('not today'), lowhaio.HttpConnectionError),
    ('after', 'sock_post_message', OSError('not today'), lowhaio.HttpDataError),
    ('in the header', 'send_header', OSError('not today'), lowhaio.HttpDataError),
    ('in the body', 'send_body', OSError('not today'), lowhaio.HttpDataError),
    ('in the body, by another request', 'send_body',
     lowhaio.HttpConnectionError('of another request'), lowhaio.HttpDataError),
])
@in_loop
async def test_hook_that_fails_says_whether_a_byte_may_have_been_sent(hook, error, kind):
    def fail(*_):
        raise error

    handler, socks = Receiving(), Socks()
    async with Server(handler) as server, pool(get_sock=socks, **{hook: fail}) as request:
        with failing(kind, rf'^127.0.0.1:\d+: .*{error}', type(error)):
            await request(b'GET', server.url)
        assert (socks.open(), await handler.content()) == ([False], b'')


def choosy(*outcomes):
    """Return a Socks whose sockets first take as many bytes as `outcomes` say, or fail by them."""
    class Choosy(socket.socket):
        def send(self, data):
            if not left:
                return super().send(data)
            outcome = left.pop(0)
            if isinstance(outcome, int):
                return super().send(data[:outcome])
            raise outcome

    left = list(outcomes)
    return Socks(Choosy)


# Without a hook of one's own, the header section is sent together with what is known of the body.
SENDERS = pytest.mark.parametrize('hooks', [
    {}, {'send_body': lambda *args: lowhaio.send_body_async_gen_bytes(*args)}],
    ids=['the default hooks', 'a hook'])


@SENDERS
@table('outcomes, kind, cause', [
    ('none', [BrokenPipeError(32, 'gone')], lowhaio.HttpConnectionError, BrokenPipeError),
    ('some', [5, BrokenPipeError(32, 'gone')], lowhaio.HttpConnectionClosedError, BrokenPipeError),
    ('some, other error', [5, OSError(28, 'odd')], lowhaio.HttpDataError, OSError),
    ('none, other error', [BlockingIOError(), OSError(28, 'odd')],
     lowhaio.HttpConnectionError, OSError),
    ('never any', [BlockingIOError()] * 10 ** 5, lowhaio.HttpConnectionError, TimeoutError),
])
@in_loop
async def test_whether_a_header_byte_was_taken_decides_the_error(outcomes, kind, cause, hooks):
    socks = choosy(*outcomes)
    text = rf'^127.0.0.1:\d+: expected the request to go on; got {cause.__name__}'
    async with Server(Receiving()) as server, \
            pool(get_sock=socks, socket_timeout=0.1, **hooks) as request:
        with failing(kind, text, cause):
            await request(b'GET', server.url)
        assert socks.open() == [False]


@SENDERS
@in_loop
async def test_header_taken_in_pieces_is_sent_whole(hooks):
    handler, socks = Receiving(OK), choosy(BlockingIOError(), 1, BlockingIOError(), 7, 3)
    async with Server(handler) as server, pool(get_sock=socks, **hooks) as request:
        await put_body(request, server, Body(b'END'), 3)
    assert handler.received == (
        b'PUT / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: 3\r\n\r\nEND' % server.port)


@in_loop
async def test_error_of_a_hook_that_says_what_it_wants_passes_as_it_is():
    class Mine(lowhaio.HttpDataError):
        def __init__(self, number, text):
            super().__init__(f'{number} {text}')

    error = Mine(5, 'not today')
    async with Server(answering(OK)) as server, pool(send_body=raising(error)) as request:
        with failing(Mine, '^5 not today$') as caught:
            await request(b'GET', server.url)
        assert caught.value is error


@pytest.mark.parametrize(('name', 'value', 'text'), [
    ('http_version', b'HTTP/2', "b'HTTP/1.1' or b'HTTP/1.0'; got"),
    ('http_version', 'HTTP/1.1', "b'HTTP/1.1' or b'HTTP/1.0'; got"),
    ('connect_timeout', None, r"seconds, from 0 up; no limit is float\('inf'\); got None"),
    ('socket_timeout', '5', 'seconds, from 0 up'), ('keep_alive_timeout', -1, 'got -1'),
    ('socket_timeout', float('nan'), 'got nan'), ('recv_bufsize', 0, 'bytes, an int from 1 up'),
    ('max_header_length', 1.5, 'bytes, an int from 1 up'),
    ('get_ssl_context', ssl, 'something that can be called'), ('get_sock', None, 'got None')])
@in_loop
async def test_pool_of_what_it_cannot_work_with_is_refused(name, value, text):
    with pytest.raises(ValueError, match=f'expected {name} as .*{text}'):
        lowhaio.Pool(**{name: value})


def test_pool_outside_of_a_loop_says_so():
    with pytest.raises(RuntimeError, match=r'Pool\(\) to be called in a running event loop'):
        lowhaio.Pool()


@pytest.mark.parametrize('tls', [False, True])
@in_loop
async def test_each_step_is_logged_at_debug_and_userinfo_is_not(tls, caplog):
    """Also if debug is switched on after the pool was made."""
    async with Server(answering(OK), tls=tls) as server, pool() as request:
        caplog.set_level(logging.DEBUG, logger='lowhaio')
        for _ in range(2):
            await get(request, server.url.replace('://', '://user:secret@'), b'PUT',
                      body=lowhaio.streamed(b'x'), headers=[(b'content-length', b'1')])
    prefix = re.escape(f'[http:PUT,{server.url}] ')
    once = ['Header sent on', 'Body sent to its end: True', "Status received: b'200'",
            'Body received on', 'Kept alive']
    steps = [
        'No idle connection to', f'Connecting to 127.0.0.1 port {server.port}', 'Connected',
        *['TLS handshake done, session resumed: False'] * tls, *once, 'Reusing', *once]
    *messages, origins, closing = [
        record.getMessage() for record in caplog.records if record.name == 'lowhaio']
    for message, step in zip(messages, steps, strict=True):
        assert re.match(prefix + re.escape(step), message)
    assert origins == '[http] Closing 1 origins'
    assert re.match(r'\[http\] Closing <.*>: the pool is closed', closing)
    assert {record.levelname for record in caplog.records} == {'DEBUG'}
    assert 'secret' not in caplog.text


@in_loop
async def test_reasons_for_no_reuse_are_logged(caplog, monkeypatch):
    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0)
    caplog.set_level(logging.DEBUG, logger='lowhaio')
    holding, resolver = Holding(), Resolver(['127.0.0.1'])
    async with Server(holding) as server, pool(get_dns_resolver=resolver) as request:
        url = f'http://a.test:{server.port}/'
        await get(request, url)
        with peer_socket(holding.streams[0][1]) as peer:
            peer.send(b'x')
        await get(request, url)
        resolver.answer = ['127.0.0.2']
        with pytest.raises(lowhaio.HttpConnectionError):
            await get(request, url)
    for reason in ('not reused: the peer closed it or sent bytes, or it expired',
                   'Address withdrawn: 127.0.0.1',
                   'its address is no longer among the A records'):
        assert reason in caplog.text


@in_loop
async def test_close_logs_with_the_adapters_that_it_is_given():
    def get_adapter(name, extra):
        given.append((name, extra))
        return lowhaio.get_logger_adapter_default(extra)

    given = []
    request, close = lowhaio.Pool(get_dns_resolver=Resolver([]))
    with pytest.raises(lowhaio.HttpDnsError):       # the resolver is made when needed
        await request(b'GET', 'http://a.test/')
    await close(functools.partial(get_adapter, 'http'),
                lambda http_extra: functools.partial(get_adapter, 'dns'))
    assert given == [('http', {}), ('dns', {})]


@pytest.mark.parametrize('answers', [[False], [True], []], ids=['no', 'yes', 'cannot be asked'])
@pytest.mark.parametrize('where', ['pool', 'request'])
@in_loop
async def test_logger_adapter_is_asked_once_whether_it_is_enabled(where, answers):
    """One that cannot be asked gets all messages."""
    class Adapter:
        def __init__(self, extra):
            self.extra, self.messages = extra, []
            adapters.append(self)

        def debug(self, msg, *args):
            self.messages.append(msg % args)

    class Asked(Adapter):
        def isEnabledFor(self, level):
            asked.append(level)
            return answers[0]

    asked, adapters, hooks = [], [], {'pool': {}, 'request': {}}
    hooks[where]['get_logger_adapter'] = Asked if answers else Adapter
    async with Server(answering(OK)) as server, pool(**hooks['pool']) as request:
        asked.clear()
        await get(request, server.url + '#f', **hooks['request'])
        assert [adapter.extra for adapter in adapters] == [{}] * (where == 'pool') + [
            {'lowhaio_method': 'GET', 'lowhaio_url': server.url + '#f'}]
        assert asked == [logging.DEBUG] * len(answers)
        assert ("Status received: b'200'" in adapters[-1].messages) == all(answers)


@pytest.mark.parametrize('where', ['pool', 'request'])
@in_loop
async def test_resolver_logger_adapter_of_pool_or_request_is_used(where):
    class Noting(logging.LoggerAdapter):
        def log(self, level, msg, *args, **kwargs):
            logged.append(self.extra)

    def get_resolver_logger_adapter(http_extra):
        extras.append(http_extra)
        return lambda extra: Noting(logging.getLogger('dns.test'), http_extra)

    extras, logged, hooks = [], [], {'pool': {}, 'request': {}}
    hooks[where]['get_resolver_logger_adapter'] = get_resolver_logger_adapter
    async with Server(answering(OK)) as server, Dns({'a.test': ['127.0.0.1']}) as dns, \
            pool(get_dns_resolver=dns.get_resolver, **hooks['pool']) as request:
        url = f'http://a.test:{server.port}/'
        await get(request, url, **hooks['request'])
    extra = {'lowhaio_method': 'GET', 'lowhaio_url': url}
    assert extras == ([extra, {}, {}] if where == 'pool' else [extra])
    assert extra in logged


# Request bodies: counted, closed in every case, and cut short by an answer.

@table('chunks', [
    ('As many as said.', [b'a', b'bEND']),
    ('Empty chunks.', [b'', b'END', b'']),
    ('Other bytes-likes.', [bytearray(b'ab'), memoryview(b'cEND')]),
    ('Items of 4 bytes.', [array.array('I', range(10)), b'END']),
])
@in_loop
async def test_request_body_is_sent_as_it_is_and_closed(chunks):
    handler, body, content = Receiving(OK), Body(*chunks), b''.join(chunks)
    async with Server(handler) as server, \
            pool(get_sock=choosy(1000, 3, 5, BlockingIOError())) as request:    # in pieces
        assert await put_body(request, server, body, len(content)) == (
            b'200', ((b'content-length', b'2'),), b'ok')
        assert body.is_done()
    assert await handler.content() == content


@table('make_body, kind, text, cause, content', FAILING_BODIES)
@served(Receiving, socks=True)
async def test_request_body_that_fails(request, server, make_body, kind, text, cause, content):
    body = make_body()
    with failing(kind, text, cause):
        await put_body(request, server, body, 3)
    assert body.is_done()
    assert server.socks.open() == [False]
    assert await server.handler.content() == content


@in_loop
async def test_streamed_chunks_are_sent_with_the_header_section():
    socks, content = spying(), b'2\r\nok\r\n0\r\n\r\n'
    async with Server(answering(OK)) as server, pool(get_sock=socks) as request:
        await get(request, server.url, b'PUT', headers=IN_CHUNKS, body=lowhaio.streamed(content))
    head = (b'PUT / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ntransfer-encoding: chunked\r\n\r\n'
            % server.port)
    assert [size for call, size, *_ in socks[0].calls if call == 'send'] == [len(head + content)]


@table('given, cause', [
    ('A list.', {'body': lambda: [b'not async']}, AttributeError),
    ('A coroutine.', {'body': raising(OSError('no file'))}, AttributeError),
    ('An argument too many.', {'body': lowhaio.streamed(b'a'), 'body_args': (b'x',)}, TypeError),
    ('An unknown name.', {'body': lowhaio.streamed(b'a'), 'body_kwargs': {'x': b''}}, TypeError),
])
@pytest.mark.filterwarnings('ignore:coroutine .* was never awaited:RuntimeWarning')
@served(Receiving, socks=True)
async def test_request_body_of_the_wrong_kind_is_a_data_error(request, server, given, cause):
    with failing(lowhaio.HttpDataError, 'expected the request body to be a function that '
                 r'returns an async iterator, such as streamed\(data\); got', cause):
        await request(b'PUT', server.url, **given)
    assert server.socks.open() == [False]
    assert await server.handler.content() == b''


@served(Receiving(OK))
async def test_iterator_whose_aclose_fails_is_an_error_and_one_without_is_fine(request, server):
    class Failing(Chunks):
        aclose = raising(OSError('cannot close'))

    assert (await put_body(request, server, Chunks(b'END').__aiter__, 3))[2] == b'ok'
    with failing(lowhaio.HttpDataError, 'expected the request body to close; got OSError',
                 OSError):
        await put_body(request, server, Failing(b'END').__aiter__, 3)


@table('body_args, body_kwargs', [
    ('a mapping', (b'a',), {'b': b'END'}),
    ('pairs', (b'a',), (('b', b'END'),)),
    ('iterators', iter([b'a']), iter([('b', b'END')])),
])
@served(Receiving(OK))
async def test_request_body_gets_its_arguments_and_is_called_once(
        request, server, body_args, body_kwargs):
    async def body(*args, **kwargs):
        calls.append((args, kwargs))
        yield args[0] + kwargs['b']

    calls = []
    await get(request, server.url, b'PUT', headers=[(b'content-length', b'4')],
              body=body, body_args=body_args, body_kwargs=body_kwargs)
    assert calls == [((b'a',), {'b': b'END'})]
    assert server.handler.received.endswith(b'\r\n\r\naEND')


@table('given, text', [
    ('its method', {'method': b'BAD METHOD'}, 'method as a token'),
    ('a header field', {'headers': [(b'a', b'b\r\n')]}, "b'a' with a value without control"),
    ('body_args', {'body_args': 5}, 'valid body_args; got'),
    ('body_kwargs', {'body_kwargs': 5}, 'valid body_kwargs; got'),
])
@served(Holding, socks=True)
async def test_refused_request_starts_no_body_and_touches_no_idle_connection(
        request, server, given, text):
    await get(request, server.url)
    with peer_socket(server.handler.streams[0][1]) as peer:
        shut_down(peer)         # so that a look would close it
    body = Body(b'x')
    with failing(lowhaio.HttpConnectionError, f'^request refused: expected {text}', ValueError):
        await request(**{'method': b'GET', 'url': server.url, 'body': body} | given)
    assert (server.socks.open(), body.calls) == ([True], 0)


TOO_LARGE = b'HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nlate'
PIECES = [b'HTTP/1.', b'1 413 Content Too', b' Large\r\ncontent-length', b': 4\r\n\r', b'\nlate']
INTERIM = [b'HTTP/1.1 100 Continue\r\n\r\n', b'HTTP/1.1 103 \r\n\r\n',
           b'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n']


async def read_on(reader, _):
    while await reader.read(2 ** 16):
        pass


def answering_the_head(*pieces, then=read_on, pause=False):
    """Return a handler that answers as soon as it has the header section."""
    async def handler(reader, writer):
        await reader.readuntil(b'\r\n\r\n')
        if pause:
            writer.transport.pause_reading()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.005 if len(pieces) > 1 else 0)
        await then(reader, writer)

    return handler


async def forget(reader, writer):
    """Wait without reading."""
    await asyncio.sleep(10)


async def hook_that_waits(logger, loop, sock, socket_timeout, body, body_args, body_kwargs):
    async for chunk in body(*body_args, **dict(body_kwargs)):
        await lowhaio.send_all(loop, sock, socket_timeout, chunk)
        await asyncio.Event().wait()


@table('handler, settings', [
    ('while the body waits for ever', answering_the_head(TOO_LARGE), {}),
    ('in pieces', answering_the_head(*PIECES), {}),
    ('after interim ones', answering_the_head(*INTERIM, *PIECES), {}),
    ('in a custom send_body', answering_the_head(TOO_LARGE), {'send_body': hook_that_waits}),
    ('with a 300', answering_the_head(TOO_LARGE.replace(b'413', b'300')), {}),
])
@pytest.mark.parametrize('tls', [False, True])
@in_loop
async def test_answer_from_300_on_ends_the_sending_at_once(handler, settings, tls):
    calls = []

    async def leave():
        await asyncio.sleep(0)          # a finally may still await
        calls.append('left')

    async with Server(handler, tls=tls) as server, \
            pool(**settings,
                 sock_pre_message=lambda _: calls.append('pre'),
                 sock_post_message=lambda _: calls.append('post')) as request:
        for count in (1, 2):            # and the connection is not used again
            body = Body(b'x', then=wait_for_ever, at_end=leave)
            code, _, content = await put_body(request, server, body, 9)
            assert (code in (b'413', b'300'), content) == (True, b'late')
            assert body.is_done()
            assert (calls, server.connections) == (['pre', 'left', 'post'] * count, count)


async def answer_late(reader, writer):
    await asyncio.sleep(0.05)       # so that the buffers are full
    writer.write(TOO_LARGE)
    await asyncio.sleep(10)


@pytest.mark.parametrize('tls', [False, True])
@served(answering_the_head(b'', then=answer_late, pause=True))
async def test_answer_ends_the_sending_to_a_peer_that_has_stopped_reading(request, server, tls):
    body = Endless(bytes(2 ** 20))
    assert (await put_body(request, server, body, 10 ** 15))[::2] == (b'413', b'late')
    assert body.is_done()


@pytest.mark.parametrize('body', [lowhaio.streamed(b'abc'), Chunks(b'abc').__aiter__],
                         ids=['known', 'iterated'])
@pytest.mark.parametrize('seconds', [0.05, 10], ids=['until it closes', 'from a peer that waits'])
@served(None)
async def test_answer_ends_the_sending_of_a_header_section(request, server, body, seconds):
    async def handler(reader, writer):
        await reader.read(1)
        writer.transport.pause_reading()
        writer.write(TOO_LARGE)
        await asyncio.sleep(seconds)

    server.handler = handler
    fields = [(b'x', b'y' * 2 ** 23), *OF_3_BYTES]
    answer = await get(request, server.url, b'PUT', headers=fields, body=body)
    assert answer[::2] == (b'413', b'late')


@table('early, late, half_closes, connections', [
    ('a final one, after which the connection is kept', OK, b'', False, 1),
    ('interim ones', b''.join(INTERIM), OK, False, 1),
    ('a final one, and nothing more', OK, b'', True, 2),
])
@served(None)
async def test_answer_below_300_lets_the_body_be_sent_on(
        request, server, early, late, half_closes, connections):
    async def then(reader, writer):
        if half_closes:
            writer.write_eof()
        received.append(await reader.readexactly(6))
        if late:
            writer.write(late)
        await answering(OK)(reader, writer)

    async def body():
        for _ in range(3):
            await asyncio.sleep(0.005)
            yield b'ab'

    received, server.handler = [], answering_the_head(early, then=then)
    assert (await put_body(request, server, body, 6))[2] == b'ok'
    await until(lambda: received == [b'ababab'])
    await put_body(request, server, lowhaio.streamed(b'ababab'), 6)
    assert server.connections == connections


@served(answering_the_head(OK[:-2], b'ok'), socks=True)
async def test_connection_answered_early_does_not_spin_and_is_watched_when_it_is_idle(
        request, server):
    async def body():
        await asyncio.sleep(0.05)       # the answer comes meanwhile
        yield b'x'

    with few_polls():
        assert (await put_body(request, server, body, 1))[2] == b'ok'
    assert server.socks.open() == [True]
    await server.stop()
    await until(lambda: server.socks.open() == [False])


@served(Receiving, socks=True)
async def test_connection_is_closed_before_a_body_that_failed_closes(request, server):
    async def at_end():
        seen.append(server.socks.open())

    seen, body = [], Body(b'ab', at_end=at_end)
    with failing(lowhaio.HttpDataError, 'expected a content-length or transfer-encoding in '
                 'headers; got 2 bytes of body'):
        await request(b'PUT', server.url, body=body)
    assert body.is_done()
    assert seen == [[False]]
    assert await server.handler.content() == b''


IN_CHUNKS = ((b'transfer-encoding', b'chunked'),)


@pytest.mark.parametrize(('body', 'fields', 'text'), [
    (lowhaio.streamed(b'abcd'), OF_3_BYTES, '.* of 3 bytes, by its content-length; got one of 4'),
    (lowhaio.streamed(b'ab'), OF_3_BYTES, '.* of 3 bytes, by its content-length; got one of 2'),
    (lowhaio.streamed(b'a'), [], '.* with a content-length or transfer-encoding in headers; got'),
    (lowhaio.streamed('abc'), OF_3_BYTES, 'valid data of streamed; got memoryview'),
    (lowhaio.streamed(memoryview(b'a.b.c.')[::2]), OF_3_BYTES, 'valid data of streamed; got mem'),
    (lowhaio.empty_async_iterator, OF_3_BYTES,
     'a request body of 3 bytes, by its content-length; got one of 0'),
    *[(lowhaio.streamed(content), IN_CHUNKS,
       f'{expected}.* the request body, by its transfer-encoding') for content, expected in [
           (b'', 'a last chunk'), (b'hello', 'a chunk size'), (b'5\r\nhello\r\n', 'a last chunk'),
           (b'0\r\n\r\nmore', 'nothing after the')]],
])
@served(Receiving, socks=True)
async def test_known_body_that_is_not_as_said_is_refused(request, server, body, fields, text):
    with failing(lowhaio.HttpConnectionError, 'refused: expected ' + text, ValueError):
        await request(b'PUT', server.url, headers=fields, body=body)
    assert server.socks == []


async def reset(reader, writer):
    peer = peer_socket(writer)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    writer.transport.abort()
    peer.close()


async def close_unread(reader, writer):
    pass


@pytest.mark.parametrize(('answer', 'content'), [(TOO_LARGE, b'413late'), (OK, b'200ok')])
@pytest.mark.parametrize('then', [reset, close_unread])
@served(None)
async def test_answer_of_a_peer_that_then_closes_is_given(request, server, then, answer, content):
    async def after(reader, writer):
        await asyncio.sleep(0.01)       # the answer is on its way, and has been read
        await then(reader, writer)

    server.handler, body = answering_the_head(answer, then=after, pause=True), Endless(bytes(1000))
    assert b''.join((await put_body(request, server, body, 10 ** 15))[::2]) == content
    assert body.is_done()


async def send_unheard(logger, loop, sock, socket_timeout, body, body_args, body_kwargs):
    await asyncio.sleep(0.01)           # until the server has the connection
    async for chunk in body(*body_args, **dict(body_kwargs)):
        sock.send(chunk)


@served(Holding, send_body=send_unheard, recv_bufsize=10)
async def test_answer_that_nobody_has_read_yet_is_given_when_a_send_fails(request, server):
    async def body():
        (_, writer), = server.handler.streams
        with peer_socket(writer) as peer:
            peer.send(OK)
            shut_down(peer)
        yield b'x' * 10
        yield b'x' * 10         # the event loop has not run since: this one fails
        yield b'x' * 10

    assert (await put_body(request, server, body, 30))[2] == b'ok'
    assert server.connections == 1


@served(answering_the_head(b'HTTP/1.1 20', then=close_unread))
async def test_peer_that_closes_while_it_is_sent_to_without_an_answer(request, server):
    with failing(lowhaio.HttpConnectionClosedError, r'^127.0.0.1:\d+: expected '):
        await put_body(request, server, Endless(bytes(1000)), 10 ** 15)


@served(Holding, send_body=raising(BrokenPipeError(32, 'Broken pipe')), socket_timeout=0.02)
async def test_send_that_fails_before_anything_is_read_names_its_error(request, server):
    with failing(lowhaio.HttpConnectionClosedError, 'request to go on; got BrokenPipeError',
                 BrokenPipeError):
        await put_body(request, server, lowhaio.empty_async_iterator, 1)


async def half_close(reader, writer):
    writer.write_eof()
    await reader.read()


@table('handler, kind, text', [
    ('what is no answer', answering_the_head(b'SSH-2.0-OpenSSH\r\n'), lowhaio.HttpDataError,
     "expected a status line; got b'SSH-2.0-OpenSSH"),
    ('the end of the stream', answering_the_head(b'HTTP/1.1 2', then=half_close),
     lowhaio.HttpConnectionClosedError, r'^127.0.0.1:\d+: expected a response; got the end of '
     "the stream after b'HTTP/1.1 2'"),
])
@served(None)
async def test_failed_answer_ends_the_sending_while_the_body_waits(
        request, server, handler, kind, text):
    server.handler, body = handler, Body(b'x', then=wait_for_ever)
    with failing(kind, text):
        await put_body(request, server, body, 9)
    assert body.is_done()


@served(answering_the_head(TOO_LARGE))
async def test_early_answer_does_not_cut_short_what_a_cancelled_body_does_at_its_end(
        request, server):
    async def body():
        try:
            yield b'x'
            task.cancel('mine')
            await wait_for_ever()
        finally:
            await asyncio.sleep(0.1)            # the answer comes
            is_clean.set()

    is_clean = asyncio.Event()
    task = asyncio.create_task(put_body(request, server, body, 9))
    with pytest.raises(asyncio.CancelledError, match='mine'):
        await task
    assert is_clean.is_set()


@pytest.mark.parametrize('error', [None, OSError('cannot clean up')], ids=['swallows', 'fails'])
@in_loop
async def test_hook_that_does_not_end_with_the_sending_does_not_hide_the_answer(error):
    async def send_body(*_):
        with contextlib.suppress(asyncio.CancelledError):
            await wait_for_ever()
        await asyncio.sleep(0.001)
        if error:
            raise error

    async with Server(answering_the_head(TOO_LARGE)) as server, \
            pool(send_body=send_body) as request:
        assert (await put_body(request, server, lowhaio.empty_async_iterator, 0))[2] == b'late'


@table('chunks, count, returned', [
    ('It reads half of the body.', [b'a', b'b'], 1, [True]),
    ('The body is too short, as it learns at once.', [b'a'], 2, []),
])
@in_loop
async def test_hook_sends_too_few_bytes(chunks, count, returned):
    async def send_body(logger, loop, sock, socket_timeout, body, body_args, body_kwargs):
        given = aiter(body())
        for _ in range(count):
            await lowhaio.send_all(loop, sock, socket_timeout, await anext(given))
        has_returned.append(True)

    body, has_returned = Body(*chunks), []
    async with Server(Receiving()) as server, pool(send_body=send_body) as request:
        with failing(lowhaio.HttpDataError, 'expected 1 more bytes of the request body'):
            await put_body(request, server, body, 2)
        assert body.is_done()
        assert has_returned == returned


NO_CHUNKS = r'expected .* in the request body, by .*; got \d+ bytes that are not: .*-chunked'
NO_LAST_CHUNK = 'expected a last chunk of the request body.*got its end'
MORE_CHUNKS = 'expected nothing after the last chunk'


@pytest.mark.parametrize(('chunks', 'text', 'sent'), [
    ((b'line 0\n',), NO_CHUNKS, b''),
    ((b'5\r\nhello\r\n', b'6\r\nhello\r\n'), NO_CHUNKS, b'5\r\nhello\r\n'),
    ((b'5\r\nhello\r\n',), NO_LAST_CHUNK, b'5\r\nhello\r\n'),
    ((), NO_LAST_CHUNK, b''),
    ((b'0\r\n\r\n', b'5\r\nhello\r\n'), MORE_CHUNKS, b'0\r\n\r\n'),
    ((b'0\r\n\r\nGET / HTTP/1.1\r\n\r\n',), MORE_CHUNKS, b''),
    *[((b'2;a="\xe4"\r\nab\r\n', raw), NO_CHUNKS, b'2;a="\xe4"\r\nab\r\n') for raw in (
        # which a recipient may read, but no sender may write
        b'1 \r\n', b'1 ;a\r\n', b'1;\1\r\n', b'0\r\n\n', b'0\r\na: b\n\r\n',
        b'0\r\na: b\r\n c\r\n\r\n', b'0\r\na: \1\r\n\r\n', b'0\r\nContent-Length: 5\r\n\r\n')],
])
@served(Receiving)
async def test_request_body_is_held_against_the_chunked_coding(
        request, server, chunks, text, sent):
    with failing(lowhaio.HttpDataError, text):
        await request(b'POST', server.url, body=Chunks, body_args=chunks, headers=IN_CHUNKS)
    assert await server.handler.content() == sent


async def send_on_after_an_error(
        logger, loop, sock, socket_timeout, body, body_args, body_kwargs):
    chunks = body(*body_args)
    with pytest.raises(lowhaio.HttpDataError, match='a chunk size in the request body'):
        await anext(chunks)
    async for chunk in chunks:
        await lowhaio.send_all(loop, sock, socket_timeout, chunk)


@served(Receiving, send_body=send_on_after_an_error)
async def test_chunks_after_a_malformed_one_are_refused_too(request, server):
    with failing(lowhaio.HttpDataError, 'nothing after the last chunk of the request body'):
        await request(b'POST', server.url, body=Chunks, body_args=(b'x', b'0\r\n\r\n'),
                      headers=IN_CHUNKS)
    assert await server.handler.content() == b''


@served(Receiving)
async def test_long_line_of_a_chunked_request_body_names_the_limit(request, server):
    with failing(lowhaio.HttpHeaderTooLong, 'chunk-size line .*: max_header_length sets the'):
        await request(b'POST', server.url, body=Body(b'5;' + b'a' * 20_000), headers=IN_CHUNKS)


@pytest.mark.parametrize('pieces', [
    (b'5\r\nhello\r\n0\r\n\r\n',),
    (b'5', b'\r\nhe', b'llo\r', b'\n0\r\na: \xe4\r\nb:\r\n', b'\r\n'),
    (memoryview(b'5;a=b\r\nhello\r\n'), bytearray(b'0\r\n\r\n'))])
@served(Receiving)
async def test_chunked_request_body_is_sent_as_it_is(request, server, pieces):
    task = asyncio.ensure_future(request(
        b'POST', server.url, body=Chunks, body_args=pieces, headers=IN_CHUNKS))
    content = b'\r\n\r\n' + b''.join(pieces)
    await until(lambda: server.handler.received.endswith(content))
    await cancel(task)


@in_loop
async def test_content_that_a_send_body_makes_of_its_own_is_not_refused():
    async def send_body(logger, loop, sock, socket_timeout, body, body_args, body_kwargs):
        await lowhaio.send_all(loop, sock, socket_timeout, b'own')

    async with Server(answering(OK)) as server, pool(send_body=send_body) as request:
        assert (await put_body(request, server, lowhaio.empty_async_iterator, 3))[2] == b'ok'


# Response bodies that are not read to their end.

@pytest.mark.parametrize('count', [0, 1])
@served(Halves, socks=True)
async def test_response_body_left_before_its_end_closes_its_connection(request, server, count):
    dropped, closed = [(await request(b'GET', server.url))[2] for _ in range(2)]
    for _ in range(count):
        await anext(dropped)
    del dropped
    assert server.socks.open() == [False, True]
    for _ in range(2):
        await closed.aclose()
        assert server.socks.open() == [False, False]
    with pytest.raises(StopAsyncIteration):
        await anext(closed)


@served(answering(OK[:-1], then='close'))
async def test_response_body_iterated_after_an_error_fails_again(request, server):
    body = (await request(b'GET', server.url))[2]
    assert await anext(body) == b'o'
    with failing(lowhaio.HttpConnectionClosedError, '1 more bytes of content; got the end'):
        await anext(body)
    with failing(lowhaio.HttpDataError, 'expected an open body; got .* by a read that failed'):
        await anext(body)


@served(Halves)
async def test_response_body_iterated_by_two_tasks_fails(request, server):
    body = (await request(b'GET', server.url))[2]
    await anext(body)
    first = asyncio.create_task(anext(body, None))
    await asyncio.sleep(0)
    where = rf'^127.0.0.1:{server.port}: expected '
    with failing(lowhaio.HttpDataError, where + 'a body with one reader; got another task'):
        await anext(body)
    with failing(lowhaio.HttpDataError, where + '.* closed while a task was reading'):
        await first


@table('answer, bufsize, most, got', [
    ('It never waits for bytes.', b'content-length: 1000\r\n\r\n' + b'x' * 999, 10, 49, ''),
    ('It never waits for chunks.', b'transfer-encoding: chunked\r\n\r\n' + b'1\r\nx\r\n' * 300,
     65536, lowhaio._MAX_TURN, ' has closed'),
])
@table('method, error', [
    ('Another task reads it.', '__anext__', 'expected a body with one reader; got another task'),
    ('Another task closes it.', 'aclose', 'None'),
])
@in_loop
async def test_response_body_that_never_waits_is_not_shared(
        answer, bufsize, most, got, method, error):
    """Two tasks cannot use it, as they cannot use one that waits."""
    async def spoil():
        await until(lambda: len(chunks) >= 16)
        await getattr(body, method)()

    async with Server(answering(b'HTTP/1.1 200 OK\r\n' + answer)) as server, \
            pool(recv_bufsize=bufsize) as request:
        body, chunks = (await request(b'GET', server.url))[2], []
        await asyncio.sleep(0.01)       # until all of it has arrived
        spoiler = asyncio.create_task(spoil())
        where = rf'^127.0.0.1:{server.port}: expected an open body; got .* another task'
        with failing(lowhaio.HttpDataError, f'{where}{got}$'):
            async for chunk in body:
                chunks.append(chunk)
                assert len(chunks) <= most
        await asyncio.wait([spoiler])
        assert error in str(spoiler.exception())


@in_loop
async def test_task_that_is_cancelled_by_a_signal_as_its_bytes_come_is_woken_once():
    """The handler of asyncio.run for SIGINT cancels the main task within any callback."""
    class Signalled(socket.socket):
        def recv(self, *args):
            data = super().recv(*args)
            if len(data) > 1 and not task.cancelling():
                task.cancel()
            return data

    async def main():
        try:
            await get(request, server.url)
        except asyncio.CancelledError:
            return (await get(request, server.url))[2]

    async with Server(answering(OK)) as server, pool(get_sock=Socks(Signalled)) as request:
        task = asyncio.create_task(main())
        assert await task == b'ok'


@served(answering(b'HTTP/1.1 200 OK\r\n\r\nhalf'))
async def test_cancellation_that_is_taken_back_from_outside_does_not_end_a_body(request, server):
    body = (await request(b'GET', server.url))[2]
    reading = asyncio.create_task(lowhaio.buffered(body))
    await asyncio.sleep(0.01)
    reading.cancel('why')
    reading.uncancel()
    with pytest.raises(asyncio.CancelledError, match='why'):
        await reading


@in_loop
async def test_close_ends_what_is_idle_and_lets_what_is_in_use_end():
    halves, socks = Halves(), Socks()
    async with Server(halves) as server, Dns({'a.test': ['127.0.0.1']}) as dns:
        request, close = lowhaio.Pool(get_sock=socks, get_dns_resolver=dns.get_resolver)
        url = f'http://a.test:{server.port}/'
        bodies = [(await request(b'GET', url))[2] for _ in range(2)]
        halves.go[1].set()
        assert await lowhaio.buffered(bodies[0]) == b'11'
        assert dns.queries == ['a.test']

        await close()
        assert socks.open() == [False, True]
        halves.go[2].set()
        assert await lowhaio.buffered(bodies[1]) == b'22'
        assert socks.open() == [False, False]

        body = (await request(b'GET', url))[2]
        assert dns.queries == ['a.test', 'a.test']      # the cache has been cleared
        halves.go[3].set()
        assert await lowhaio.buffered(body) == b'33'
        assert socks.open() == [False] * 3
        await close()


@pytest.mark.parametrize('is_closed', [False, True])
@served(Holding(b'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab'))
async def test_body_is_closed_or_its_reader_cancelled_as_its_bytes_arrive(
        request, server, is_closed):
    body = (await request(b'GET', server.url))[2]
    assert await anext(body) == b'ab'
    reading = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0.01)
    server.handler.streams[-1][1].write(b'cd')
    body._connection._on_readable()     # as the loop would, before the reader goes on
    if is_closed:
        await body.aclose()
        text = rf'^127.0.0.1:{server.port}: expected an open body; .* another task has closed'
        with failing(lowhaio.HttpDataError, text):
            await reading
    else:
        await cancel(reading)
        assert body._connection.sock is None


@served(answering(HALF_A_BODY), socks=True)
async def test_body_is_dropped_in_another_thread(request, server):
    bodies, threads = [(await request(b'GET', server.url))[2]], []
    bodies[0]._connection.log = lambda *_: threads.append(threading.get_ident())
    await asyncio.to_thread(bodies.clear)
    await until(lambda: server.socks.open() == [False])
    assert threads == [threading.get_ident()]


@pytest.mark.parametrize('tls', [False, True])
@pytest.mark.parametrize('is_pool_closed', [False, True])
def test_loop_is_closed_before_the_body_is_dropped(is_pool_closed, tls):
    async def main():
        request, close = lowhaio.Pool(get_ssl_context=tls_client)
        async with faulty(after(HALF_A_BODY), tls and tls_server()) as (_, server):
            body = (await request(b'GET', server.url))[2]
            if is_pool_closed:
                await close()
            return body

    gc.collect()
    before = open_descriptors()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        body = runner.run(main())
    del runner
    sock = body._connection.sock
    assert sock.fileno() != -1
    del body
    assert sock.fileno() == -1
    gc.collect()
    assert open_descriptors() == before


# Connection: what comes while it is idle, what comes too late, and what it outlives.

SURPLUS = b'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'


def answer_in_two(size):
    """Return what sends `size` bytes of a record, and the rest when the next request has come."""
    async def answer(peer):
        data = peer.wire(SURPLUS)
        await peer.send_wire(data[:size])
        await peer.reader.readexactly(1)
        await peer.send_wire(data[size:])

    return answer


IDLE_FAULTS = [
    ('it closes', FaultyPeer.close),
    ('it closes politely', FaultyPeer.close_politely),
    ('it resets', FaultyPeer.reset),
    ('it half-closes', lambda peer: half_close(peer.reader, peer.writer)),
    ('it answers twice', lambda peer: peer.send(SURPLUS)),
    ('it sends the TLS alert alone', FaultyPeer.send_end_of_tls),
    ('it sends half a TLS record', answer_in_two(32)),
    ('it sends half the header of a TLS record', answer_in_two(3)),
]


@pytest.mark.parametrize('does_loop_run', [True, False], ids=['loop runs', 'loop is blocked'])
@pytest.mark.parametrize('kwargs', [{}, {
    'method': b'POST', 'headers': [(b'content-length', b'4')],
    'body': lowhaio.streamed(b'body')}], ids=['GET', 'POST'])
@pytest.mark.parametrize(('fault', 'tls'), [
    pytest.param(fault, tls, id=f'{name}, {"TLS" if tls else "plain"}')
    for name, fault in IDLE_FAULTS for tls in (False, True) if tls or 'TLS' not in name])
def test_next_request_succeeds_after_idle_connection(fault, tls, kwargs, does_loop_run):
    """The server has a loop and a thread of its own, and goes on when this loop is blocked."""
    async def handler(reader, writer):
        peer = FaultyPeer(reader, writer, tls and tls_server())
        if server.connections > 1:
            await peer.serve()
        await after(OK)(peer)
        await asyncio.to_thread(at_fault.wait, 5)
        asyncio.get_running_loop().call_later(0.02, is_done.set)
        await fault(peer)

    async def serve():
        async with server:
            loops.put(asyncio.get_running_loop())
            await is_over.wait()

    @in_loop
    async def client(url):
        async with pool() as request:
            assert (await get(request, url))[2] == b'ok'
            at_fault.set()
            if does_loop_run:
                with few_polls():
                    while not is_done.is_set():     # noqa: ASYNC110  # of another thread
                        await asyncio.sleep(0.005)
            else:
                assert is_done.wait(5)

            assert (await get(request, url, **kwargs))[2] == b'ok'
            assert server.connections == 2

    server, loops, is_over = Server(handler), queue.SimpleQueue(), asyncio.Event()
    at_fault, is_done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop = loops.get()
    try:
        client(server.url.replace('http:', 'https:' if tls else 'http:'))
    finally:
        at_fault.set()
        loop.call_soon_threadsafe(is_over.set)
        thread.join()


def with_a_late_session(asked, is_half=False):
    """Return a class of TLS sockets that have a session from the second time on.

    Args:
        is_half: whether they say that the rest of a ticket is still to come.
    """
    class Late(ssl.SSLSocket):
        def send(self, data):
            if is_half and not data:
                raise ssl.SSLWantReadError
            return super().send(data)

        @ssl.SSLSocket.session.getter
        def session(self):
            asked.append(self)
            no_ticket = types.SimpleNamespace(has_ticket=False, id=b'')
            return no_ticket if len(asked) == 1 else super().session

    return Late


@pytest.mark.parametrize(('does_loop_run', 'is_half'), [
    (True, False), (False, False), (True, True)], ids=['loop runs', 'loop is blocked', 'half'])
@in_loop
async def test_late_session_tickets_do_not_end_an_idle_connection_unless_in_part(
        does_loop_run, is_half):
    """What comes is no content: a request for a certificate, and tickets."""
    async def serve(peer):
        await after(OK)(peer)
        await at_fault.wait()
        peer.tls.verify_client_post_handshake()
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.do_handshake()
            peer.tls.read(1)
        data = peer.outgoing.read()
        assert data
        await peer.send_wire(data)
        is_done.set()
        await peer.serve()

    server_context, client_context = tls_contexts()
    server_context.verify_mode = ssl.CERT_OPTIONAL
    client_context.post_handshake_auth = True
    asked = []
    client_context.sslsocket_class = with_a_late_session(asked, is_half)
    at_fault, is_done = asyncio.Event(), asyncio.Event()
    async with faulty(serve, server_context,
                      get_ssl_context=lambda: client_context) as (request, server):
        assert (await get(request, server.url))[2] == b'ok'
        at_fault.set()
        with few_polls():
            await is_done.wait()
            if does_loop_run:
                await asyncio.sleep(0.05)
        if does_loop_run:               # what came is the session of the next connection
            assert len(asked) == 2 - is_half
        for _ in range(2):
            assert (await get(request, server.url))[2] == b'ok'
        assert (server.connections > 1) == is_half


@served(Halves)
async def test_reader_is_removed_while_the_caller_does_not_read_which_holds_the_peer_back(
        request, server):
    loop, removed = asyncio.get_running_loop(), []
    remove_reader = loop.remove_reader
    iterated = {'headers': OF_3_BYTES, 'body': Body(b'END')}
    for settings in ({}, {}, iterated, {}):     # on a new connection, and on a used one
        body = (await request(b'PUT', server.url, **settings))[2]
        assert await anext(body) == b'1'
        loop.remove_reader = lambda *args: (removed.append(args), remove_reader(*args))[1]
        server.handler.go[1].set()
        await until(lambda: removed)
        assert await anext(body) == b'1'
        assert len(removed) == 1
        del loop.remove_reader
        removed.clear()
        server.handler.go[1].clear()
    assert server.connections == 1


def test_connection_that_is_never_closed_is_warned_of():
    async def forget():
        request, _ = lowhaio.Pool()
        url = f'http://127.0.0.1:{port}/'
        return (await asyncio.gather(answer_in_a_thread(listener, OK), get(request, url)))[0]

    unraisable = []
    with socket.create_server(('127.0.0.1', 0)) as listener, \
            warnings.catch_warnings(record=True) as warned, pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter('always')
        patch.setattr(sys, 'unraisablehook', unraisable.append)
        port = listener.getsockname()[1]
        with asyncio.Runner(loop_factory=new_loop) as runner:
            peer = runner.run(forget())
        del runner
        gc.collect()
        peer.close()
    assert unraisable == []
    assert [str(one.message) for one in warned if 'unclosed connection' in str(one.message)] == [
        f'unclosed connection to 127.0.0.1:{port}: '
        'await the close() of its Pool before the event loop ends']


@served(answering(HALF_A_BODY + b'x' * 10), socks=True, socket_timeout=0.01, recv_bufsize=10)
async def test_abandoned_body_in_a_reference_cycle_closes_its_connection_itself(request, server):
    """A warning would be an error: neither the socket nor the connection may be found first."""
    body = (await request(b'GET', server.url))[2]
    await asyncio.sleep(0.05)           # by now, no reader and no timer refers to the connection
    cycle = [body]
    cycle.append(cycle)
    del body, cycle
    gc.collect()
    assert server.socks.open() == [False]


ENDED = 'a response; got the end of the stream'
CLOSED = lowhaio.HttpConnectionClosedError


@table('uses, answer, kind, text', [
    ('Reused, without a byte.', 1, b'', lowhaio.HttpStaleConnectionError,
     f'{ENDED} before a byte'),
    ('Reused, after an interim response.', 1, b'HTTP/1.1 100 Continue\r\n\r\n', CLOSED,
     f'{ENDED} before a final one'),
    ('Reused, within a response.', 1, b'HTTP', CLOSED, f"{ENDED} after b'HTTP'"),
    ('Reused, after what waitress sends after its answer to HEAD.', 1, b'left over',
     lowhaio.HttpDataError, "a status line; got b'left over'"),
    ('New, without a byte.', 0, b'', CLOSED, f'{ENDED} before a byte'),
    ('New, after an interim response.', 0, b'HTTP/1.1 100 Continue\r\n\r\n', CLOSED,
     f'{ENDED} before a final one'),
    ('New, within a response.', 0, b'HTTP/1.1 200', CLOSED, f"{ENDED} after b'HTTP/1.1 200'"),
])
@served(None)
async def test_connection_that_ends_before_its_answer_is_stale_if_reused_and_without_a_byte(
        request, server, uses, answer, kind, text):
    server.handler = answering(*[OK] * uses, answer, then='close')
    for _ in range(uses):
        await get(request, server.url)
    text += ', on a connection that was idle before' * uses
    with failing(kind, f'^127.0.0.1:{server.port}: expected {text}$'):
        await request(b'GET', server.url)
    assert server.connections == 1


@served(answering(OK), connect_timeout=0.1)
async def test_connection_keeps_no_context_of_the_request_that_opened_it(request, server):
    variable = contextvars.ContextVar('variable')

    async def handle():
        variable.set(set())
        await get(request, server.url)
        return weakref.ref(variable.get())

    values = [await asyncio.create_task(handle()) for _ in range(3)]
    await asyncio.sleep(0.2)            # a cancelled timer of connecting keeps it until then
    gc.collect()
    assert [value() for value in values] == [None] * 3
    assert server.connections == 1


@pytest.mark.filterwarnings('ignore:.*multi-threaded:DeprecationWarning')
@pytest.mark.parametrize('tls', [False, True])
@served(Halves, socket_timeout=5)
async def test_child_that_drops_what_it_inherited_leaves_the_connection_alone(
        request, server, tls):
    body = (await request(b'GET', server.url))[2]
    child = os.fork()
    if child == 0:
        del body
        gc.collect()
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    server.handler.go[1].set()
    start = time.monotonic()
    assert await lowhaio.buffered(body) == b'11'
    assert time.monotonic() - start < 2


@served(Halves)
async def test_what_a_child_inherits_is_closed_and_nothing_else(request, server):
    """The loop's selector is the parent's too."""
    loop, removed = asyncio.get_running_loop(), []
    body = (await request(b'GET', server.url))[2]
    connection = body._connection
    connection.process = 0
    remove_reader, loop.remove_reader = loop.remove_reader, removed.append
    await body.aclose()
    loop.remove_reader = remove_reader
    assert (connection.sock, removed) == (None, [])
    connection.stop_reading()       # which the parent's own connection does
    connection._timer.cancel()


@in_loop
async def test_child_that_ends_while_a_socket_is_waited_for_leaves_its_event(monkeypatch):
    """The loop's selector is the parent's too."""
    loop, removed = asyncio.get_running_loop(), []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        waiting = asyncio.create_task(lowhaio._event_of_one(
            loop, loop.add_reader, removed.append, [ours], math.inf))
        await asyncio.sleep(0)
        monkeypatch.setattr(os, 'getpid', lambda: 0)
        await cancel(waiting)
        loop.remove_reader(ours)
    assert removed == []


# Time: seconds without progress.

@pytest.mark.parametrize('before', [b'', b'HTTP/1.1 200', OK[:-1]])
@served(None, socks=True, socket_timeout=0.04)
async def test_receive_without_progress_times_out(request, server, before):
    loop, server.handler = asyncio.get_running_loop(), answering(before)
    start = loop.time()
    with failing(lowhaio.HttpDataError, r"to go on; got TimeoutError\('no bytes within 0.04 s",
                 asyncio.TimeoutError):
        await get(request, server.url)
    assert 0.03 <= loop.time() - start < 2
    assert server.socks.open() == [False]


async def until_waiting(clock, holding):
    """Wait until a request waits for its response, with a timer of 10 s."""
    await until(lambda: holding.streams and any(
        timer.when() == clock.now + 10 for timer in clock.left()))


@pytest.mark.parametrize('pieces', [[b'H', b'T', b'T'], [b'.', b'.', b'.']],
                         ids=['of an answer', 'of a TLS record'])
@in_loop
async def test_each_byte_received_restarts_the_time(pieces):
    class Decrypting(socket.socket):
        """Take a dot for a part of a record: something came, but nothing to be given."""

        def recv(self, size):
            received.append(super().recv(size))
            if received == [b'.']:
                raise ssl.SSLWantReadError
            return received[0]

    holding, received = Holding(b''), []
    async with Server(holding) as server, pool(get_sock=Socks(Decrypting)) as request:
        with Clock(asyncio.get_running_loop()) as clock:
            task = asyncio.create_task(get(request, server.url))
            await until_waiting(clock, holding)
            with peer_socket(holding.streams[0][1]) as peer:
                for piece in pieces:
                    received.clear()
                    await clock.forward(9.9)
                    peer.send(piece)
                    await until(lambda: received)
                await clock.forward(9.9)
                assert not task.done()
                await clock.forward(0.1)
            with failing(lowhaio.HttpDataError, 'TimeoutError'):
                await task
            assert clock.left() == []


@served(Halves)
async def test_time_of_the_caller_does_not_count(request, server):
    async def body():
        for _ in range(3):
            yield b'END'
            await clock.forward(50)

    with Clock(asyncio.get_running_loop()) as clock:
        for _ in range(2):      # and on a reused connection, whose timer is that of its idle time
            _, _, response = await request(
                b'PUT', server.url, body=body, headers=[(b'content-length', b'9')])
            await clock.forward(50)
            assert await anext(response) == b'1'
            await clock.forward(50)
            server.handler.go[1].set()
            assert await lowhaio.buffered(response) == b'1'
            server.handler.go[1].clear()
        assert server.connections == 1


@pytest.mark.parametrize(('kind', 'size'), [(Endless, 2 ** 20), (Body, 20 * 2 ** 20)],
                         ids=['chunks', 'a large chunk'])
@pytest.mark.parametrize('tls', [False, True])
@served(answering_the_head(b'', then=forget, pause=True), socket_timeout=0.3)
async def test_send_without_progress_times_out(request, server, tls, kind, size):
    """What the kernel still takes, though it does not say that it is ready, is not much."""
    loop, body = asyncio.get_running_loop(), kind(bytes(size))
    start = loop.time()
    with failing(lowhaio.HttpDataError, r"TimeoutError\('no bytes taken within 0.3 s",
                 asyncio.TimeoutError):
        await put_body(request, server, body, 10 ** 15)
    assert 0.29 <= loop.time() - start < 1.4
    assert body.is_done()


def sockets_that_take(size):
    """Return a `get_sock` whose sockets have a send buffer of about so many bytes."""
    def get_sock(*args):
        sock = lowhaio.get_nonblocking_sock(*args)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        return sock

    return get_sock


@pytest.mark.parametrize('tls', [False, True])
@in_loop
async def test_peer_that_drains_slowly_all_the_time_is_no_time_out(tls):
    """Each of its reads is much less than one TLS record."""
    async def serve(peer):
        await peer.read_to(b'\r\n\r\n')
        peer.writer.transport.pause_reading()
        with peer_socket(peer.writer) as sock:
            for count in itertools.count():
                await asyncio.sleep(0.05 if count < 20 else 0)
                with contextlib.suppress(BlockingIOError):
                    if not sock.recv(2000):
                        return
                if count == 20:
                    await peer.send(OK)

    async with faulty(serve, tls and tls_server(), socket_timeout=0.3,
                      get_sock=sockets_that_take(4608)) as (request, server):
        with socket.socket(fileno=os.dup(server.server.sockets[0].fileno())) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        answer = await put_body(request, server, Body(bytes(80_000)), 80_000)
        assert answer[::2] == (b'200', b'ok')


@in_loop
async def test_each_byte_sent_restarts_the_time():
    class Slow(socket.socket):
        def send(self, data):
            clock.now += 9
            return super().send(data[:1])

    body = lowhaio.streamed(b'x' * 47 + b'END')
    async with Server(Receiving(OK)) as server, pool(get_sock=Socks(Slow)) as request:
        with Clock(asyncio.get_running_loop()) as clock:
            assert (await put_body(request, server, body, 50))[2] == b'ok'


@pytest.mark.parametrize('is_cancelled', [False, True])
@in_loop
async def test_bytes_win_over_a_timer_and_a_cancellation_over_both(is_cancelled):
    holding = Holding(b'')
    async with Server(holding) as server, pool() as request:
        with Clock(asyncio.get_running_loop()) as clock:
            task = asyncio.create_task(get(request, server.url))
            await until_waiting(clock, holding)
            with peer_socket(holding.streams[0][1]) as peer:
                peer.send(OK)
                if is_cancelled:
                    task.cancel()
                await clock.forward(10)         # runs the timer before the loop looks at sockets
            with pytest.raises(asyncio.CancelledError) if is_cancelled \
                    else contextlib.nullcontext():
                assert (await task)[2] == b'ok'


@table('limits, tls, pause', [
    ('Without any limit.', {}, True, 0),
    ('The timer of an idle time fires.', {'keep_alive_timeout': 0.5}, False, 0.7),
    ('The timer of a wait fires.', {'socket_timeout': 0.5}, False, 0),
])
@in_loop
async def test_no_limit_on_a_time_is_infinity_and_no_timer(monkeypatch, limits, tls, pause):
    """A timer for an infinite time ends at once on rloop, and raises on qasync."""
    async def handler(reader, writer):
        for seconds in (0, pause):
            await reader.readuntil(b'\r\n\r\n')
            await asyncio.sleep(seconds)
            writer.write(OK)
        await reader.read()

    def note(set_timer, seconds, *args, **kwargs):
        times.append(seconds)
        return set_timer(seconds, *args, **kwargs)

    loop, times = asyncio.get_running_loop(), []
    no_limits = {f'{what}_timeout': math.inf for what in ('connect', 'socket', 'keep_alive')}
    async with Server(handler, tls=tls) as server, pool(**no_limits | limits) as request:
        for name in ('call_at', 'call_later'):
            monkeypatch.setattr(loop, name, functools.partial(note, getattr(loop, name)))
        for _ in range(2):
            assert (await get(request, server.url))[2] == b'ok'
        with lowhaio.timeout(loop, math.inf) as reset:
            reset()
        await asyncio.sleep(0.7)
        assert server.connections == 1
    assert all(map(math.isfinite, times))


# Fairness: other tasks run although receiving or sending is always ready.

MB = 2 ** 20


class Telling(socket.socket):
    """Has the event loop do something in its next turn whenever bytes have been received."""

    def recv(self, *args):
        data = super().recv(*args)
        asyncio.get_running_loop().call_soon(self.tell)
        return data


@pytest.mark.parametrize('is_debugging', [False, True])
@in_loop
async def test_request_goes_on_in_the_turn_of_the_loop_in_which_its_bytes_come(is_debugging):
    asyncio.get_running_loop().set_debug(is_debugging)
    socks, order = Socks(Telling), []
    Telling.tell = staticmethod(lambda: order.append('the next turn'))
    async with Server(answering(OK)) as server, pool(get_sock=socks) as request:
        for _ in range(3):
            await request(b'GET', server.url)
            order.append('the response')
            await asyncio.sleep(0)
    assert order == ['the response', 'the next turn'] * 3


def upload(size, count, is_chunked=False):
    """Return the arguments of `request` for a body of so many pieces of this size."""
    async def content():
        for _ in range(count):
            yield b'%x\r\n%b\r\n' % (size, bytes(size)) if is_chunked else bytes(size)
        if is_chunked:
            yield b'0\r\n\r\n'

    length = (b'content-length', b'%d' % (size * count))
    return {'headers': IN_CHUNKS if is_chunked else [length], 'body': content}


async def tick_beside(work, gaps):
    """Do the work beside a task that wants its turn every millisecond.

    `gaps` gets the CPU time of the thread between the turns. By the clock, the turns of other
    programs would count too.
    """
    def measure():
        nonlocal last
        last, before = time.thread_time(), last
        gaps.append(last - before)

    async def tick():
        while True:
            await asyncio.sleep(0.001)
            measure()

    last = time.thread_time()
    task = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await work()
    measure()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
@pytest.mark.parametrize(('method', 'path', 'sent'), [
    pytest.param(b'GET', f'length/{128 * MB}', {}, id='download'),
    pytest.param(b'GET', f'chunked/{128 * MB}/100000', {}, id='download in chunks'),
    pytest.param(b'GET', 'chunked/300000/1', {}, id='download in chunks of one byte'),
    pytest.param(b'POST', 'sink', upload(1, 200_000), id='upload in pieces of one byte'),
])
def test_transfer_that_is_always_ready_leaves_others_their_turns(
        processes, load_urls, method, path, sent, tls):
    async def transfer():
        async with pool(get_ssl_context=lambda: processes.client_context) as request:
            _, _, body = await request(method, load_urls[tls] + path, **sent)
            async for chunk in body:
                if len(chunk) > 1:
                    hashlib.sha256(chunk)

    for _ in range(8):          # again if a busy machine disturbed even CPU time
        gaps = []
        in_loop(tick_beside)(transfer, gaps)
        if max(gaps) < 0.02:
            break
    assert sum(gaps) > 0.04, 'too little work to tell'
    assert max(gaps) < 0.02
    print(f'{len(gaps)} turns of a 1 ms ticker in {sum(gaps):.2f} s of CPU, '
         f'the longest wait {max(gaps) * 1000:.1f} ms')


class AlwaysReady:
    """A socket that after its first send and its first bytes would never block again."""

    turns = ()      # how many times it was called, in each turn of the loop
    most = 0        # bytes that it takes at once
    is_begun = has_answer = False

    def send(self, data):
        self.turns[-1] += 1
        if self.is_begun:
            return min(len(data), self.most)
        self.is_begun = True
        return super().send(data)

    def recv(self, size, *args):
        if type(self).has_answer and size > 1:
            self.turns[-1] += 1
            return bytes(size)
        data = super().recv(size, *args)
        type(self).has_answer = size > 1
        return data


@pytest.mark.parametrize(('size', 'most'), [
    *((size, MB) for size in (0, 1, 16384, 16385, 32769, 65536, 150_000, 1_000_000)),
    pytest.param(30_000, 100, id='a socket that takes little at once')])
@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'TLS'])
@in_loop
async def test_at_most_16_sends_or_receives_in_one_turn(tls, size, most, monkeypatch):
    loop, turns, count = asyncio.get_running_loop(), [0], 100 if size else 10_000
    head = b'HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n' % (100 * 16384)

    def always_ready(kind):
        return type('AlwaysReady', (AlwaysReady, kind), {'turns': turns, 'most': most})

    def tick():
        turns.append(0)
        timer[0] = loop.call_soon(tick)

    monkeypatch.setattr(tls_client(), 'sslsocket_class', always_ready(ssl.SSLSocket))
    get_sock = Socks(socket.socket if tls else always_ready(socket.socket))
    timer = [loop.call_soon(tick)]
    async with Server(answering_the_head(head, then=forget), tls=tls) as server, \
            pool(get_sock=get_sock, recv_bufsize=16384) as request:
        _, _, body = await request(b'POST', server.url, **upload(size, count))
        sent, first = sum(turns), len(turns)
        assert sent >= 1 + count * -(-size // min(most, 16384 if tls else 32768))
        assert (8 if size else 1) <= max(turns) <= 16
        assert len(await lowhaio.buffered(body)) == 100 * 16384
        assert sum(turns) >= sent + 100
        assert max(turns[first:]) >= 8
        assert max(turns) <= 16
        assert sum(turns) > 4 * sum(turn > 0 for turn in turns), 'more turns than are asked for'
    timer[0].cancel()


@served(answering(CHUNKED_HEAD + b'1\r\nx\r\n' * 300 + b'0\r\n\r\n'))
async def test_cancellation_while_others_have_their_turn_closes_the_body(request, server):
    _, _, body = await request(b'GET', server.url)
    for _ in range(lowhaio._MAX_TURN):
        await anext(body)
    task, descriptors = asyncio.create_task(body.__anext__()), len(open_descriptors())
    if not EAGER:
        await asyncio.sleep(0)
    assert not task.done()      # though its chunk is there
    await cancel(task)
    assert len(open_descriptors()) < descriptors
    with failing(lowhaio.HttpDataError, 'expected an open body; got .* was cancelled'):
        await anext(body)


# Cancellation, at every step.

@served(None, get_dns_resolver=lambda **_: (lambda *_, **__: asyncio.sleep(10), None))
async def test_cancellation_keeps_its_arguments(request, server):
    task = asyncio.create_task(request(b'GET', 'http://a.test:1/'))
    await asyncio.sleep(0)
    task.cancel('by its scope')
    with pytest.raises(asyncio.CancelledError, match=r'^by its scope$'):
        await task


async def watched(coroutine, on_step):
    """Await, and call on_step(number, future or None) at each step that is about to wait."""
    @types.coroutine
    def stepped():
        step, argument, number = coroutine.send, None, 0
        while True:
            try:
                waited_for = step(argument)
            except StopIteration as stop:
                return stop.value
            number += 1
            on_step(number, waited_for)
            try:
                step, argument = coroutine.send, (yield waited_for)
            except BaseException as exception:
                step, argument = coroutine.throw, exception

    return await stepped()


class Slow(Body):
    """One that waits before its chunks, and when it is closed."""

    async def __call__(self):
        self.calls += 1
        try:
            for chunk in self.chunks:
                await asyncio.sleep(0)
                yield chunk
        finally:
            self.ends += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)


class Cancellable:
    """A certain kind of request, and the server, DNS and pool for it."""

    def __init__(self, kind, body=Slow):
        self.kind, self.fault, self.body = kind, '', body(bytes(2 ** 18), b'end')

    async def serve(self, peer):
        if 'handshake that stalls' in self.fault:
            return await peer.reader.read()
        while True:
            head = await peer.read_to()
            if 'upload' in self.fault and 'refused' not in self.fault:
                await asyncio.sleep(0.002)
                await peer.read_to(b'end')
            if 'response that stalls' in self.fault:
                return await peer.reader.read()
            if 'refused' in self.fault:
                await peer.send(TOO_LARGE)
                return await peer.stall()
            if 'ends with its connection' in self.fault:
                await peer.send(UNTIL_CLOSE)
                return await peer.close_politely()
            if b'/download' in head:
                await peer.send(b'HTTP/1.1 103 Hints\r\n\r\n'
                                b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n')
                for data in (b'\r\n', b'5\r\nsome', b' \r', b'\n4\r\nmore\r\n0\r', b'\n\r\n'):
                    await asyncio.sleep(0.001)
                    await peer.send(data)
            else:
                await peer.send(OK)

    @contextlib.asynccontextmanager
    async def ready(self):
        """Check at the end that the body is closed, and that another request succeeds."""
        records = {'example.test': None if 'time out' in self.kind else ['127.0.0.1']}
        async with Dns(records, seconds=0.01, tries=2) as dns, \
                faulty(self.serve, self.kind.startswith('TLS') and tls_server(),
                       get_dns_resolver=dns.get_resolver, get_sock=sockets_that_take(65536),
                       socket_timeout=0.05 if 'stalls' in self.kind else 5,
                       ) as (self.request, self.server):
            if 'warm' in self.kind:
                await self.get_ok()
            self.fault = self.kind
            yield self
            assert self.body.calls == self.body.ends
            self.fault = ''
            await self.get_ok()

    async def get_ok(self):
        assert (await get(self.request, self.server.url))[2] == b'ok'

    async def run(self):
        host = 'example.test' if 'DNS' in self.kind else '127.0.0.1'
        path = 'download' if 'download' in self.kind else ''
        url = self.server.url.replace('127.0.0.1', host) + path
        kwargs = {'method': b'POST', 'headers': [(b'content-length', b'%d' % (2 ** 18 + 3))],
                  'body': self.body} if 'upload' in self.kind else {}
        return (await get(self.request, url, **kwargs))[2]


CANCELLED_KINDS = [
    'a cold request', 'a warm request', 'a warm download', 'a cold upload',
    'a cold request with DNS', 'a DNS time out', 'a response that stalls',
    'TLS, a cold request', 'TLS, a warm download', 'TLS, a warm upload',
    'TLS, a handshake that stalls', 'TLS, a response that stalls',
    'an upload that is refused', 'TLS, an upload that is refused',
    'a response that ends with its connection', 'TLS, a response that ends with its connection',
]


@pytest.mark.parametrize('times', [1, 2, 3])
@pytest.mark.parametrize('how', ['while it waits', 'as the wait ends'])
@pytest.mark.parametrize('kind', CANCELLED_KINDS)
@in_loop
async def test_cancellation_at_every_step(kind, how, times):
    """Also in the iteration of the loop in which the awaited bytes come, or the time is over."""
    def cancel(task):
        nonlocal cancelled
        cancelled += 1
        task.cancel()

    def on_step(number, future):
        task = asyncio.current_task()
        if not at <= number < at + times:
            return
        if how == 'while it waits' or not isinstance(future, asyncio.Future) or future.done():
            cancel(task)
        else:                       # before the task hears of the result, in the same iteration
            future.add_done_callback(lambda _: cancel(task))

    at, cancelled = 0, 1
    while cancelled:
        at, cancelled = at + 1, 0
        async with Cancellable(kind).ready() as this:
            task = asyncio.create_task(watched(this.run(), on_step))
            outcome, = await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0)
            assert task.cancelling() == cancelled
            assert task.cancelled() == (cancelled > 0), outcome
            assert cancelled == 0 or timers_of_lowhaio() == []
    assert at > 1


@pytest.mark.parametrize('kind', CANCELLED_KINDS)
@in_loop
async def test_enclosing_timeout_is_a_time_out_at_every_step(kind):
    def on_step(number, _):
        if number == at:
            limit.reschedule(-1)

    at, is_over = 0, True
    while is_over:
        at, is_over = at + 1, False
        async with Cancellable(kind).ready() as this:
            try:
                async with asyncio.timeout(None) as limit:
                    await watched(this.run(), on_step)
            except TimeoutError:
                is_over = True
            except lowhaio.HttpError:
                assert 'stall' in kind or 'time out' in kind
            assert limit.expired() == is_over
            assert asyncio.current_task().cancelling() == 0
    assert at > 1


@pytest.mark.parametrize('kind', ['a cold request', 'TLS, a cold request', 'a warm download',
                                  'a cold request with DNS', 'a cold upload'])
@in_loop
async def test_request_that_is_closed_at_any_step_leaves_nothing(kind):
    """GeneratorExit: coroutine.close throws it, and the garbage collector, when one is waiting."""
    def on_step(number, _):
        nonlocal is_closed
        if number == at:
            is_closed = True
            raise GeneratorExit

    at, is_closed = 0, True
    while is_closed:
        at, is_closed = at + 1, False
        async with Cancellable(kind, Body).ready() as this:     # nothing can wait at the end
            with contextlib.suppress(GeneratorExit):
                await watched(this.run(), on_step)
            gc.collect()
            assert not is_closed or timers_of_lowhaio() == []
    assert at > 1


# Faults, at each stage of a request.

REFUSAL = b'HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno'
LARGE = 4 * 2 ** 20     # bytes, more than the kernel takes


async def at_handshake(peer):
    await peer.reader.readexactly(5)


async def within_handshake(peer):
    try:
        peer.incoming.write(await peer.reader.read(65536))
        peer.tls.do_handshake()
    except ssl.SSLWantReadError:
        await peer.send_wire(peer.outgoing.read()[:-100])


async def at_request_head(peer):
    await peer.read(1)


async def within_a_record(peer):
    await peer.read_to()
    await peer.send_wire(peer.wire(OK)[:-1])


LARGE_HEAD = {'headers': [(b'x', b'y' * LARGE)]}
LARGE_BODY = {'method': b'POST', 'headers': [(b'content-length', b'%d' % LARGE)],
              'body': lowhaio.streamed(bytes(LARGE))}
GETS_413, GETS_200 = (b'413', b'no'), (b'200', b'ok')
# An error, its cause (None: with TLS only), and its cause with TLS
FIN = (CLOSED, type(None), ssl.SSLEOFError)
TLS_FIN = (CLOSED, None, ssl.SSLEOFError)
RST = (CLOSED, ConnectionError, (ConnectionError, ssl.SSLEOFError))
TIMEOUT = (lowhaio.HttpDataError, TimeoutError, TimeoutError)
ABRUPT = {'close': FIN, 'reset': RST}
USUAL = ABRUPT | {'half_close': FIN, 'stall': TIMEOUT}
ALSO_POLITE = USUAL | {'close_politely': (CLOSED, type(None), type(None))}
NO_TLS = {fault: (lowhaio.HttpTlsError, None, cause) for fault, cause in {
    'close': ssl.SSLEOFError, 'half_close': ssl.SSLEOFError, 'reset': ConnectionResetError,
    'stall': TimeoutError}.items()}

FAULTS = [      # when and at what stage, what is requested, the faults and what comes of each
    ('at the handshake', at_handshake, {},
     NO_TLS | {'close': (lowhaio.HttpTlsError, None, (ssl.SSLEOFError, ConnectionError)),
               'drip': NO_TLS['stall']}),
    ('within the handshake', within_handshake, {}, NO_TLS),
    ('within the request head', at_request_head, LARGE_HEAD, USUAL | {'close': RST}),
    ('after a refusal within the request head', after(REFUSAL, at_request_head), LARGE_HEAD,
     {'stall': GETS_413, 'close': GETS_413}),
    ('after an answer within the request head', after(OK, at_request_head), LARGE_HEAD,
     {'close': GETS_200}),
    ('within the request body', FaultyPeer.read_to, LARGE_BODY, USUAL | {
        'close': (CLOSED, (ConnectionError, type(None)), (ConnectionError, ssl.SSLEOFError))}),
    ('after a refusal within the request body', after(REFUSAL), LARGE_BODY,
     {'stall': GETS_413, 'close': GETS_413, 'reset': GETS_413}),
    ('after an answer within the request body', after(OK), LARGE_BODY,
     {'stall': TIMEOUT, 'close': GETS_200, 'reset': GETS_200}),
    ('before the response', FaultyPeer.read_to, {}, ALSO_POLITE),
    ('within a response head', after(b'HTTP/1.1 200 OK\r\ncontent-le'), {}, ALSO_POLITE),
    ('within a body', after(HALF_A_BODY), {}, ALSO_POLITE),
    ('within a chunk', after(HEAD_OF_CHUNKS + b'9\r\nhalf'), {}, ALSO_POLITE),
    ('within a chunk size', after(HEAD_OF_CHUNKS + b'1'), {}, ABRUPT),
    ('within a trailer section', after(HEAD_OF_CHUNKS + b'0\r\na: b'), {}, ABRUPT),
    ('within a body that ends with its connection', after(UNTIL_CLOSE), {},
     {'close_politely': (b'200', b'all'), 'reset': RST, 'stall': TIMEOUT,
      'close': TLS_FIN, 'half_close': TLS_FIN}),
    ('within a TLS record', within_a_record, {},
     {'close': TLS_FIN, 'stall': (lowhaio.HttpDataError, None, TimeoutError)}),
]


@pytest.mark.parametrize(('stage', 'fault', 'kwargs', 'expected', 'tls', 'is_warm'), [
    pytest.param(stage, fault, kwargs, expected, tls, is_warm,
                 id=f'{fault} {when}{", TLS" * tls}, {"warm" if is_warm else "cold"}')
    for when, stage, kwargs, faults in FAULTS
    for fault, expected in faults.items()
    for tls in (False, True) if tls or None not in expected
    for is_warm in (False, True) if not (is_warm and 'handshake' in when)])
@in_loop
async def test_peer_fails(stage, fault, kwargs, expected, tls, is_warm):
    """On a new connection, and on one that has served before."""
    async def serve(peer):
        if server.connections > 1:
            await peer.serve()
        if is_warm:
            await after(OK)(peer)
        send_wire = peer.send_wire
        peer.send_wire = lambda data: (answers.append(data), send_wire(data))[1]
        await stage(peer)
        counted['before'] = counted['polls']
        await getattr(peer, fault)()

    answers = []
    async with faulty(serve, tls and tls_server(), socket_timeout=0.05,
                      get_sock=sockets_that_take(65536)) as (request, server):
        if is_warm:
            await get(request, server.url)
        with few_polls() as counted:
            if isinstance(expected[0], bytes):
                code, _, body = await get(request, server.url, **kwargs)
                assert (code, body) == expected
            else:
                text = 'a TLS handshake' if expected[0] is lowhaio.HttpTlsError else '.*'
                with pytest.raises(expected[0], match=f'expected {text}; got') as caught:
                    await get(request, server.url, **kwargs)
                kinds = {expected[0]}
                if is_warm and kinds == {CLOSED} and (tls or not answers):
                    # Part of a TLS record is no byte yet
                    kinds = {lowhaio.HttpStaleConnectionError} | (kinds if answers else set())
                assert type(caught.value) in kinds
                assert isinstance(caught.value.__cause__, expected[2 if tls else 1])

        assert asyncio.current_task().cancelling() == 0
        assert timers_of_lowhaio() == []
        assert (await get(request, server.url))[2] == b'ok'
        assert server.connections == 2


@pytest.mark.parametrize(('way', 'cause'), [('refuse', ConnectionRefusedError),
                                            ('are silent', TimeoutError)])
@pytest.mark.parametrize('scheme', ['http', 'https'])
@in_loop
async def test_peer_fails_at_connect(way, cause, scheme):
    async with addresses_that(way, connect_timeout=0.05) as (request, port, _):
        with few_polls(), failing(lowhaio.HttpConnectionError, f'port {port}', cause):
            await request(b'GET', f'{scheme}://a.test:{port}/')


@pytest.mark.parametrize('tls', [False, True])
@in_loop
async def test_peer_that_drips_every_byte_is_understood_and_its_connection_reused(tls):
    """Each byte is progress, also one within a TLS record; the handshake has its time in total."""
    async def serve(peer):
        async def drip(data):
            for start in range(0, len(data), size):
                await send_wire(data[start:start + size])
                await asyncio.sleep(pause)

        send_wire, peer.send_wire = peer.send_wire, drip
        size, pause = 20, 0
        await peer.accept()
        size, pause = 1, 0.01
        await peer.serve()

    async with faulty(serve, tls and tls_server(), socket_timeout=0.3) as (request, server):
        for _ in range(2):
            assert (await get(request, server.url))[2] == b'ok'
        assert server.connections == 1


@pytest.mark.parametrize('kwargs', [LARGE_BODY, LARGE_HEAD],
                         ids=['a large chunk', 'a large header'])
@pytest.mark.parametrize('tls', [False, True])
@in_loop
async def test_slow_reader_is_not_timed_out(kwargs, tls):
    """What the kernel takes is progress, however large the chunk it is part of."""
    async def serve(peer):
        await peer.accept()
        peer.writer.get_extra_info('socket').setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.reader._limit = 65536
        received, is_answered = 0, False
        while received < LARGE:
            if received % 2 ** 18 < 16384 and received < LARGE * 3 / 4:
                await asyncio.sleep(0.01)
            received += len(await peer.read(16384))
            if received > LARGE * 3 / 4 and not is_answered:
                await peer.send(OK)     # early, so that the response is no part of what is timed
                is_answered = True

    async with faulty(serve, tls and tls_server(), socket_timeout=0.1,
                      get_sock=sockets_that_take(65536)) as (request, server):
        assert (await get(request, server.url, **kwargs))[2] == b'ok'


@pytest.mark.parametrize('tls', [False, True])
@served(None)
async def test_answer_before_the_end_of_the_body_is_not_that_of_the_next_request(
        request, server, tls):
    async def handler(reader, writer):
        for number in (b'1', b'2', b'3'):
            head = await reader.readuntil(b'\r\n\r\n')
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n' + number)
            is_answered.set()
            await reader.readexactly(4 if head.startswith(b'POST') else 0)

    async def body():
        yield b'bod'
        await is_answered.wait()
        await asyncio.sleep(0.02)
        yield b'y'

    server.handler, is_answered = handler, asyncio.Event()
    post = {'method': b'POST', 'headers': [(b'content-length', b'4')], 'body': body}
    for number, kwargs in ((b'1', post), (b'2', post), (b'3', {})):
        assert (await get(request, server.url, **kwargs))[2] == number
        is_answered.clear()
    assert server.connections == 1


@pytest.mark.parametrize('fault', ['refuse', 'reset', 'cut off', 'malformed', 'time-out'])
@in_loop
async def test_error_leaves_nothing_for_the_garbage_collector(fault):
    async def handler(reader, writer):
        await (reader.readuntil(b'\r\n\r\n') if fault == 'malformed' else read_request(reader))
        if fault == 'reset':
            await reset(reader, writer)
        elif fault == 'malformed':
            writer.write(b'SSH-2.0-OpenSSH')
        elif fault == 'time-out':
            await reader.read()

    async def fail(seconds, url, **kwargs):
        with within(seconds):
            await request(b'PUT', url, **kwargs)

    async with Server(handler) as server, \
            pool(get_dns_resolver=Resolver(['127.0.0.3', '127.0.0.2'])) as request:
        url = f'http://a.test:{server.port}/' if fault == 'refuse' else server.url
        gc.collect()
        gc.disable()
        try:
            seconds = 0.1 if fault == 'time-out' else 5
            with contextlib.suppress(lowhaio.HttpError, TimeoutError), within(seconds):
                await request(b'GET', url)
            body = Body(b'a', then=wait_for_ever) if fault == 'malformed' else Body(b'a')
            for kwargs in ({}, {'body': body, 'headers': [(b'content-length', b'2')]}):
                with contextlib.suppress(lowhaio.HttpError, TimeoutError):
                    await asyncio.create_task(fail(seconds, url, **kwargs))
            await asyncio.sleep(0)
            assert not [thing for thing in gc.get_objects() if isinstance(thing, (
                lowhaio.HttpError, ConnectionError, TimeoutError, asyncio.CancelledError))]
            assert not [task for task in gc.get_objects() if isinstance(task, asyncio.Task)
                        and task.done() and task.get_coro().__name__ == 'fail']
        finally:
            gc.enable()


@pytest.mark.parametrize(('is_download_bad', 'is_upload_bad'),
                         [(False, False), (True, False), (False, True), (True, True)])
@in_loop
async def test_proxying_with_errors_on_both_sides(is_download_bad, is_upload_bad):
    """A request is also made inside a request body, on the same pool."""
    async def handler(reader, writer):
        head = await reader.readuntil(b'\r\n\r\n')
        if head.startswith(b'GET'):
            writer.write(HALF_A_BODY + (b'' if is_download_bad else b' more'))
        else:
            await reader.readexactly(1 if is_upload_bad else 9)
            writer.write(b'' if is_upload_bad else OK)

    async def body():
        nonlocal inner
        _, _, inner = await request(b'GET', server.url)
        async for chunk in inner:
            yield chunk

    inner = None
    async with Server(handler) as server, pool() as request:
        outcome, = await asyncio.gather(
            get(request, server.url, b'POST', headers=[(b'content-length', b'9')], body=body),
            return_exceptions=True)
        if is_download_bad or is_upload_bad:
            assert isinstance(outcome, lowhaio.HttpDataError)
        else:
            assert outcome[2] == b'ok'
        await inner.aclose()
        assert inner._connection.sock is None


HOOKS = {       # what it is for, and the error that it comes to
    'get_sock': (lowhaio.get_nonblocking_sock, lowhaio.HttpConnectionError),
    'get_ssl_context': (tls_client, lowhaio.HttpTlsError),
    'sock_pre_message': (lambda sock: None, lowhaio.HttpConnectionError),
    'sock_post_message': (lambda sock: None, lowhaio.HttpDataError),
    'send_header': (lowhaio.send_header_tuples_of_bytes, lowhaio.HttpDataError),
    'send_body': (lowhaio.send_body_async_gen_bytes, lowhaio.HttpDataError),
}


@pytest.mark.parametrize('hook', [*HOOKS, 'send_header, then', 'send_body, then'])
@pytest.mark.parametrize(
    'error', [ValueError('no'), ConnectionResetError('no'), KeyboardInterrupt()], ids=repr)
@in_loop
async def test_hook_that_raises_closes_the_connection(hook, error):
    """It raises first of all, or, `then`, when it has done what it is for."""
    def fail(*args, **kwargs):
        if is_bad:
            raise error
        return inner(*args, **kwargs)

    async def fail_then(*args):
        await inner(*args)
        if is_bad:
            raise error

    name, _, then = hook.partition(', ')
    inner, kind = HOOKS[name]
    if not isinstance(error, Exception):
        kind = KeyboardInterrupt
    elif isinstance(error, OSError) and kind is lowhaio.HttpDataError:
        kind = lowhaio.HttpConnectionClosedError
    hooks = {name: fail_then if then else fail}
    post = {'method': b'POST', 'headers': [(b'content-length', b'4')],
            'body': lowhaio.streamed(b'body')}
    async with Server(answering(OK), tls=True) as server, pool(**hooks) as request:
        is_bad = True
        with failing(kind, '') as caught:
            await get(request, server.url, **post)
        assert caught.value is error or caught.value.__cause__ is error
        assert timers_of_lowhaio() == []
        is_bad = False
        assert (await get(request, server.url, **post))[2] == b'ok'


@served(answering(OK), get_dns_resolver=Resolver(['127.0.0.1']))
async def test_every_error_of_a_response_names_host_and_port(request, server):
    for raw in (OK[:-1], b'HTTP/1.1 200 OK\r\nfoo\r\n\r\n', b'HTTP/1.1 200 OK\r\n\r\n'[:9], b'x',
                b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n',
                b'HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\n',
                b'HTTP/1.1 200 OK\r\n' + b'a: b\r\n' * 5000):
        server.handler = answering(raw, then='close')
        where = rf'^a.test:{server.port} at 127.0.0.1: expected .*; got '
        with pytest.raises(lowhaio.HttpDataError, match=where):
            await get(request, f'http://a.test:{server.port}/')


# Addresses: which of them a request may use.

@contextlib.asynccontextmanager
async def addresses_that(*ways, kind=socket.socket, **settings):
    """Yield (request, port, socks) of a pool for which each name has an address of each way.

    They are 127.0.0.1 and so on, of which some 'answer', some 'refuse' and some 'are silent':
    connections to these stay half open, since their backlog is full.
    """
    hosts, socks = [f'127.0.0.{number + 1}' for number in range(len(ways))], Socks(kind)
    resolver = Resolver([Address(host, math.inf) for host in hosts])
    hooks = {'get_dns_resolver': resolver, 'get_sock': socks}
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(reserved(*hosts))
        for host, way in zip(hosts, ways, strict=True):
            if way == 'answer':
                await stack.enter_async_context(Server(answering(OK), host=host, port=port))
            elif way == 'are silent':
                stack.enter_context(bound(host, port)).listen(0)
                for _ in range(3):
                    filling = stack.enter_context(lowhaio.get_nonblocking_sock())
                    filling.connect_ex((host, port))
        yield await stack.enter_async_context(pool(**hooks | settings)), port, socks


@in_loop
async def test_changed_record_takes_a_new_connection_and_closes_the_old_one(monkeypatch):
    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0)
    socks = Socks()
    async with servers(answering(OK), answering(OK)) as (old, new), Dns(ttl=0) as dns, \
            pool(get_dns_resolver=dns.get_resolver, get_sock=socks) as request:
        for addresses, state in (
                (['127.0.0.1'], (1, 0, [True])),
                (['127.0.0.2'], (1, 1, [False, True])),
                (['127.0.0.1', '127.0.0.2'], (1, 1, [False, True]))):   # it is among them
            dns.records['a.test'] = addresses
            for _ in range(3):
                await get(request, f'http://a.test:{old.port}/')
                assert (old.connections, new.connections, socks.open()) == state


@in_loop
async def test_connection_at_an_address_withdrawn_while_in_use_is_not_kept(monkeypatch):
    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0)
    halves, socks, resolver = Halves(), Socks(), Resolver(['127.0.0.1'])
    async with servers(halves, answering(OK)) as (old, new), \
            pool(get_dns_resolver=resolver, get_sock=socks) as request:
        url = f'http://a.test:{old.port}/'
        body = (await request(b'GET', url))[2]
        resolver.answer = ['127.0.0.2']
        await get(request, url)
        assert (socks.open(), new.connections) == ([True, True], 1)
        halves.go[1].set()
        assert await lowhaio.buffered(body) == b'11'
        assert socks.open() == [False, True]


@pytest.mark.parametrize('answer', [['127.0.0.1'], lambda: iter(['127.0.0.1'])],
                         ids=['a list', 'any iterable'])
@in_loop
async def test_resolver_without_expires_at_is_asked_for_every_request(answer, monkeypatch):
    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0)
    resolver = Resolver(answer)
    async with Server(answering(OK)) as server, pool(get_dns_resolver=resolver) as request:
        for _ in range(3):
            assert (await get(request, f'http://a.test:{server.port}/'))[2] == b'ok'
        assert (resolver.asked, server.connections) == (['a.test'] * 3, 1)
    assert resolver.cleared == 1


@in_loop
async def test_addresses_are_kept_until_the_first_of_them_expires(monkeypatch):
    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0)
    loop = asyncio.get_running_loop()
    resolver = Resolver(lambda: [Address('127.0.0.1', loop.time() + 9),
                                 Address('127.0.0.2', loop.time() + 0.2)])
    async with Server(answering(OK)) as server, pool(get_dns_resolver=resolver) as request:
        url = f'http://a.test:{server.port}/'
        end = loop.time() + 0.2
        await get(request, url)
        await get(request, url)
        assert len(resolver.asked) == 1
        await asyncio.sleep(end - loop.time() + 0.01)
        await get(request, url)
        assert len(resolver.asked) == 2


@pytest.mark.parametrize('host', ['127.0.0.1', '::1'])
@in_loop
async def test_literal_address_skips_dns_and_ipv6_gets_its_family(host):
    resolver, socks = Resolver([]), Socks()
    async with Server(answering(OK), host=host) as server, \
            pool(get_dns_resolver=resolver, get_sock=socks) as request:
        for _ in range(2):
            assert (await get(request, server.url))[2] == b'ok'
        assert (server.connections, resolver.asked) == (1, [])
        assert socks.families == [socket.AF_INET6 if ':' in host else socket.AF_INET]


@pytest.mark.parametrize(('ways', 'is_open'), [
    (('refuse', 'answer'), [False, True]), (('answer', 'refuse'), [True])])
@in_loop
async def test_next_address_is_tried_when_the_first_one_refuses_and_not_else(ways, is_open):
    async with addresses_that(*ways) as (request, port, socks):
        assert (await get(request, f'http://a.test:{port}/'))[2] == b'ok'
        assert socks.open() == is_open


@in_loop
async def test_refusing_addresses_are_named_once_and_the_body_is_not_started():
    body, hosts = Body(b'x'), Resolver(['127.0.0.1', '127.0.0.2', '127.0.0.1'])
    async with addresses_that(
            'refuse', 'refuse', get_dns_resolver=hosts) as (request, port, socks):
        for name, count, text in (
                ('127.0.0.1', 1, 'Refused'),
                ('a.test', 3, f'^a.test:{port}: expected a connection; got '
                              f'127.0.0.1 port {port}: ConnectionRefusedError[^,]*, [^,]*, '
                              f'127.0.0.2 port {port}: ConnectionRefusedError[^,]*, [^,]*$')):
            with failing(lowhaio.HttpConnectionError, text, ConnectionRefusedError):
                await request(b'PUT', f'http://{name}:{port}/', body=body)
            assert socks.open() == [False] * count
        assert body.calls == 0


@pytest.mark.parametrize(('settings', 'seconds'), [
    ({}, 30), ({'connect_timeout': 4}, 4), ({'connect_timeout': 8, 'socket_timeout': 1}, 8)])
@in_loop
async def test_addresses_are_tried_side_by_side_until_connect_timeout(settings, seconds):
    async with addresses_that(*['are silent'] * 3, **settings) as (request, port, socks):
        with Clock(asyncio.get_running_loop()) as clock:
            task = asyncio.create_task(request(b'GET', f'http://a.test:{port}/'))
            for count, wait in ((1, 0.25), (2, 0.25), (3, seconds - 0.5)):
                await until(lambda: len(socks) == count and clock.left())   # noqa: B023
                timer, = clock.left()
                assert timer.when() - clock.now == pytest.approx(wait)
                assert socks.open() == [True] * count
                await clock.forward(wait)
            with failing(lowhaio.HttpConnectionError, 'got 127.0.0.1 port .*TimeoutError.*, '
                         '127.0.0.2 port .*TimeoutError', asyncio.TimeoutError):
                await task
            assert clock.left() == []
        assert socks.open() == [False] * 3


@in_loop
async def test_reason_of_an_address_is_told_with_its_innermost_cause():
    def get_sock():
        raise RuntimeError('no socket') from OSError(24, 'too many')

    text = r"port 80: RuntimeError\('no socket'\), because of OSError\(24, 'too many'\)$"
    async with pool(get_sock=get_sock) as request:
        with failing(lowhaio.HttpConnectionError, text, RuntimeError):
            await request(b'GET', 'http://127.0.0.1/')


@in_loop
async def test_loop_that_cannot_wait_for_a_connection_is_told(monkeypatch):
    def fail(*_):
        raise OSError(28, 'no watch')

    async with addresses_that('are silent') as (request, port, _):
        monkeypatch.setattr(asyncio.get_running_loop(), 'add_writer', fail)
        with failing(lowhaio.HttpConnectionError, r"got OSError\(28, 'no watch'\)$", OSError):
            await request(b'GET', f'http://127.0.0.1:{port}/')


@in_loop
async def test_addresses_that_all_failed_are_asked_for_anew_after_a_second(monkeypatch):
    """Since the host may have moved, whatever the time to live of the answer."""
    class Unwilling(Resolver):
        async def clear_cache(self, get_logger_adapter):
            self.cleared += 1
            raise OSError('not today')

    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0.3)
    resolver = Unwilling(lambda: [Address(host, math.inf)])
    async with Server(answering(OK), host='127.0.0.2') as server:
        request, close = lowhaio.Pool(get_dns_resolver=resolver)
        url, host = f'http://a.test:{server.port}/', '127.0.0.1'
        for _ in range(3):
            with failing(lowhaio.HttpConnectionError, 'got 127.0.0.1 port .*Refused'):
                await request(b'GET', url)
        assert (len(resolver.asked), resolver.cleared) == (1, 1)
        host = '127.0.0.2'
        await asyncio.sleep(0.31)
        assert (await get(request, url))[2] == b'ok'
        assert len(resolver.asked) == 2
        with pytest.raises(OSError, match='not today'):
            await close()


@pytest.mark.parametrize(('last', 'cause', 'text'), [
    (ConnectionRefusedError(), ConnectionRefusedError, r'2 port 80: .*Refused.*, 127.0.0.3'),
    (BlockingIOError(errno.EINPROGRESS, 'in progress'), TimeoutError,
     r'2 port 80: Timeout.*, 127.0.0.3 port 80: Timeout')])
@in_loop
async def test_cause_is_the_last_failure_and_the_text_names_what_was_not_tried_too(
        last, cause, text):
    class Failing(socket.socket):
        def connect(self, address):
            raise OSError(113, 'no route') if address[0] == '127.0.0.1' else last

    hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
    async with pool(get_dns_resolver=Resolver(hosts), get_sock=Socks(Failing),
                    connect_timeout=0.1) as request:
        text = '127.0.0.1 port 80: OSError.*, 127.0.0.' + text
        with failing(lowhaio.HttpConnectionError, text, cause):
            await request(b'GET', 'http://a.test/')


@in_loop
async def test_connection_that_is_there_wins_over_the_timer():
    class Late(socket.socket):
        def connect(self, address):
            if not attempts:
                attempts.append(super().connect_ex(address))
                raise BlockingIOError

    attempts = []
    async with Server(answering(OK)) as server, pool(get_sock=Socks(Late)) as request:
        with Clock(asyncio.get_running_loop()) as clock:
            task = asyncio.create_task(get(request, server.url))
            await asyncio.sleep(0)
            await clock.forward(30)
            assert (await task)[2] == b'ok'


@pytest.mark.parametrize(('record', 'cause', 'text'), [
    (3, aiodnsresolver.DnsRecordDoesNotExist,
     r'got DnsRecordDoesNotExist\(.*\), for this very name: no search domains are tried$'),
    ([], aiodnsresolver.DnsRecordDoesNotExist, r'got DnsNoMatchingAnswers\(.*\)$'),
    (2, aiodnsresolver.DnsError, r'got Dns\w+\(.*\)$'),
    (None, aiodnsresolver.DnsTimeout, r'got DnsTimeout\(\)$'),
])
@in_loop
async def test_name_that_is_not_resolved_is_a_dns_error(record, cause, text):
    started = []
    async with Dns({'a.test': record}, seconds=0.02) as dns, \
            pool(get_dns_resolver=dns.get_resolver) as request:
        with failing(lowhaio.HttpDnsError, r'^a.test:80: expected A records; ' + text, cause):
            await request(b'GET', 'http://a.test/', body=started.append)
        assert started == []


class ConnectedAtOnce(socket.socket):
    def connect(self, address):
        self.setblocking(True)
        try:
            super().connect(address)
        finally:
            self.setblocking(False)


class ConnectedByItsError(socket.socket):
    def connect(self, address):
        super().connect(address)
        raise OSError(errno.EISCONN, 'Transport endpoint is already connected')


@table(['get_sock'], [('it blocks', socket.socket), ('connected at once', Socks(ConnectedAtOnce)),
                      ('connected by its error', Socks(ConnectedByItsError))])
@in_loop
async def test_socket_that_does_not_have_to_wait_or_that_blocks_is_understood(get_sock):
    async with Server(answering(OK)) as server, pool(get_sock=get_sock) as request:
        for _ in range(2):
            assert (await get(request, server.url))[2] == b'ok'
        assert server.connections == 1


@in_loop
async def test_dead_address_costs_a_quarter_of_a_second_once():
    loop, seconds = asyncio.get_running_loop(), []
    async with addresses_that(
            'are silent', 'answer', keep_alive_timeout=0) as (request, port, socks):
        for _ in range(3):
            start = loop.time()
            assert (await get(request, f'http://a.test:{port}/'))[2] == b'ok'
            seconds.append(loop.time() - start)
        assert 0.2 < seconds[0] < 2
        assert max(seconds[1:]) < 0.2
        # The dead one is not asked again while it is the last
        assert socks.open() == [False] * 4


@in_loop
async def test_slow_address_is_waited_for_side_by_side():
    """The first one takes the connection in the end, when another has been started."""
    class Late(socket.socket):
        def connect(self, address):
            if address[0] == '127.0.0.1' and asyncio.get_running_loop().time() < start + 0.4:
                raise BlockingIOError(errno.EINPROGRESS, 'in progress')
            super().connect(address)

    async with addresses_that('answer', 'are silent', kind=Late) as (request, port, socks):
        start = asyncio.get_running_loop().time()
        assert (await get(request, f'http://a.test:{port}/'))[2] == b'ok'
        assert socks.open() == [True, False]


@pytest.mark.parametrize(('seconds', 'count'), [(0, 1), (0.1, 1), (0.35, 2)])
@in_loop
async def test_connecting_side_by_side_is_cancelled(seconds, count):
    async with addresses_that('are silent', 'are silent') as (request, port, socks):
        task = asyncio.create_task(request(b'GET', f'http://a.test:{port}/'))
        await asyncio.sleep(seconds)
        await cancel(task)
        assert socks.open() == [False] * count
        assert timers_of_lowhaio() == []


@in_loop
async def test_rotating_addresses_with_a_ttl_of_0_do_not_cost_a_connection_each():
    async with Server(answering(OK), host='0.0.0.0') as server, \
            Dns(ttl=0) as dns, pool(get_dns_resolver=dns.get_resolver) as request:
        for number in range(100):
            dns.records['a.test'] = [f'127.0.0.{number % 8 + 1}']
            await get(request, f'http://a.test:{server.port}/')
        assert server.connections <= 2
        assert len(dns.queries) <= 2


@in_loop
async def test_a_unix_socket_without_room_fails_at_once_and_does_not_spin(tmp_path):
    class UnixSocket(socket.socket):
        def connect(self, address):
            attempts.append(address)
            super().connect('full.sock')

    def get_sock():
        sock = UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        return sock

    attempts = []
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(tmp_path), \
            get_sock() as first, get_sock() as second:
        listener.bind('full.sock')
        listener.listen(0)
        first.connect(None)
        with pytest.raises(BlockingIOError):
            second.connect(None)
        attempts.clear()
        async with pool(get_sock=get_sock, connect_timeout=5) as request:
            with failing(lowhaio.HttpConnectionError, 'to have room; got EAGAIN',
                         ConnectionError):
                await get(request, 'http://127.0.0.1/')
    assert len(attempts) == 1


# TLS.

def tls_contexts():
    """Return new contexts, like those of `certificates`, for a test to change."""
    return certificates.__wrapped__()       # without its cache


class Resuming:
    """A handler that answers, and notes for each connection whether its session was resumed."""

    def __init__(self):
        self.resumed = []

    async def __call__(self, reader, writer):
        self.resumed.append(writer.get_extra_info('ssl_object').session_reused)
        await answering(OK)(reader, writer)


@table(('version', 'num_tickets', 'resumed'), [
    ('TLS 1.2', ssl.TLSVersion.TLSv1_2, 2, [False, True, True]),
    ('TLS 1.3', ssl.TLSVersion.TLSv1_3, 2, [False, True, True]),
    ('TLS 1.3 without tickets, which resumes nothing', ssl.TLSVersion.TLSv1_3, 0, [False] * 3),
])
@in_loop
async def test_new_tls_connection_resumes_the_last_session_and_fetches_no_other(
        version, num_tickets, resumed):
    class Spying(ssl.SSLSocket):
        @ssl.SSLSocket.session.getter
        def session(self):
            fetched.append(self.session_reused)
            return super().session

    def get_ssl_context():
        made.append(client_context)
        return client_context

    (server_context, client_context), made, fetched = tls_contexts(), [], []
    server_context.maximum_version = server_context.minimum_version = version
    server_context.num_tickets = num_tickets
    client_context.sslsocket_class = Spying
    handler = Resuming()
    async with Server(answering(OK)) as plain, Server(handler, tls=server_context) as server, \
            pool(get_ssl_context=get_ssl_context, keep_alive_timeout=0) as request:
        await get(request, plain.url)
        assert made == []
        for _ in range(3):
            await get(request, server.url)
        assert handler.resumed == resumed
        assert fetched == [False] * resumed.count(False)
        assert len(made) == 1


@served(Resuming, tls=True, keep_alive_timeout=0)
async def test_oldest_tls_session_is_forgotten_when_there_are_too_many(
        request, server, monkeypatch):
    monkeypatch.setattr(lowhaio, '_MAX_KEPT_SESSIONS', 2)
    async with Server(server.handler, tls=True) as b, Server(server.handler, tls=True) as c:
        for used in (server, b, server, c, server, b):
            await get(request, used.url)
    assert server.handler.resumed == [False, False, True, False, True, False]


@in_loop
async def test_tls_response_that_ends_after_close_is_given_and_its_connection_closed():
    halves = Halves()
    async with Server(halves, tls=True) as server:
        request, close = lowhaio.Pool(get_ssl_context=tls_client)
        body = (await request(b'GET', server.url))[2]
        await close()
        halves.go[1].set()
        assert await lowhaio.buffered(body) == b'11'
        await until(lambda: not server.tasks)


@table(('response', 'is_notified', 'is_whole'), [
    ('Cut off before its content-length.', OK[:-1], False, False),
    ('Ended before its content-length.', OK[:-1], True, False),
    ('Cut off before the last chunk.', chunked(b'2\r\nok\r\n'), False, False),
    ('Delimited by a close that was not a TLS one.', reply(content=b'ok'), False, False),
    ('Delimited by a TLS close.', reply(content=b'ok'), True, True),
    ('Complete by its length, whatever comes then.', OK, False, True),
    ('Complete by its last chunk, whatever comes then.', chunked(b'2\r\nok\r\n0\r\n\r\n'),
     False, True),
])
@in_loop
async def test_truncated_tls_body_is_an_error(response, is_notified, is_whole):
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(response)
        await asyncio.sleep(0.01)
        if not is_notified:
            with peer_socket(writer) as peer:
                peer.shutdown(socket.SHUT_RDWR)

    async with Server(handler, tls=True) as server, pool() as request:
        with contextlib.nullcontext() if is_whole else failing(
                lowhaio.HttpConnectionClosedError, 'expected'):
            assert (await get(request, server.url))[2] == b'ok'


@in_loop
async def test_tls_connection_says_that_it_closes():
    async def serve(peer):
        await peer.read_to()
        await peer.send(OK)
        ended.append(await peer.read())         # raises EOFError if the end is ragged

    ended = []
    async with faulty(serve, tls_server(), keep_alive_timeout=0) as (request, server):
        await get(request, server.url)
        await until(lambda: ended == [b''])


@served(answering(OK + SURPLUS), tls=True, recv_bufsize=len(OK))
async def test_surplus_in_the_same_record_as_the_end_is_never_taken_for_an_answer(request, server):
    """When the response has been read, the rest of the record is in the TLS layer."""
    for _ in range(2):
        assert (await get(request, server.url))[2] == b'ok'
    assert server.connections == 2


@served(answering(OK), tls=True)
async def test_warm_request_over_tls_costs_one_send_and_one_recv(request, server, monkeypatch):
    """The probe finds nothing below TLS, and so need not ask TLS.

    Each send is of one TLS record at most: of more, the SSL socket says that nothing was sent
    until all of it is.
    """
    spy = spying(ssl.SSLSocket).kind
    monkeypatch.setattr(tls_client(), 'sslsocket_class', spy)
    for _ in range(2):
        await get(request, server.url)
    spy.calls.clear()
    with noting_loop_calls() as loop_calls:
        await get(request, server.url)
    head = b'GET / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n' % server.port
    assert spy.calls == [('send', len(head)), ('recv', 16384)]
    assert loop_calls == []

    await get(request, server.url, b'PUT', body=lowhaio.streamed(bytes(100_000)),
              headers=[(b'content-length', b'100000')])
    assert max(size for name, size in spy.calls if name == 'send') == 16384


@served(Resuming, tls=True)
async def test_session_without_a_ticket_is_not_the_one_that_is_remembered(
        request, server, monkeypatch):
    monkeypatch.setattr(tls_client(), 'sslsocket_class', with_a_late_session([]))
    for headers in ((), [(b'connection', b'close')], ()):
        await get(request, server.url, headers=headers)
    assert server.handler.resumed == [False, True]


@in_loop
async def test_bytes_of_the_handshake_win_over_its_timer():
    class HoldingTheFirst(FaultyPeer):
        async def send_wire(self, data):
            if data and not held:
                held.append(data)
                await may_go_on.wait()
            await super().send_wire(data)

    async def handler(reader, writer):
        await HoldingTheFirst(reader, writer, tls_server()).serve()

    held, may_go_on = [], asyncio.Event()
    async with Server(handler) as server, pool() as request:
        with Clock(asyncio.get_running_loop()) as clock:
            task = asyncio.create_task(get(request, server.url.replace('http:', 'https:')))
            await until(lambda: held and clock.left())
            assert [timer.when() - clock.now for timer in clock.left()] == [10]
            may_go_on.set()
            clock.now += 10
            await asyncio.sleep(0)      # the server writes in this turn
            for timer in clock.left():
                clock.timers.remove(timer)
                timer.run()
            assert (await task)[2] == b'ok'


@pytest.mark.parametrize('recv_bufsize', [1, len(CONTINUE)])
@in_loop
async def test_what_comes_in_one_record_with_an_interim_response_is_not_waited_for(recv_bufsize):
    """It has been read from the socket, which is not readable again, when TLS gives a part."""
    async with Server(answering(CONTINUE + OK), tls=True) as server, \
            pool(recv_bufsize=recv_bufsize) as request, \
            asyncio.timeout(2):
        assert (await get(request, server.url))[2] == b'ok'


@table(('scheme', 'answer', 'kind', 'text', 'cause'), [
    ('https to a port of http', 'https', b'HTTP/1.1 400 Bad Request\r\n\r\n', lowhaio.HttpTlsError,
     r'^127.0.0.1:PORT: expected a TLS handshake; got SSLError'
     r'.*(WRONG_VERSION|RECORD).*; does port PORT speak TLS\?$', ssl.SSLError),
    ('http to a port of https, which sends a fatal alert (RFC 8446 6)', 'http',
     b'\x15\x03\x03\x00\x02\x02\x46', lowhaio.HttpDataError,
     r'status line; got .*x15.*, which is TLS: is this an https port\?$', None),
    *((f'https that is refused by alert {number}', 'https', bytes([21, 3, 3, 0, 2, 2, number]),
       lowhaio.HttpTlsError, '(?i)(alert|unrecognized).*[^?]$', ssl.SSLError)
      for number in (40, 70, 112)),
    ('https to a port that ends the stream', 'https', b'', lowhaio.HttpTlsError,
     r'does port PORT speak TLS\?$', None),
])
@in_loop
async def test_alert_or_answer_of_a_port_of_the_other_scheme_is_a_clear_error(
        scheme, answer, kind, text, cause):
    async def handler(reader, writer):
        await reader.read(1)
        writer.write(answer)

    async with Server(handler) as server, pool() as request:
        with failing(kind, text.replace('PORT', str(server.port)), cause):
            await request(b'GET', server.url.replace('http', scheme))


@pytest.mark.parametrize(('name', 'get_ssl_context', 'text'), [
    ('a.test', tls_client, r'Hostname mismatch.*\)'),
    ('example.test', ssl.create_default_context,
     'certificate verify failed.*: get_ssl_context says which authorities are trusted'),
])
@in_loop
async def test_server_that_is_not_who_it_should_be_is_a_tls_error(name, get_ssl_context, text):
    async with Server(answering(OK), tls=True) as server, pool(
            get_dns_resolver=Resolver(['127.0.0.1']), get_ssl_context=get_ssl_context) as request:
        with failing(lowhaio.HttpTlsError, f'^{name}:{server.port} at 127.0.0.1: expected a TLS '
                     f'handshake; got .*{text}$', ssl.SSLCertVerificationError):
            await request(b'GET', f'https://{name}:{server.port}/')
        assert server.tasks == set()


@pytest.mark.parametrize(('address', 'host'), [('127.0.0.1', 'example.test.'), ('::1', '[::1]')])
@in_loop
async def test_host_is_verified_without_its_final_dot_or_brackets(address, host):
    async with Server(answering(OK), host=address, tls=True) as server, \
            pool(get_dns_resolver=Resolver(['127.0.0.1'])) as request:
        assert (await get(request, f'https://{host}:{server.port}/'))[2] == b'ok'


@pytest.mark.parametrize(('get_ssl_context', 'text', 'cause'), [
    (lambda: ssl.create_default_context(cafile='/no/such/file'),
     r'got FileNotFoundError\(2, .*\)$', FileNotFoundError),
    (lambda: None, 'got None$', None),
])
@in_loop
async def test_without_an_ssl_context_nothing_is_sent(get_ssl_context, text, cause):
    async with Server(Receiving()) as server, pool(get_ssl_context=get_ssl_context) as request:
        expected = rf'^127.0.0.1:{server.port}: expected get_ssl_context to return .*; '
        with failing(lowhaio.HttpTlsError, expected + text, cause):
            await request(b'GET', server.url.replace('http', 'https'))
        assert server.connections == 0


@pytest.mark.parametrize('stage', [FaultyPeer.stall, FaultyPeer.drip])
@in_loop
async def test_tls_handshake_has_one_time_limit_and_no_busy_loop(stage):
    loop = asyncio.get_running_loop()
    async with faulty(stage, False, socket_timeout=0.06) as (request, server):
        start = loop.time()
        text = 'expected a TLS handshake; got TimeoutError.*; ' \
            rf'does port {server.port} speak TLS\?$'
        with noting_loop_calls() as loop_calls, \
                failing(lowhaio.HttpTlsError, text, asyncio.TimeoutError):
            await request(b'GET', server.url.replace('http', 'https'))
        assert 0.05 <= loop.time() - start < 2
        # uvloop is busy for the last millisecond
        assert loop_calls.count('add_reader') + loop_calls.count('add_writer') < 300


@served(Receiving)
async def test_cancelled_in_the_tls_handshake_leaves_nothing(request, server):
    task = asyncio.create_task(request(b'GET', server.url.replace('http', 'https')))
    await until(lambda: server.connections)
    await cancel(task)
    await until(lambda: not server.tasks)


@pytest.mark.parametrize('response', [OK, HALF_A_BODY])
@in_loop
async def test_tls_that_has_to_answer_without_room_is_an_error_at_once(response):
    """As when a certificate is asked for after the handshake. The loop would call for ever."""
    class WithoutRoom(socket.socket):
        def recv(self, size):
            if len(received) == response.count(b'half'):
                raise ssl.SSLWantWriteError
            received.append(size)
            return super().recv(size)

    received = []
    async with Server(answering(response)) as server, pool(get_sock=Socks(WithoutRoom)) as request:
        with failing(lowhaio.HttpDataError, 'got SSLWantWriteError', ssl.SSLWantWriteError):
            await get(request, server.url)


@table(('outcomes', 'kind'), [
    ('At first.', [], lowhaio.HttpConnectionError),
    ('After a wait.', [BlockingIOError()], lowhaio.HttpConnectionError),
    ('After some bytes.', [5, BlockingIOError()], lowhaio.HttpDataError),
])
@in_loop
async def test_wish_to_renegotiate_tls_is_refused(outcomes, kind):
    socks = choosy(*outcomes, *[ssl.SSLWantReadError()] * 9)
    async with Server(Receiving()) as server, pool(get_sock=socks) as request:
        with failing(kind, 'got a wish to renegotiate TLS', ssl.SSLError):
            await request(b'GET', server.url)


class RefusingSessions:
    """A handler that ends each TLS handshake that offers a session in an alert, or waits."""

    def __init__(self):
        self.offered, self.waits = [], False

    async def __call__(self, reader, writer):
        head = await reader.readexactly(5)
        hello = await reader.readexactly(int.from_bytes(head[3:], 'big'))
        self.offered.append(offers_session(hello))
        if not self.offered[-1]:
            reader._buffer[:0] = head + hello
            await FaultyPeer(reader, writer, tls_server()).serve()
        elif self.waits:
            await reader.read()
        else:
            writer.write(b'\x15\x03\x03\0\x02\x02\x50')         # fatal, internal_error


def offers_session(hello):
    """Return whether a ClientHello ends in the extension pre_shared_key (RFC 8446 4.2.11)."""
    return any(hello[at:at + 4] == b'\0\x29' + (len(hello) - at - 4).to_bytes(2, 'big')
               for at in range(len(hello) - 3))


@pytest.mark.parametrize('waits', [False, True])
@served(RefusingSessions, keep_alive_timeout=0, socket_timeout=1)
async def test_tls_session_that_is_refused_is_not_offered_again_while_its_origin_is_used(
        request, server, monkeypatch, waits):
    monkeypatch.setattr(lowhaio, '_MAX_KEPT_SESSIONS', 2)
    server.handler.waits = waits
    url = server.url.replace('http:', 'https:')
    async with Server(answering(OK), tls=True) as b, Server(answering(OK), tls=True) as c:
        for used in (url, url, b.url, url, c.url, url, url, url):
            assert (await get(request, used))[2] == b'ok'
    assert server.handler.offered == [False, True, *[False] * 5]


@pytest.mark.parametrize(('error', 'is_tried_again'), [
    (ConnectionResetError(), True), (ValueError('Session refers to a different context'), True),
    (ssl.SSLCertVerificationError(1, 'no'), False)])
@served(Resuming, tls=True, keep_alive_timeout=0)
async def test_handshake_is_tried_once_more_unless_the_certificate_does_not_hold(
        request, server, monkeypatch, error, is_tried_again):
    def wrap_socket(*args, session, **kwargs):
        if session is not None:
            raise error
        return ssl.SSLContext.wrap_socket(tls_client(), *args, **kwargs)

    await get(request, server.url)
    monkeypatch.setattr(tls_client(), 'wrap_socket', wrap_socket)
    with contextlib.nullcontext() if is_tried_again else failing(
            lowhaio.HttpTlsError, 'expected a TLS handshake', type(error)):
        assert (await get(request, server.url))[2] == b'ok'
    assert len(server.handler.resumed) == 1 + is_tried_again


@pytest.mark.parametrize(('answer', 'text'), [
    (b'', 'got ConnectionResetError'), (b'220 mail', r'does port \d+ speak TLS\?$')])
@in_loop
async def test_peer_that_resets_before_the_handshake_leaves_nothing(answer, text):
    class Resetting(socket.socket):
        def connect(self, address):
            super().connect(address)
            peer, _ = listener.accept()         # now it is connected
            peer.send(answer)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            peer.close()

    with socket.create_server(('127.0.0.1', 0)) as listener:
        async with pool(get_sock=Socks(Resetting)) as request:
            before = open_descriptors()
            with failing(lowhaio.HttpTlsError, text) as caught:
                await request(b'GET', f'https://127.0.0.1:{listener.getsockname()[1]}/')
            assert open_descriptors() == before
            assert caught.value.__traceback__       # the frames are still there


def fail_once_bytes_have_come(sock):
    assert select.select([sock], [], [], 5)[0]
    raise BrokenPipeError(errno.EPIPE, 'gone')


@table(('size', 'hooks', 'kind'), [
    ('A send without content.', 0, {}, lowhaio.HttpError),
    ('A send of some of the content.', 1_000_000, {}, lowhaio.HttpError),
    ('The first send.', 0, {'sock_pre_message': fail_once_bytes_have_come},
     lowhaio.HttpConnectionError),
])
@in_loop
async def test_alert_that_came_before_a_send_failed_is_told(size, hooks, kind):
    """The server, which wants a certificate, closes with bytes unread."""
    def serve():
        for _ in range(20):
            sock, _ = listener.accept()
            with contextlib.suppress(OSError), sock:
                server_context.wrap_socket(sock, server_side=True).close()

    server_context, client_context = tls_contexts()
    server_context.verify_mode = ssl.CERT_REQUIRED
    text = 'expected the request to go on; got .*(?i:certificate.required)'
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(5)
        serving = asyncio.create_task(asyncio.to_thread(serve))
        url = f'https://127.0.0.1:{listener.getsockname()[1]}/'
        for _ in range(20):
            async with pool(get_ssl_context=lambda: client_context, **hooks) as request:
                with pytest.raises(kind, match=text) as caught:
                    await request(b'POST', url, body=lowhaio.streamed(bytes(size)),
                                  headers=[(b'content-length', b'%d' % size)])
                assert isinstance(caught.value.__cause__, ssl.SSLError)
        await serving


@in_loop
async def test_http2_that_was_chosen_by_alpn_is_told():
    server_context, client_context = tls_contexts()
    for context in (server_context, client_context):
        context.set_alpn_protocols(['h2', 'http/1.1'])
    async with Server(answering(OK), tls=server_context) as server, \
            pool(get_ssl_context=lambda: client_context) as request:
        with failing(lowhaio.HttpTlsError, 'HTTP/2 by ALPN.*context of its own.*[^?]$'):
            await request(b'GET', server.url)


# Names and DNS.

def resolver_of(resolve):
    return lambda **_: (resolve, Resolver([]).clear_cache)


async def resolve_at_last():
    return ['127.0.0.1']


@pytest.mark.parametrize('go_on', [wait_for_ever, raising(OSError('no network')), resolve_at_last],
                         ids=['it waits', 'it fails', 'it answers'])
@in_loop
async def test_cancellation_that_a_resolver_takes_for_its_timeout_is_not_lost(go_on):
    async def resolve(*_, **__):
        loop.call_soon(task.cancel)             # how aiodnsresolver times out
        loop.call_soon(task.cancel)             # and from outside
        with contextlib.suppress(asyncio.CancelledError):
            await wait_for_ever()
        return await go_on()

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    async with pool(get_dns_resolver=resolver_of(resolve)) as request:
        with pytest.raises(asyncio.CancelledError):
            await request(b'GET', 'http://a.test/')
        assert task.cancelling() == 1
        task.uncancel()


@table(('records', 'cause'), [
    ('no answer', {'0.test': None}, aiodnsresolver.DnsTimeout),
    ('SERVFAIL', {'0.test': 2}, aiodnsresolver.DnsResponseCode),
    ('NXDOMAIN', {'0.test': 3}, aiodnsresolver.DnsRecordDoesNotExist),
    ('an empty answer', {'0.test': ()}, aiodnsresolver.DnsError),
    ('a CNAME to nothing', {'0.test': ('CNAME', 'b.test')}, aiodnsresolver.DnsRecordDoesNotExist),
    ('a CNAME to itself', {'0.test': ('CNAME', '0.test')}, aiodnsresolver.DnsCnameChainTooLong),
    ('too long a chain', {f'{number}.test': ('CNAME', f'{number + 1}.test')
                          for number in range(25)}, aiodnsresolver.DnsCnameChainTooLong),
])
@in_loop
async def test_dns_fails_and_recovers(records, cause):
    async with Server(answering(OK)) as server, Dns(records, seconds=0.02, ttl=0) as dns, \
            pool(get_dns_resolver=dns.get_resolver) as request:
        with few_polls(200), failing(lowhaio.HttpDnsError, r'0\.test:\d+: expected', cause):
            await request(b'GET', f'http://0.test:{server.port}/')
        assert server.connections == 0

        await asyncio.sleep(0)
        is_cached = 'CNAME' in str(records)     # by the resolver: another name is asked for
        name = 'new.test' if is_cached else '0.test'
        dns.records = {name: ('CNAME', 'd.test'), 'd.test': ('CNAME', 'e.test'),
                       'e.test': ['127.0.0.1']}
        assert (await get(request, f'http://{name}:{server.port}/'))[2] == b'ok'


@table('cancelled_at', [
    ('at once', 0), ('just before the first name server times out', 0.09), ('just after', 0.13)])
@in_loop
async def test_first_of_many_on_a_cold_name_is_cancelled_alone(cancelled_at):
    """The loop is blocked as the name server times out, so that it sees both at once."""
    async def get_nameservers(_, __):
        yield 0.1, ('127.0.0.1', silent.port)
        yield 5, ('127.0.0.1', dns.port)

    loop, silent = asyncio.get_running_loop(), Dns({'a.test': None}, seconds=0.1)
    async with Server(answering(OK)) as server, Dns({'a.test': ['127.0.0.1']}) as dns, silent, \
            pool(get_dns_resolver=functools.partial(
                aiodnsresolver.Resolver, get_nameservers=get_nameservers)) as request:
        tasks = [asyncio.create_task(get(request, f'http://a.test:{server.port}/'))
                 for _ in range(20)]
        await asyncio.sleep(0)
        loop.call_later(0.08, time.sleep, 0.1)
        loop.call_later(cancelled_at, tasks[0].cancel)
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert others == [(b'200', ((b'content-length', b'2'),), b'ok')] * 19
        assert [task.cancelling() for task in tasks] == [1] + [0] * 19


@served(answering(OK), records={'a.test': ['127.0.0.1']})
async def test_hooks_of_async_generators_are_what_they_were_at_each_step(request, server):
    hooks = sys.get_asyncgen_hooks()
    task = asyncio.create_task(get(request, f'http://a.test:{server.port}/'))
    while not task.done():
        await asyncio.sleep(0)
        assert sys.get_asyncgen_hooks() == hooks
    await task


@in_loop
async def test_cancellation_that_a_resolver_swallows_reaches_it_once_more():
    """It has to clean up as it does for any cancellation, and not as it does when closed."""
    async def resolve(*_, **__):
        task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(task.cancel, 'mine')   # from outside
        asyncio.get_running_loop().call_soon(task.cancel)           # its own time-out
        for seconds in (5, 5, 0):
            try:
                await asyncio.sleep(seconds)
            except BaseException as exception:
                thrown.append(repr(exception))
        return ['127.0.0.1']

    thrown = []
    async with pool(get_dns_resolver=resolver_of(resolve)) as request:
        task = asyncio.create_task(request(b'GET', 'http://a.test/'))
        with pytest.raises(asyncio.CancelledError, match='mine'):
            await task
        assert thrown == ["CancelledError('mine')"] * 2
        assert task.cancelling() == 1


@in_loop
async def test_cancellation_of_a_resolver_that_waits_as_it_ends_is_not_taken_back():
    async def resolve(*_, **__):
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.01)

    async with pool(get_dns_resolver=resolver_of(resolve)) as request:
        task = asyncio.create_task(request(b'GET', 'http://a.test/'))
        await asyncio.sleep(0.01)
        await cancel(task)
        assert task.cancelling() == 1


@served(answering(OK), records={'a.test': ['127.0.0.1']})
async def test_answer_keeps_no_context_of_the_request_that_asked(request, server):
    async def ask():
        variable.set(set())             # of which there can be a weak reference
        await get(request, f'http://a.test:{server.port}/')
        return weakref.ref(variable.get())

    variable = contextvars.ContextVar('variable')
    state = await asyncio.create_task(ask())
    await asyncio.sleep(0.6)            # a cancelled timer of the name server keeps it until then
    gc.collect()
    assert state() is None


@served(answering(OK), records={'a.test': None})
async def test_answer_after_a_failure_that_is_kept_counts_as_long_as_it_says(request, server):
    """aiodnsresolver gives it for ever, as long as a frame of the failure is there."""
    dns, url = server.dns, f'http://a.test:{server.port}/'
    dns.ttl, dns.seconds, dns.tries = 1, 0.05, 1
    with pytest.raises(lowhaio.HttpDnsError) as caught:
        await request(b'GET', url)
    dns.seconds, dns.records['a.test'] = 5, ['127.0.0.1']
    await get(request, url)
    dns.records['a.test'] = 3                   # no such name any more
    await asyncio.sleep(1.1)
    with pytest.raises(lowhaio.HttpDnsError):
        await request(b'GET', url)
    assert caught.value.__cause__


@served(answering(OK))
async def test_answer_counts_for_a_second_also_for_requests_that_asked_meanwhile(
        request, server, monkeypatch):
    async def resolve(*_, **__):
        asked.append(None)
        number = len(asked)
        await asyncio.sleep(0.01 * number)
        return [f'127.0.0.{number}']            # the server is at the first

    monkeypatch.setattr(lowhaio, '_MIN_TTL', 60)
    asked, url = [], f'http://a.test:{server.port}/'
    async with pool(get_dns_resolver=resolver_of(resolve)) as asking:
        await asyncio.gather(get(asking, url), get(asking, url))
        await get(asking, url)
    assert len(asked) == 2


@served(answering(OK))
async def test_name_that_is_asked_for_often_does_not_push_out_the_answers_of_others(
        request, server, monkeypatch):
    async def resolve(host, *_, **__):
        asked.append(host)
        return [Address('127.0.0.1', math.inf if host == 'b.test' else -math.inf)]

    monkeypatch.setattr(lowhaio, '_MIN_TTL', 0)
    asked = []
    async with pool(get_dns_resolver=resolver_of(resolve), keep_alive_timeout=0) as asking:
        for host in ('b.test', *['a.test'] * 300, 'b.test'):
            await get(asking, f'http://{host}:{server.port}/')
    assert asked.count('b.test') == 1


def resolver_that_raises(exception, *causes):
    """Return a `get_dns_resolver` whose answer is this exception, with this chain of causes."""
    def answer():
        raise exception

    for effect, cause in itertools.pairwise((exception, *causes)):
        effect.__cause__ = cause
    return Resolver(answer)


OWN_CAUSE = OSError('no')


@table(('get_dns_resolver', 'text'), [
    ('One that cannot be made.', lambda **_: os.stat('/no/such/file'), 'FileNotFoundError'),
    ('No pair.', lambda **_: None, ''),
    ('Three things.', lambda **_: (1, 2, 3), ''),
    ('A str.', Resolver('10.9.8.7'), ".*'1' does not appear"),
    ('An empty address.', Resolver(['']), ".*'' does not appear"),
    ('No address.', Resolver([]), 'none$'),
    ('A name.', Resolver(['a.internal']),
     ".*'a.internal' does not appear to be an IPv4 or IPv6 address"),
    ('An address that expires at no time.', Resolver([Address('127.0.0.1', None)]), 'TypeError'),
    ('An exception: the innermost of its causes is told.', resolver_that_raises(
        aiodnsresolver.DnsTimeout(), ValueError('in between'), ConnectionRefusedError(111, 'no')),
     r'DnsTimeout\(\), because of ConnectionRefusedError'),
    ('An exception that is its own cause: it is told once.',
     resolver_that_raises(OWN_CAUSE, OWN_CAUSE), r"OSError\('no'\)$"),
])
@in_loop
async def test_what_is_no_resolver_or_no_answer_is_a_dns_error_each_time_and_none_of_close(
        get_dns_resolver, text):
    async with pool(get_dns_resolver=get_dns_resolver) as request:
        for _ in range(2):
            with failing(lowhaio.HttpDnsError, f'^a.test:80: expected A records; got {text}'):
                await request(b'GET', 'http://a.test/')


@in_loop
async def test_resolver_that_swallows_time_outs_within_a_limit_of_its_own():
    async def limited(*args, **kwargs):
        async with asyncio.timeout(0.12):
            return await resolve(*args, **kwargs)

    async with Dns({'a.test': None}, seconds=0.05, tries=5) as dns:
        resolve, _ = dns.get_resolver()
        async with pool(get_dns_resolver=resolver_of(limited)) as request:
            asyncio.get_running_loop().call_later(0.09, time.sleep, 0.06)   # 2 fall together
            with failing(lowhaio.HttpDnsError, 'got TimeoutError', TimeoutError):
                await request(b'GET', 'http://a.test/')
    assert asyncio.current_task().cancelling() == 0


@in_loop
async def test_error_of_a_resolver_keeps_its_frames_and_sees_the_context():
    async def resolve(host, *_, **__):
        return {}[host, variable.get()]

    variable = contextvars.ContextVar('variable')
    variable.set('mine')
    async with pool(get_dns_resolver=resolver_of(resolve)) as request:
        with failing(lowhaio.HttpDnsError, r"KeyError\(\('a.test', 'mine'\)\)$") as caught:
            await request(b'GET', 'http://a.test/')
        frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
        assert 'resolve' in [frame.name for frame in frames]


async def resolve_after_a_time_out(*_, **__):
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)
    return ['127.0.0.1']


@served(answering(OK), get_dns_resolver=resolver_of(resolve_after_a_time_out))
async def test_time_out_that_a_resolver_takes_back_itself_is_not_taken_back_twice(request, server):
    task = asyncio.current_task()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    await get(request, f'http://a.test:{server.port}/')
    assert task.cancelling() == 1
    task.uncancel()


@served(answering(OK), records={'a.test': ['127.0.0.1']})
async def test_name_with_a_trailing_dot_is_resolved_by_a_real_resolver(request, server):
    assert (await get(request, f'http://a.test.:{server.port}/'))[2] == b'ok'
    assert server.dns.queries == ['a.test']


# Servers in processes of their own. Each is this file run as
# `python test.py serve KIND [CERTIFICATE KEY]`: it writes its port to standard output, and ends
# with its standard input, so that it cannot outlive the tests.

class Processes:
    """The servers, each of which is started when a test first asks for its address.

    What `stack` closes ends all of them.
    """

    def __init__(self, folder, stack):
        self.folder, self.stack, self.url = folder, stack, functools.cache(self.start)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / 'authority.pem')
        issued = authority.issue_cert('localhost', '127.0.0.1')
        issued.cert_chain_pems[0].write_to_path(folder / 'certificate.pem')
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        (folder / 'key.pem').write_bytes(key.private_bytes(     # granian takes no other format
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        self.client_context = ssl.create_default_context(cafile=folder / 'authority.pem')

    def start(self, kind, tls=False):
        files = (self.folder / 'certificate.pem', self.folder / 'key.pem') if tls else ()
        log = self.folder / f'{kind}{"-tls" if tls else ""}.log'
        with log.open('wb') as stderr:
            process = self.stack.enter_context(subprocess.Popen(
                (sys.executable, '-W', 'ignore', __file__, 'serve', kind, *files),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                start_new_session=True,
                env={**os.environ, 'LOWHAIO_TEST_FOLDER': str(self.folder)}))
        port = int(process.stdout.readline() or 0)
        while port and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port)):
                return f'{"https" if tls else "http"}://127.0.0.1:{port}/'
            time.sleep(0.02)
        raise AssertionError(f'{kind} did not start: {log.read_text()}')


@pytest.fixture(scope='session')
def processes(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Processes(tmp_path_factory.mktemp('servers'), stack)


def serve(kind, *tls_files):
    """Do what `python test.py serve` is to do."""
    threading.Thread(target=end_with_stdin, daemon=True).start()
    sock = bound('127.0.0.1', 0)
    sys.stdout.write(f'{sock.getsockname()[1]}\n')
    sys.stdout.flush()
    os.dup2(2, 1)
    SERVE[kind](sock, *map(str, tls_files))


def end_with_stdin():
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def server_context(*tls_files):
    """Return a context with this certificate and key, or None without them."""
    if not tls_files:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls_files)
    return context


# Servers that nobody here wrote. They run one of two small applications, that do the same: answer
# with the digest of the content that came, or in chunks.

CHUNKED = [bytes([number]) * 10_000 for number in range(100)]


async def aiohttp_app(request):
    from aiohttp import web
    headers = {'x-peer': str(request.transport.get_extra_info('peername')[1])}
    if request.path == '/chunked':
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for chunk in CHUNKED:
            await response.write(chunk)
        return response

    digest = hashlib.sha256()
    async for chunk in request.content.iter_any():
        digest.update(chunk)
    return web.Response(text=digest.hexdigest(), headers=headers)


async def asgi_app(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            await send({'type': (await receive())['type'] + '.complete'})

    async def start(*headers):
        headers = [(b'x-peer', str(scope['client'][1]).encode()), *headers]
        await send({'type': 'http.response.start', 'status': 200, 'headers': headers})

    if scope['path'] == '/chunked':
        await start()
        for chunk in CHUNKED:
            await send({'type': 'http.response.body', 'body': chunk, 'more_body': True})
        await send({'type': 'http.response.body'})
        return

    digest, event = hashlib.sha256(), {'more_body': True}
    while event.get('more_body'):
        event = await receive()
        digest.update(event.get('body', b''))
    await start((b'content-length', b'64'))
    await send({'type': 'http.response.body',
                'body': b'' if scope['method'] == 'HEAD' else digest.hexdigest().encode()})


def serve_aiohttp(sock, *tls_files):
    from aiohttp import web
    app = web.Application()
    app.router.add_route('*', '/{path:.*}', aiohttp_app)
    web.run_app(app, sock=sock, ssl_context=server_context(*tls_files), access_log=None,
                print=None)


def serve_uvicorn(http, sock, certificate=None, key=None):
    import uvicorn
    uvicorn.Server(uvicorn.Config(
        asgi_app, http=http, loop='asyncio', workers=1, log_level='warning',
        ssl_certfile=certificate, ssl_keyfile=key)).run(sockets=[sock])


def serve_hypercorn(sock, certificate=None, key=None):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.bind = [f'fd://{sock.detach()}']
    config.certfile, config.keyfile = certificate, key
    asyncio.run(serve(asgi_app, config))


def serve_granian(sock, certificate=None, key=None):
    from granian import Granian
    port = sock.getsockname()[1]        # it takes no socket; this one keeps the port for it
    Granian(f'{pathlib.Path(__file__).stem}:asgi_app', port=port, interface='asgi', workers=1,
            log_enabled=False, ssl_cert=certificate and pathlib.Path(certificate),
            ssl_key=key and pathlib.Path(key)).serve()


def serve_moto(sock):
    """Serve S3 with one bucket, check each signature, and leave the credentials in a file."""
    import boto3
    from moto.server import ThreadedMotoServer
    port = sock.getsockname()[1]        # it takes no socket either
    sock.close()
    ThreadedMotoServer('127.0.0.1', port, verbose=False).start()
    endpoint = f'http://127.0.0.1:{port}'
    anybody = {'endpoint_url': endpoint, 'region_name': 'us-east-1',
               'aws_access_key_id': 'anybody', 'aws_secret_access_key': 'anything'}
    iam = boto3.client('iam', **anybody)
    iam.create_user(UserName='user')
    credentials = iam.create_access_key(UserName='user')['AccessKey']
    iam.put_user_policy(UserName='user', PolicyName='all', PolicyDocument=json.dumps({
        'Version': '2012-10-17',
        'Statement': [{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}]}))
    boto3.client('s3', **anybody).create_bucket(Bucket='bucket')
    urllib.request.urlopen(urllib.request.Request(       # from now on, everything is checked
        f'{endpoint}/moto-api/reset-auth', b'0', {'content-type': 'text/plain'}))
    file = pathlib.Path(os.environ['LOWHAIO_TEST_FOLDER'], 'credentials.json')
    file.with_suffix('.new').write_text(json.dumps(
        [credentials['AccessKeyId'], credentials['SecretAccessKey']]))
    file.with_suffix('.new').rename(file)
    threading.Event().wait()


SERVE = {
    'moto': serve_moto,
    'aiohttp': serve_aiohttp,
    'uvicorn-h11': functools.partial(serve_uvicorn, 'h11'),
    'uvicorn-httptools': functools.partial(serve_uvicorn, 'httptools'),
    'hypercorn': serve_hypercorn,
    'granian': serve_granian,
    'load': lambda sock, *tls_files: asyncio.run(Load().serve(sock, server_context(*tls_files))),
}


async def content_of_10_mb():
    for _ in range(100):
        yield bytes(range(250)) * 400


DIGEST_OF_10_MB = b'5a31919efaf259894dd7f27b2ff3c114ebc63abaa7c71dcfce5fd46530cdd9d3'    # sha256
DIGEST_OF_NOTHING = hashlib.sha256().hexdigest().encode()
OF_64_BYTES = (b'content-length', b'64')

# name -> (method, path, headers and body, then what comes: a field and the content)
EXCHANGES = {
    'GET': (b'GET', '', {}, OF_64_BYTES, DIGEST_OF_NOTHING),
    'HEAD': (b'HEAD', '', {}, OF_64_BYTES, b''),
    'POST of 10 MB': (b'POST', '', {'headers': [(b'content-length', b'10000000')],
                                    'body': content_of_10_mb}, OF_64_BYTES, DIGEST_OF_10_MB),
    'GET in chunks': (b'GET', 'chunked', {}, (b'transfer-encoding', b'chunked'),
                      b''.join(CHUNKED)),
}


@pytest.fixture
def url_of_kind(processes, kind, tls):
    return processes.url(kind, tls)


@pytest.mark.parametrize('names', [*([name] for name in EXCHANGES), [*EXCHANGES] * 2],
                         ids=[*EXCHANGES, 'all on one connection'])
@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
@pytest.mark.parametrize('kind', [
    'aiohttp', 'uvicorn-h11', 'uvicorn-httptools', 'hypercorn', 'granian'])
@in_loop
async def test_servers_that_nobody_here_wrote(processes, url_of_kind, kind, names):
    socks, peers = Socks(), set()
    async with pool(get_sock=socks, get_ssl_context=lambda: processes.client_context) as request:
        for method, path, sent, field, content in map(EXCHANGES.get, names):
            code, headers, body = await get(request, url_of_kind + path, method, **sent)
            assert (code, body) == (b'200', content)
            assert field in headers
            assert kind.partition('-')[0].encode() in dict(headers)[b'server']
            peers.add(dict(headers)[b'x-peer'])
    assert len(peers) == len(socks) == 1


# Programs that are run in the folder of the module.

FOLDER = pathlib.Path(lowhaio.__file__).resolve().parent


def run(*command, folder=FOLDER, seconds=120, encoding='utf-8', **variables):
    """Run a command with these environment variables. Return (exit status, output, errors)."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=os.environ | variables, capture_output=True,
        check=False, encoding=encoding, timeout=seconds)
    return done.returncode, done.stdout, done.stderr


def output_of(*command, **variables):
    """Return what the command puts out; it has to succeed."""
    status, output, errors = run(*command, **variables)
    assert status == 0, output + errors
    return output


# Load. The figures are printed by `python -m pytest test.py -m slow -rP`, and those of the quick
# versions without `-m slow`.

@pytest.fixture
def load_urls(processes):
    """Return the URLs of servers of `Load`, without and with TLS.

    They and this process may have the 6,000 descriptors that 5,000 sockets need, where possible.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 6000), hard), hard))
    return [processes.url('load', tls) for tls in (False, True)]


class Load:
    """A server that does what the path of a request says: `/length/9` calls `length` with 9.

    What is called returns whether the connection is to be closed.
    """

    def __init__(self):
        self.writers = set()
        self.barrier_of = functools.cache(asyncio.Barrier)

    async def serve(self, sock, tls):
        server = await asyncio.start_server(self.connection, sock=sock, backlog=5000, ssl=tls)
        await server.serve_forever()

    async def connection(self, reader, writer):
        self.writers.add(writer)
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            is_over = False
            while not is_over:
                head = await reader.readuntil(b'\r\n\r\n')
                _, name, *numbers = head.split(b' ', 2)[1].decode().split('/')
                is_over = await getattr(self, name)(reader, writer, head, *map(int, numbers))
                await writer.drain()
        self.writers.discard(writer)

    async def gather(self, reader, writer, head, count, serial):
        """Answer with the serial number when `count` requests wait for it."""
        await self.barrier_of(count).wait()
        writer.write(answer(200, b'%d' % serial))

    async def drop(self, reader, writer, head):
        """Close all other connections at once, and answer with their number."""
        others = self.writers - {writer}
        for other in others:
            other.close()
        writer.write(answer(200, b'%d' % len(others)))

    async def last(self, reader, writer, head):
        """Answer, and close the connection without a word of it."""
        writer.write(OK)
        return True

    async def refuse(self, reader, writer, head):
        """Answer before the content comes."""
        writer.write(REFUSAL)
        await reader.read()

    async def ignore(self, reader, writer, head):
        """Answer nothing."""
        await reader.read()

    async def length(self, reader, writer, head, size):
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n' % size)
        piece = bytes(2 ** 18)
        for sent in range(0, size, len(piece)):
            writer.write(piece[:size - sent])
            await writer.drain()

    async def chunked(self, reader, writer, head, size, chunk_size):
        """Send about `size` bytes of content, in chunks of `chunk_size`."""
        writer.write(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
        count = max(1, 2 ** 18 // chunk_size)
        piece = (b'%x\r\n%b\r\n' % (chunk_size, bytes(chunk_size))) * count
        for _ in range(0, size, chunk_size * count):
            writer.write(piece)
            await writer.drain()
        writer.write(b'0\r\n\r\n')

    async def sink(self, reader, writer, head):
        """Answer with the number of bytes of content that came."""
        size = 0
        if b'chunked' in head:
            while length := int(await reader.readuntil(b'\r\n'), 16):
                size += length
                await reader.readexactly(length + 2)
            await reader.readexactly(2)
        else:
            expected = int(head.lower().split(b'content-length:')[1].split(b'\r\n')[0])
            while size < expected:
                size += len(await reader.readexactly(min(2 ** 16, expected - size)))
        writer.write(answer(200, b'%d' % size))

    async def serial(self, reader, writer, head, serial):
        """Answer with the serial number in a field and in every piece of content.

        Every tenth answer, at random, its connection ends: at a random point, orderly or by a
        reset, some with bytes of an answer that nobody asked for.
        """
        rng = random.Random(serial)
        head, body, _ = serial_answer(rng, serial)
        if rng.random() >= 0.1:
            writer.write(head + body)
            return False

        other = b''.join(serial_answer(rng, serial + 1)[:2])
        writer.write(rng.choice((
            b'',                                                    # before the response head
            head[:rng.randrange(1, len(head))],                     # inside it
            head + body[:rng.randrange(max(1, len(body)))],         # inside the body
            head + body,                                            # after the response
            head + body + other[:rng.randrange(1, len(other))],     # beyond it
        )))
        await writer.drain()
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * 0.002)           # so that it can be in use again
        if rng.random() < 0.5:
            writer.get_extra_info('socket').setsockopt(         # its close is a reset
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        return True


def serial_answer(rng, serial):
    """Return (head, body, content) of random length; the body may be the content in chunks."""
    content = b'%08d\n' % serial * rng.choice((0, 1, 2, 10, 1000))
    head = b'HTTP/1.1 200 OK\r\nx-serial: %d\r\n' % serial
    if rng.random() < 0.5:
        return head + b'content-length: %d\r\n\r\n' % len(content), content, content
    step = rng.randrange(9, 2700)
    chunks = [content[at:at + step] for at in range(0, len(content), step)] + [b'']
    body = b''.join(b'%x\r\n%b\r\n' % (len(chunk), chunk) for chunk in chunks)
    return head + b'transfer-encoding: chunked\r\n\r\n', body, content


@pytest.mark.parametrize(('count', 'tls'), [(5000, False), (200, True)], ids=['plain', 'tls'])
@in_loop
async def test_many_are_in_flight_and_then_closed_by_the_server_at_once(
        processes, load_urls, count, tls):
    if (limit := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) < 6000:
        pytest.skip(f'expected a hard limit of 6000 descriptors or more; got {limit}')
    url, descriptors = load_urls[tls], len(open_descriptors())
    async with pool(get_ssl_context=lambda: processes.client_context) as request:
        started, cpu = time.monotonic(), time.process_time()
        responses = await asyncio.gather(
            *(get(request, f'{url}gather/{count}/{n}') for n in range(count)))
        assert [int(body) for _, _, body in responses] == list(range(count))
        assert len(open_descriptors()) == descriptors + count
        print(f'{count} {"TLS " if tls else ""}requests in flight at once: each got its answer, '
              f'after {time.monotonic() - started:.1f} s and '
              f'{time.process_time() - cpu:.1f} s of CPU')

        started = time.monotonic()
        assert int((await get(request, f'{url}drop'))[2]) == count - 1
        await until(lambda: len(open_descriptors()) == descriptors + 1, 10)
        print('these idle connections closed by the server at once: '
              f'all noticed after {time.monotonic() - started:.2f} s')


@pytest.mark.parametrize('count', [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
@in_loop
async def test_no_answer_is_given_to_the_wrong_request(load_urls, count):
    serials, answered, errors = iter(range(count)), [], collections.Counter()

    async def ask(request):
        for serial in serials:
            try:
                _, headers, body = await get(request, f'{load_urls[False]}serial/{serial}')
            except Exception as error:
                errors[type(error)] += 1
            else:
                _, _, content = serial_answer(random.Random(serial), serial)
                assert (dict(headers)[b'x-serial'], body) == (b'%d' % serial, content)
                answered.append(serial)

    async with pool() as request:
        before = len(open_descriptors())
        await asyncio.gather(*(ask(request) for _ in range(50)))
        assert len(open_descriptors()) <= before + 50
    assert set(errors) <= {lowhaio.HttpConnectionError, lowhaio.HttpDataError,
                           lowhaio.HttpConnectionClosedError, lowhaio.HttpStaleConnectionError}
    assert len(answered) + errors.total() == count
    assert 0.04 * count < errors.total() < 0.10 * count
    print(f'{count} requests, every tenth answer the end of its connection: {len(answered)} right,'
          ' 0 wrong;', ', '.join(f'{number} {kind.__name__}' for kind, number in errors.items()))


@pytest.mark.parametrize('old', ['goes on', 'goes away'])
@in_loop
async def test_requests_follow_changing_records(old):
    loop, answers = asyncio.get_running_loop(), []

    async def ask():
        asked_at = loop.time()
        try:
            answers.append((asked_at, (await get(request, f'http://example.test:{new.port}/'))[2]))
        except lowhaio.HttpError as error:
            answers.append((asked_at, type(error)))

    handlers = answering(answer(200, b'old')), answering(answer(200, b'new'))
    async with Dns({'example.test': ['127.0.0.1']}, ttl=1) as dns, \
            servers(*handlers) as (former, new), \
            pool(get_dns_resolver=dns.get_resolver) as request, asyncio.TaskGroup() as asked:
        due = loop.time()
        for number in range(400):       # 200 a second, and no more to make up for a pause
            if number == 60:
                changed = loop.time()
                dns.records['example.test'] = ['127.0.0.2']
                if old == 'goes away':
                    await former.__aexit__()
            asked.create_task(ask())
            due = max(due, loop.time()) + 1 / 200
            await asyncio.sleep(due - loop.time())
        assert not former.tasks

    came = collections.Counter(answer for _, answer in answers)
    errors = came.total() - came[b'old'] - came[b'new']
    switched = max(asked_at for asked_at, answer in answers if answer != b'new') - changed
    assert came.total() == 400
    assert came.keys() - {lowhaio.HttpConnectionError, lowhaio.HttpConnectionClosedError,
                          lowhaio.HttpStaleConnectionError} == {b'old', b'new'}
    assert (errors > 0) == (old == 'goes away')
    assert -0.3 < switched < 1.3        # a time to live of 1 s
    print('records with a time to live of 1 s change under 200 requests a second, the old address '
          f'{old}: {errors} errors, all traffic at the new address after {max(switched, 0):.2f} s')


@pytest.mark.parametrize('megabytes', [64, pytest.param(1024, marks=pytest.mark.slow)])
@pytest.mark.parametrize(('framing', 'tls'), [
    ('content-length', False), ('content-length', True), ('chunked', False)])
@pytest.mark.parametrize('direction', ['up', 'down'])
def test_big_body_takes_little_memory(processes, load_urls, direction, framing, tls, megabytes):
    added, seconds, cpu = map(float, output_of(
        sys.executable, __file__, 'move', direction, framing, load_urls[tls], megabytes,
        processes.folder / 'authority.pem').split())
    print(f'{megabytes} MB {direction}, {framing}{", TLS" if tls else ""}: '
          f'{added:.2f} MB of memory added, {seconds:.2f} s, {cpu:.2f} s of CPU')
    assert added < 2


def move(direction, framing, url, megabytes, authority):
    """Print the megabytes of memory added at the peak, and the seconds taken."""
    is_chunked, piece = framing == 'chunked', 2 ** 16

    async def transfer(request, size):
        if direction == 'up':
            _, _, body = await get(request, url + 'sink', b'POST',
                                   **upload(piece, size // piece, is_chunked))
            assert int(body) == size
        else:
            path = f'chunked/{size}/{piece}' if is_chunked else f'length/{size}'
            _, _, body = await request(b'GET', url + path)
            assert sum([len(chunk) async for chunk in body]) == size

    def peak(is_reset=False):
        if is_reset:                    # to the memory that is in use now
            pathlib.Path('/proc/self/clear_refs').write_text('5')
        status = pathlib.Path('/proc/self/status').read_text()
        return int(re.search(r'^VmHWM:\s+(\d+) kB$', status, re.M)[1]) / 1024

    async def main():
        async with pool(get_ssl_context=lambda: ssl.create_default_context(cafile=authority)
                        ) as request:
            await transfer(request, 32 * MB)
            before, started, cpu = peak(is_reset=True), time.monotonic(), time.process_time()
            await transfer(request, int(megabytes) * MB)
            print(peak() - before, time.monotonic() - started, time.process_time() - cpu)

    runner_of(new_loop)(main())


# Event loops that nobody here wrote. Each runs a probe of all that lowhaio asks of a loop, in a
# process of its own. The servers have asyncio's loop in other threads. To try another one:
#
#     LOWHAIO_PROBE='import uvloop; run = uvloop.run' python test.py probe
#
# that is, statements that make `run`, a function that runs a coroutine in the loop.

PROBES = {
    'asyncio': 'run = asyncio.run',
    'uvloop': 'import uvloop; run = uvloop.run',
    'rloop': 'import rloop; run = runner_of(rloop.new_event_loop)',
    'qasync': 'import qasync; from PySide6.QtCore import QCoreApplication as Application; '
              'run = runner_of(functools.partial(qasync.QEventLoop, Application([])))',
    'gi.events': 'import gi.events; '
                 'run = runner_of(gi.events.GLibEventLoopPolicy().new_event_loop)',
}


@pytest.mark.parametrize('name', PROBES)
def test_loop_does_everything(name):
    for module in re.findall(r'^import ([\w.]+)|from ([\w.]+)', PROBES[name]):
        pytest.importorskip(''.join(module))
    variables = {'LOWHAIO_PROBE': PROBES[name], 'QT_QPA_PLATFORM': 'offscreen'}
    assert output_of(sys.executable, __file__, 'probe', **variables).endswith('all closed\n')


def runner_of(new_loop):
    """Return a function that runs a coroutine in a new loop."""
    def run(main):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)

    return run


def probe():
    """Run the probe in the loop that the environment asks for."""
    names = {'asyncio': asyncio, 'functools': functools, 'runner_of': runner_of}
    exec(os.environ['LOWHAIO_PROBE'], names)
    loads, urls = [], []
    for scheme, tls in (('http', None), ('https', tls_server())):
        sock, load = bound('127.0.0.1', 0), Load()
        sock.listen()
        threading.Thread(target=runner_of(asyncio.SelectorEventLoop),
                         args=[load.serve(sock, tls)], daemon=True).start()
        loads.append(load)
        urls.append(f'{scheme}://127.0.0.1:{sock.getsockname()[1]}/')
    names['run'](probe_client(*urls))
    asyncio.run(until(lambda: not any(load.writers for load in loads)))
    print('all closed')


async def probe_client(plain, tls):
    """Do with lowhaio all that asks something of a loop, and say what has been done."""
    async def content(path, **sent):
        return (await get(request, path, b'POST' if sent else b'GET', **sent))[2]

    with reserved('127.0.0.1') as nowhere:
        async with pool(socket_timeout=1) as request:
            for url in (plain, tls):
                for _ in range(3):
                    assert await content(f'{url}length/2') == bytes(2)
                assert await content(f'{url}sink', **upload(100_000, 100)) == b'10000000'
                assert await content(f'{url}refuse', **upload(100_000, 100)) == b'no'
                assert len(await content(f'{url}chunked/1040000/10000')) == 1_040_000
                print(url, 'reused, uploaded to, answered early, downloaded from')

            with failing(lowhaio.HttpConnectionError, 'refused'):
                await content(f'http://127.0.0.1:{nowhere}/')
            with failing(lowhaio.HttpDataError, '', TimeoutError):
                await content(f'{plain}ignore')
            task = asyncio.ensure_future(content(f'{plain}ignore'))
            await asyncio.sleep(0.1)
            await cancel(task)
            print('refused, timed out, cancelled')

            for _ in range(3):
                assert await content(f'{plain}last') == b'ok'
                await asyncio.sleep(0.05)           # the peer closes what is idle
            at_once = [content(f'{plain}length/2') for _ in range(150)]
            assert await asyncio.gather(*at_once) == [bytes(2)] * 150
        print('closed while idle, 150 at once')

        async with pool(connect_timeout=math.inf, socket_timeout=math.inf) as request:
            for url in (plain, tls):
                assert await content(f'{url}sink', **upload(100_000, 100)) == b'10000000'
        with lowhaio.timeout(asyncio.get_running_loop(), math.inf):
            await asyncio.sleep(0.01)
        print('not limited')


# The published layers, as PyPI has them.
#
# What comes over the wire is what counts: each server here notes the requests that it gets.

class Noting:
    """A handler that notes each request, and answers with `respond(method, target, fields, body)`.

    They are bytes, but for the fields: a dict, whose names are in lower case. `noted` holds a
    tuple of the four for each request. Without `respond`, it echoes bodies.
    """

    def __init__(self, respond=lambda method, target, fields, body: answer(200, body)):
        self.respond, self.noted = respond, []

    async def __call__(self, reader, writer):
        while True:
            head, body = await read_request(reader)
            self.noted.append((*parsed(head), body))
            writer.write(self.respond(*self.noted[-1]))


def parsed(head):
    """Return (method, target, fields)."""
    request_line, *lines = head[:-4].split(b'\r\n')
    method, target, _ = request_line.split(b' ')
    pairs = [line.partition(b':')[::2] for line in lines]
    return method, target, {name.lower(): value.strip() for name, value in pairs}


def answer(code, body=b'', *fields):
    """Return the bytes of a response. The fields are bytes without line ends."""
    lines = b'HTTP/1.1 %d Reason' % code, b'content-length: %d' % len(body), *fields
    return b'\r\n'.join(lines) + b'\r\n\r\n' + body


ACCESS_KEY, SECRET_KEY = 'AKIAEXAMPLE', 'c2VjcmV0'


class Store(Noting):
    """A store of `objects` that refuses what is not signed as S3 wants it.

    The signature is made again from what came over the wire, by botocore. S3 decodes the path,
    reads a bare + in it as a space, and then encodes all but the unreserved characters and the
    slash.
    """

    def __init__(self):
        super().__init__(self.answer_signed)
        self.objects = {}

    def answer_signed(self, method, target, fields, body):
        raw_path, _, raw_query = target.decode('ascii').partition('?')
        key = urllib.parse.unquote(raw_path.replace('+', ' '))
        pairs = urllib.parse.parse_qsl(raw_query, keep_blank_values=True)
        query = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)
        problem = s3_refusal(method, urllib.parse.quote(key, safe='/-_.~'), query, fields, body)
        if problem:
            return answer(403, problem.encode())
        if method == b'PUT':
            self.objects[key] = body
            return answer(200)
        return answer(200, self.objects[key]) if key in self.objects else answer(404)


def s3_refusal(method, path, query, fields, body):
    """Return what is wrong with a signed request, or None."""
    match = re.fullmatch(r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?'
                         r'SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})',
                         fields.get(b'authorization', b'').decode())
    if not match or match[1] != ACCESS_KEY:
        return 'not signed'

    names = match[4].split(';')
    sent_hash = fields.get(b'x-amz-content-sha256', b'').decode()
    if sent_hash not in ('UNSIGNED-PAYLOAD', hashlib.sha256(body).hexdigest()):
        return 'another body'

    signed = botocore.awsrequest.AWSRequest(
        method.decode(), f'http://{fields[b"host"].decode()}{path}?{query}',
        headers={name: fields[name.encode()].decode() for name in names})
    signed.context['timestamp'] = fields[b'x-amz-date'].decode()
    signer = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY), 's3', match[3])
    text = signer.string_to_sign(signed, signer.canonical_request(signed))
    return None if signer.signature(text, signed) == match[5] else 'wrong signature'


# URLs, the class of the error and what it says
PORT_REFUSED = 'http://127.0.0.1:{refusing}/', lowhaio.HttpConnectionError, 'ConnectionRefused'
NO_NAME = 'http://example.test/', lowhaio.HttpDnsError, 'example.test'
NO_HTTP = 'ftp://a.test/', lowhaio.HttpConnectionError, 'request refused'
CUT_OFF = '{server.url}', lowhaio.HttpConnectionClosedError, 'expected a response'

# What is repeated, and after how many seconds each time
CONNECTION_ERRORS = lowhaio.HttpConnectionError, (0, 0)
DATA_ERRORS = lowhaio.HttpDataError, (0, 0, 0)


@table('failure, intervals, tries', [
    ('a refused connection is a connection error', PORT_REFUSED, (CONNECTION_ERRORS,), 3),
    ('a refused connection is no data error', PORT_REFUSED, (DATA_ERRORS,), 1),
    ('a name without addresses is a connection error', NO_NAME, (CONNECTION_ERRORS,), 3),
    ('what is refused as invalid is a connection error', NO_HTTP, (CONNECTION_ERRORS,), 3),
    ('a response cut off is a data error', CUT_OFF, (DATA_ERRORS,), 4),
    ('a response cut off is no connection error', CUT_OFF, (CONNECTION_ERRORS,), 1),
    ('each class has its own number of tries', CUT_OFF, (CONNECTION_ERRORS, DATA_ERRORS), 4),
    ('no request goes to a server twice unless its class is listed', CUT_OFF, (), 1)])
@served(answering(b'', then='close'), records={'example.test': 3})
async def test_retry_layer_goes_by_the_error_classes(request, server, failure, intervals, tries):
    async def counted(*args, **kwargs):
        tried.append(args)
        return await request(*args, **kwargs)

    tried, (url, error, text) = [], failure
    with reserved('127.0.0.1') as refusing, failing(error, text):
        await get(lowhaio_retry.retry(counted, exception_intervals=intervals),
                  url.format(refusing=refusing, server=server))
    assert len(tried) == tries


@contextlib.asynccontextmanager
async def redirecting(code, location):
    """Yield (server, layered request): `/from` is answered with this code and location.

    A location may say {url}, the server's own, or {other}: the server by another name.
    """
    def respond(method, target, fields, body):
        if not target.startswith(b'/from'):
            return answer(200, b'' if method == b'HEAD' else b'there')
        there = location.format(url=server.url[:-1], other=f'http://other.test:{server.port}')
        content = b'' if method == b'HEAD' else b'not here'
        return answer(code, content, b'location: ' + there.encode())

    async with Server(Noting(respond)) as server, Dns({'other.test': ['127.0.0.1']}) as dns, \
            pool(get_dns_resolver=dns.get_resolver) as request:
        yield server, lowhaio_redirect.redirectable(request)


@pytest.mark.parametrize(('code', 'method', 'method_then', 'body_then'), [
    (301, b'GET', b'GET', b''), (302, b'GET', b'GET', b''), (303, b'GET', b'GET', b''),
    (307, b'GET', b'GET', b''), (308, b'GET', b'GET', b''),
    (301, b'HEAD', b'HEAD', b''), (303, b'HEAD', b'HEAD', b''), (308, b'HEAD', b'HEAD', b''),
    (301, b'POST', b'GET', b''), (302, b'POST', b'GET', b''), (303, b'POST', b'GET', b''),
    (307, b'POST', b'POST', b'data'), (308, b'POST', b'POST', b'data'),
    (301, b'PUT', b'PUT', b'data'), (303, b'PUT', b'GET', b''), (307, b'PUT', b'PUT', b'data')])
@in_loop
async def test_redirect_layer_follows_each_code(code, method, method_then, body_then):
    body = {'body': lowhaio.streamed(b'data'), 'headers': ((b'content-length', b'4'),)}
    async with redirecting(code, '/to') as (server, request):
        code, _, content = await get(
            request, server.url + 'from', method, **body if method in (b'POST', b'PUT') else {})
        assert (code, content) == (b'200', b'' if method == b'HEAD' else b'there')
        first, second = server.handler.noted
        assert first[:2] == (method, b'/from')
        assert (*second[:2], second[3]) == (method_then, b'/to', body_then)
        assert server.connections == 1


@table('location, target', [
    ('an absolute path', '/a/b', b'/a/b'),
    ('a whole URL', '{url}/a/b', b'/a/b'),
    ('a query', '/a?x=1&y=2', b'/a?x=1&y=2'),
    ('escapes in the path stay as they are', '{url}/a%2Fb%20c%2B%C3%A9', b'/a%2Fb%20c%2B%C3%A9'),
    ('escapes in the query stay as they are', '/a?x=%26%20+%2b', b'/a?x=%26%20+%2b'),
    ('an escape of lower case', '/a%c3%a9', b'/a%c3%a9'),
    ('a space that should have been an escape', '/a b', b'/a%20b'),
    ('a fragment is not sent', '/a#there', b'/a'),
    ('another host', '{other}/to', b'/to'),
    # And not to that of the request (RFC 3986 5.2): docs/layers.md says so
    ('a relative path is relative to the root', 'next', b'/next')])
@in_loop
async def test_redirect_layer_follows_each_form_of_location(location, target):
    """It gives authorization to its host alone."""
    headers = (b'Authorization', b'Bearer secret'), (b'accept', b'*/*')
    async with redirecting(302, location) as (server, request):
        assert (await get(request, server.url + 'from/here', headers=headers))[2] == b'there'
        (_, here, first, _), (_, there, second, _) = server.handler.noted
        assert (here, there) == (b'/from/here', target)
        assert (first[b'authorization'], second[b'accept']) == (b'Bearer secret', b'*/*')
        assert second.get(b'authorization') == (None if 'other' in location else b'Bearer secret')


@in_loop
async def test_redirect_layer_keeps_to_a_query_in_the_url_but_repeats_params():
    """So docs/layers.md says that a query that is not to be repeated stands in the URL."""
    async with redirecting(302, '/to?y=2') as (server, request):
        await get(request, server.url + 'from?x=1')
        await get(request, server.url + 'from', params=(('x', '1'),))
        assert [noted[1] for noted in server.handler.noted] == [
            b'/from?x=1', b'/to?y=2', b'/from?x=1', b'/to?y=2&x=1']


@table('location, kwargs, error, asked', [
    ('a location beyond ASCII', 'location: /é', {}, UnicodeDecodeError, 1),
    ('no location', 'x: y', {}, KeyError, 1),
    ('a twentieth location', 'location: /', {}, lowhaio_redirect.HttpTooManyRedirects, 20),
    ('get_logger_adapter', 'location: /',
     {'get_logger_adapter': lowhaio.get_logger_adapter_default}, TypeError, 0)])
@in_loop
async def test_redirect_layer_does_not_take(location, kwargs, error, asked):
    handler = Noting(lambda *_: answer(302, b'', location.encode()))
    async with Server(handler) as server, pool() as request:
        with pytest.raises(error):
            await get(lowhaio_redirect.redirectable(request), server.url, **kwargs)
    assert (len(handler.noted), server.connections) == (asked, min(asked, 1))


async def post_chunked(request, url, *chunks):
    """Post a body that the layer frames."""
    return await get(request, url, b'POST', headers=((b'transfer-encoding', b'chunked'),),
                     body=lowhaio_chunked.chunked(Chunks), body_args=chunks)


@pytest.mark.parametrize('tls', [False, True])
@served(Noting)
async def test_chunked_layer_uploads_what_has_no_known_length(request, server, tls):
    chunks = [b'a', b'bc' * 40_000, bytes(range(256)), b'\r\n0\r\n\r\n']
    for _ in range(2):
        code, _, body = await post_chunked(request, server.url, *chunks)
        assert (code, body) == (b'200', b''.join(chunks))
    assert b'content-length' not in server.handler.noted[0][2]
    assert server.connections == 1
    with failing(lowhaio.HttpDataError, 'expected bytes of .*; got TypeError', TypeError):
        await post_chunked(request, server.url, 5)


@served(Receiving)
async def test_empty_chunk_in_the_chunked_layer_does_not_end_the_message(request, server):
    """The layer frames it like the last one, and the rest would be another request."""
    with failing(lowhaio.HttpDataError, 'expected no empty piece .* by its transfer-encoding; '
                 'got one.*lowhaio-chunked'):
        await post_chunked(request, server.url, b'a', b'', b'GET /evil HTTP/1.1\r\n\r\n')
    await until(lambda: server.handler.received.endswith(b'\r\n\r\n1\r\na\r\n0\r\n'))


@served(answering(OK, b'', then='close'))
async def test_retrying_stale_connections_loses_no_request(request, server):
    """Each connection is closed when its second request comes, as by a server that is idle."""
    retrying = lowhaio_retry.retry(request, ((lowhaio.HttpStaleConnectionError, (0,)),))
    for _ in range(100):
        assert (await get(retrying, server.url))[2] == b'ok'
    assert server.connections == 100


by_each_signing_layer = pytest.mark.parametrize(
    'layer', [lowhaio_aws_sigv4, lowhaio_aws_sigv4_unsigned_payload],
    ids=lambda layer: layer.__name__)


def signing(layer, request, access_key=ACCESS_KEY, secret_key=SECRET_KEY, more_headers=()):
    """Return the request that the layer signs."""
    async def credentials():
        return access_key, secret_key, more_headers

    return layer.signed(request, credentials=credentials, service='s3', region='eu-west-1')


async def put(request, layer, url, data):
    """Put an object. The layer that signs the payload adds the content-length by itself."""
    length = () if layer is lowhaio_aws_sigv4 else ((b'content-length', b'%d' % len(data)),)
    return await get(request, url, b'PUT', body=lowhaio.streamed(data), headers=length)


@by_each_signing_layer
def test_every_key_holds_before_a_verifier_that_takes_the_path_as_sent(processes, layer):
    """D1, D2. moto checks what it is sent, on a port that is not the scheme's own."""
    pytest.importorskip('moto', reason='its dependencies do not install on the newest Python')
    url, file = processes.url('moto') + 'bucket', processes.folder / 'credentials.json'

    @in_loop
    async def test():
        await until(file.exists, 30)
        access_key, secret_key = json.loads(file.read_text())
        async with pool() as request:
            signed = signing(layer, request, access_key, secret_key)
            wrong = signing(layer, request, access_key, 'wrong')
            for key in ('k(1)', 'a b', 'c++', 'a%41b', "!$&'()*,;:=@", 'ü'):
                assert (await put(signed, layer, f'{url}/{key}', key.encode()))[0] == b'200'
                assert (await get(signed, f'{url}/{key}'))[2] == key.encode()
                assert (await get(wrong, f'{url}/{key}'))[0] == b'403'
            params = (('list-type', '2'), ('prefix', 'a b'))
            assert b'<Key>a b</Key>' in (await get(signed, url, params=params))[2]

    test()


@table('key', [
    ('letters', 'folder/key'), ('nothing at all', ''), ('a space', 'a b'), ('a plus', 'a+b'),
    ('a colon', '12:30'), ('beyond ASCII', 'naïve/日本'), ('beyond the first plane', '🗝'),
    ('all that a path may hold', "~!$&'()*,;=@-._"), ('a percent sign', '100%'),
    ('what a path may not hold', '"<>[]^`{|}\\'), ('slashes', 'a//b/'), ('dots', 'a/../b'),
    # D2. So keys are given to the layers as they are, whatever is in them
    ('an escape that means its three characters', 'a%20b')])
@by_each_signing_layer
@served(Store)
async def test_signing_layers_put_and_get_any_key(request, server, layer, key):
    signed = signing(layer, request)
    assert (await put(signed, layer, server.url + key, b'data'))[::2] == (b'200', b'')
    assert server.handler.objects == {'/' + key: b'data'}
    assert (await get(signed, server.url + key))[::2] == (b'200', b'data')
    assert server.connections == 1


@by_each_signing_layer
@served(Store, tls=True)
async def test_signing_layers_sign_params_and_more_headers(request, server, layer):
    server.handler.objects['/'] = b'list'
    signed = signing(layer, request, more_headers=((b'x-amz-security-token', b'token'),))
    assert (await get(signed, server.url, headers=((b'Range', b'bytes=0-'),), params=(
        ('prefix', 'a b+c:é/~'), ('list-type', '2'), ('delimiter', ''))))[2] == b'list'
    fields = server.handler.noted[0][2]
    assert (fields[b'x-amz-security-token'], fields[b'range']) == (b'token', b'bytes=0-')
    assert fields[b'host'] == b'127.0.0.1'


@by_each_signing_layer
@served(Store)
async def test_wrong_signatures_are_refused_by_the_store_of_these_tests(request, server, layer):
    def altered(**arguments):
        """Return a request that gets these arguments once it is signed."""
        async def altered_request(method, url, **kwargs):
            return await request(method, **{'url': url} | kwargs | arguments)

        return signing(layer, altered_request)

    for asked, refusal in (
            (request, b'not signed'),
            (signing(layer, request, secret_key='another'), b'wrong signature'),
            (altered(url=server.url + 'another'), b'wrong signature'),
            # What is given as the host is not what is signed
            (functools.partial(signing(layer, request), headers=((b'host', b'a'),)),
             b'wrong signature')):
        assert (await get(asked, server.url + 'key'))[2] == refusal
    if layer is lowhaio_aws_sigv4:
        asked = altered(body=lowhaio.streamed(b'DATA'))
        assert (await put(asked, layer, server.url + 'key', b'data'))[2] == b'another body'


@table('kwargs, error', [
    ('a list of headers', {'headers': [(b'a', b'b')]}, TypeError),
    ('a dict of params', {'params': {'a': 'b'}}, ValueError),
    ('params that are no str', {'params': (('a', 1),)}, TypeError),
    ('get_logger_adapter', {'get_logger_adapter': lowhaio.get_logger_adapter_default}, TypeError)])
@by_each_signing_layer
@served(Store)
async def test_signing_layers_do_not_take(request, server, layer, kwargs, error):
    with pytest.raises(error):
        await get(signing(layer, request), server.url + 'key', **kwargs)


@served(Store)
async def test_signing_layer_that_reads_the_body_does_not_take_its_length(request, server):
    with failing(lowhaio.HttpConnectionError, 'content-length as one number', ValueError):
        await put(signing(lowhaio_aws_sigv4, request), None, server.url + 'key', b'data')


@by_each_signing_layer
@served(Store)
async def test_layers_stack_signed_over_redirecting_over_retrying(request, stored, layer):
    """Its host fails at first, and then sends on to another port, where what is signed holds."""
    async def moved(reader, writer):
        if server.connections == 1:
            await read_request(reader)      # and close the connection
        else:
            await answering(answer(307, b'not here', location))(reader, writer)

    location = b'location: %ba-b' % stored.url.encode()
    layered = signing(layer, lowhaio_redirect.redirectable(
        lowhaio_retry.retry(request, (DATA_ERRORS,))))
    async with Server(moved) as server:
        url = server.url + 'a-b'
        assert (await put(layered, layer, url, b'data'))[0] == b'200'
        assert stored.handler.objects == {'/a-b': b'data'}
        assert (await get(layered, url))[::2] == (b'200', b'data')
        assert (server.connections, stored.connections) == (2, 1)


@by_each_signing_layer
@served(Store, records={'other.test': ['127.0.0.1']})
async def test_layers_stack_redirecting_over_signed(request, stored, layer):
    """Each location is signed afresh, so it may be another path at another host."""
    stored.handler.objects['/there'] = b'data'
    location = b'location: http://other.test:%d/there' % stored.port
    async with Server(answering(answer(302, b'', location))) as server:
        layered = lowhaio_redirect.redirectable(signing(layer, request))
        assert (await get(layered, server.url + 'here'))[2] == b'data'
        assert stored.handler.noted[0][2][b'host'] == b'other.test'


# The examples of the README and the recipes.
#
# Each block is run in a process of its own. There, www.example.com and its ports lead to the
# servers here: by the hooks of Pool that the program leaves as they are, and else by what its own
# hook calls.

EXAMPLES_IN = [FOLDER / 'README.md', FOLDER / 'docs' / 'recipes.md']

# What drives an application, behind its block: sends a request without a body, and a chunked one
WITH_UVICORN = """
import http.client, threading
import uvicorn

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level='warning', ws='none'))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    assert thread.is_alive()
connection = http.client.HTTPConnection(*server.servers[0].sockets[0].getsockname())
try:
    for method, path, body in (
            ('GET', '/', None), ('GET', '/a%20b?c=d', None), ('PUT', '/', b'known'),
            ('POST', '/', iter([b'un', b'known']))):
        connection.request(method, path, body, {'connection': 'x-of-one', 'x-of-one': '1'})
        response = connection.getresponse()
        print(method, path, response.status, response.read(), response.headers['x-asked'])
finally:
    server.should_exit = True
    thread.join()
connection.close()
"""

HELLO = "b'200' b'Hello'"

# A part of what each example has to print, in the order of their headings, all of which are here,
# and what has to stand behind it so that it does anything.
EXAMPLES = [
    ('lowhaio', "b'Hello'"),
    ('Bodies', "b'200' b'some bytes'"), ('Bodies', "b'line 0\\nline 1\\nline 2\\n'"),
    ('TLS', HELLO), ('Errors', HELLO), ('Recipes', ''),
    ('POST JSON', "b'200' {'name': 'value'}"),
    ('POST a form', "b'200' b'name=Ada&age=36'"),
    ('POST a form with files', 'filename="ada.png"\\r\\nContent-Type: image/png\\r\\n'),
    ('Upload a file', "b'200' 300000"),
    ('Upload what has no known length', 'upload.bin'),
    ('Download to a file, with a progress bar', "b'200'"),
    ('Read lines and event streams', "{'number': 0}\n{'number': 1}\n{'number': 2}\n"),
    ('Many requests at once, with a limit', '50'),
    ('A time limit for a whole request', 'took too long'),
    ('Retries', "b'200' b'busy no more'"),
    ('The published layers, stacked', "b'200' b'some bytes'"),
    ('A bearer token', "b'200' b'Bearer secret'"),
    ('Basic authentication', "b'200' b'Basic dXNlcjpwYXNzd29yZA=='"),
    ('A base URL', "b'200' b'/shop/basket without a cookie'"),
    ('Cookies', "b'200' b'/shop/login without a cookie'\nb'200' b'/shop/basket id=1'\n"),
    ('gzip', "b'200' b'Hello from gzip'"),
    ('A pool as a context manager', HELLO),
    ('Start-up and shut-down of an application', "GET / 200 b'Hello' None\n", WITH_UVICORN),
    ('A reverse proxy', "GET / 200 b'Hello' GET / HTTP/1.1\n"
                        "GET /a%20b?c=d 200 b'Hello' GET /a%20b?c=d HTTP/1.1\n"
                        "PUT / 200 b'known' PUT / HTTP/1.1\n"
                        "POST / 200 b'unknown' POST / HTTP/1.1\n", WITH_UVICORN),
    ('A fake request in a test', 'passed', "\ntest_name_of()\nprint('passed')\n"),
    ('Logging', HELLO), ('uvloop', HELLO), ('Fixed addresses', HELLO),
    ('The resolver of the system', HELLO), ('A slow name server', HELLO),
    ('TCP keepalive and a source address', HELLO),
    ('A Unix socket', "b'200' b'Hello from docker'"),
    ('Another protocol, after a 101', "b'HELLO\\n'"),
]

EXAMPLE_SETTING = """
import functools, runpy, socket, sys
import aiodnsresolver, certifi, lowhaio

dns_port, http_port, https_port = map(int, sys.argv[2:5])

class Socket(socket.socket):
    def connect(self, address):
        super().connect((address[0], {80: http_port, 443: https_port}[address[1]]))

def get_sock(family=socket.AF_INET):
    sock = Socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock

async def get_nameservers(_, __):
    yield 2, ('127.0.0.1', dns_port)

def getaddrinfo(host, *args, **kwargs):
    if host != 'www.example.com':
        return theirs(host, *args, **kwargs)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', ('127.0.0.1', 0))]

theirs, socket.getaddrinfo = socket.getaddrinfo, getaddrinfo
certifi.where = lambda: 'authority.pem'
lowhaio.get_nonblocking_sock = get_sock
lowhaio.Pool = functools.partial(
    lowhaio.Pool, get_sock=get_sock, get_dns_resolver=functools.partial(
        aiodnsresolver.Resolver, get_nameservers=get_nameservers))
runpy.run_path(sys.argv[1], run_name='__main__')
"""


def examples():
    """Return pairs (heading, program). A block that awaits outside of functions gets a main."""
    heading, blocks = None, []
    text = '\n'.join(path.read_text('utf-8') for path in EXAMPLES_IN)
    for found, block in re.findall(r'^#+ (.*)$|^```python\n((?:.*\n)*?)```$', text, re.M):
        heading = found or heading
        if block:
            blocks.append((heading, block))
    around, = [block for heading, block in blocks if heading == 'Recipes']
    return [(heading, with_main(block, around)) for heading, block in blocks]


def with_main(block, around):
    """Return the block, put into `around` as it says there if it awaits outside of functions."""
    with contextlib.suppress(SyntaxError):      # else it awaits outside of functions
        compile(block, 'block', 'exec')
        return block

    definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    rest = [part for part in ast.parse(block).body if not isinstance(part, definitions)]
    lines, begin = block.splitlines(), rest[0].lineno - 1
    own = [part for part in rest if ast.unparse(part).startswith('request, close = Pool(')]
    end = own[0].end_lineno if own else begin
    if own:
        around = around.replace('    request, close = Pool()\n', indented(lines[begin:end], 4))
    around = around.replace('        ...\n', indented(lines[end:], 8))
    head, main = around.split('async def main()')
    return head + '\n'.join(lines[:begin]) + '\n\n\nasync def main()' + main


def indented(lines, width):
    return textwrap.indent('\n'.join(lines) + '\n', ' ' * width)


async def www_example_com(reader, writer):
    """Echo bodies. Else say hello, as the path and the header section ask for it."""
    busy = [answer(503, b'busy', b'retry-after: 0'), answer(200, b'busy no more')]
    while True:
        head, body = await read_request(reader)
        method, target, fields = parsed(head)
        assert b'x-of-one' not in head
        match target:
            case b'/slow':
                await reader.read()
            case b'/large.bin':
                writer.write(answer(200, bytes(300_000)))
            case b'/events':
                writer.write(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
                for part in (b': begin\r', b'\ndata: {"num', b'ber": 0}\n\ndata: {"number": 1}\n',
                             b'data: {"number": 2}'):
                    writer.write(b'%x\r\n%b\r\n' % (len(part), part))
                    await asyncio.sleep(0.01)
                writer.write(b'0\r\n\r\n')
            case b'/busy':
                writer.write(busy.pop(0))
            case b'/chat':
                writer.write(b'HTTP/1.1 101 Switching Protocols\r\n\r\n')
                writer.write((await reader.readline()).upper())
                return
            case b'/private':
                writer.write(answer(200, fields[b'authorization']))
            case b'/shop/login' | b'/shop/basket':
                cookie = fields.get(b'cookie', b'without a cookie')
                writer.write(answer(200, target + b' ' + cookie,
                                    b'set-cookie: id=1; path=/shop; secure; httponly\r\n'
                                    b'set-cookie: other=2; path=/other'))
            case _ if fields.get(b'accept-encoding') == b'gzip':
                writer.write(answer(
                    200, gzip.compress(b'Hello from gzip') + bytes(9), b'content-encoding: gzip'))
            case _ if fields[b'host'] == b'docker':
                writer.write(answer(200, b'Hello from docker'))
            case _:
                writer.write(answer(200, body if method in (b'POST', b'PUT') else b'Hello',
                                    b'x-asked: ' + head.partition(b'\r\n')[0]))


@table('number, printed, behind', [
    (heading, number, printed, ''.join(behind))
    for number, (heading, printed, *behind) in enumerate(EXAMPLES)])
@in_loop
async def test_examples_run(number, printed, behind, tmp_path):
    program = examples()[number][1] + behind
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('www.example.com').configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / 'authority.pem')
    (tmp_path / 'upload.bin').write_bytes(bytes(300_000))
    async with Server(www_example_com) as http, Server(www_example_com, tls=tls) as https, \
            Dns({'www.example.com': ['127.0.0.1']}) as dns, \
            listening_at(tmp_path / 'docker.sock', www_example_com):
        for theirs, ours in (('/var/run/docker.sock', 'docker.sock'), ('192.0.2.10', '127.0.0.1'),
                             ("('192.0.2.53', 53)", f"('127.0.0.1', {dns.port})")):
            program = program.replace(theirs, ours)
        (tmp_path / 'example.py').write_text(program, 'utf-8')
        status, stdout, stderr = await asyncio.to_thread(
            run, sys.executable, '-W', 'error',
            '-W', 'ignore:datetime.datetime.utcnow:DeprecationWarning',     # of the signing layers
            '-c', EXAMPLE_SETTING, 'example.py', dns.port, http.port, https.port, folder=tmp_path,
            SSL_CERT_FILE='authority.pem', AWS_ACCESS_KEY_ID=ACCESS_KEY,
            AWS_SECRET_ACCESS_KEY=SECRET_KEY, PYTHONPATH=str(FOLDER))

    assert status == 0, stderr
    assert 'Warning' not in stderr
    assert 'Exception ignored' not in stderr
    assert printed in stdout
    if 'large.bin' in program:
        assert (tmp_path / 'large.bin').read_bytes() == bytes(300_000)
        assert '100%' in stderr
    if 'logging.DEBUG' in program:
        assert ' lowhaio [http:GET,https://www.example.com/] Connected' in stderr
        assert ' aiodnsresolver [http:GET,https://www.example.com/] [dns:' in stderr


@contextlib.asynccontextmanager
async def listening_at(path, handler):
    """Serve on a Unix socket, from within its folder, since the whole path may be too long."""
    sock = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(path.parent):
        sock.bind(path.name)
    server = Server(handler)
    async with await asyncio.start_unix_server(server.serve, sock=sock):
        yield
        await server.stop()


def defined_in(heading):
    """Return what the definitions of an example define, which has an address of this machine."""
    namespace, program = {'__name__': 'example'}, dict(examples())[heading]
    exec(program.replace('asyncio.run(main())', '').replace('192.0.2.10', '127.0.0.1'), namespace)
    return namespace


@in_loop
async def test_gzip_layer_of_the_recipes_decodes_whatever_is_gzip():
    gunzip = defined_in('gzip')['gunzip']
    one, two = gzip.compress(b'one'), gzip.compress(b'two')
    for chunks, decoded in (
            ([], b''), ([one], b'one'), ([one + two], b'onetwo'), ([one + bytes(9)], b'one'),
            ([bytes([byte]) for byte in one + two + bytes(2)], b'onetwo')):
        assert await lowhaio.buffered(gunzip(Chunks(*chunks))) == decoded
    for chunks, text in (
            ([one[:-1]], 'all of the gzip stream'), ([one, two[:3]], 'all of the gzip stream'),
            ([b'junk'], 'gzip; got Error -3'), ([one, b'junk'], 'gzip; got Error -3')):
        with failing(lowhaio.HttpDataError, f'expected {text}'):
            await lowhaio.buffered(gunzip(Chunks(*chunks)))


@in_loop
async def test_lines_of_the_recipes_are_those_of_the_body():
    lines_of = defined_in('Read lines and event streams')['lines_of']
    for data in (b'', b'\n', b'a', b'a\n', b'a\r\n\r\nb', b'\n\na\rb\r\n'):
        lines = [line.removesuffix(b'\r') for line in data.split(b'\n')]
        lines = lines if lines[-1] else lines[:-1]
        for chunks in ([data], [bytes([byte]) for byte in data]):
            assert [line async for line in lines_of(Chunks(*chunks))] == lines


@in_loop
async def test_retries_of_the_recipes_repeat_what_may_work():
    async def request():
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    retrying = defined_in('Retries')['retried'](request, delays=(0, 0))
    refused = lowhaio.HttpConnectionError('refused')
    refused.__cause__ = ValueError()
    stale = lowhaio.HttpStaleConnectionError('stale')
    ok = (b'200', (), lowhaio.streamed(b'ok')())
    busy = (b'429', ((b'retry-after', b'0'),), lowhaio.streamed(b'busy')())

    for outcomes in ([ok], [stale, ok], [busy, stale, ok]):
        assert await retrying() == ok
        assert outcomes == []
    for outcomes in ([refused, ok], [stale, stale, stale, ok]):
        with failing(type(outcomes[0]), str(outcomes[0])):
            await retrying()
        assert outcomes == [ok]


def test_socket_of_the_recipes_is_kept_alive():
    with defined_in('TCP keepalive and a source address')['get_sock']() as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockname()[0] == '127.0.0.1'


def test_every_example_is_run():
    assert [heading for heading, _ in examples()] == [heading for heading, *_ in EXAMPLES]


# Types.
#
# Right uses and, where an error is ignored, wrong ones: what need not be ignored is an error too.
TYPED = """# pyright: strict
import asyncio
import logging
import socket
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Callable
from typing import Any, assert_type

import lowhaio

Fields = tuple[tuple[bytes, bytes], ...]

def get_resolver(get_logger_adapter: Callable[[dict[str, Any]], Any]) -> Any:
    return get_logger_adapter({})

def get_sock(family: int = socket.AF_INET) -> socket.socket:
    return lowhaio.get_nonblocking_sock(family)

def get_logger_adapter(extra: dict[str, str]) -> lowhaio.HttpLoggerAdapter:
    return lowhaio.HttpLoggerAdapter(logging.getLogger('mine'), extra)

async def send_header(
        logger: object, loop: asyncio.AbstractEventLoop, sock: socket.socket,
        socket_timeout: float, http_version: bytes, method: bytes,
        parsed_url: urllib.parse.SplitResult, params: Any, headers: Fields) -> None:
    await lowhaio.send_all(loop, sock, socket_timeout, bytearray(b'GET / HTTP/1.1'))

async def chunks(first: bytes, second: bytes) -> AsyncIterator[bytes | memoryview]:
    yield first
    yield memoryview(second)

async def main() -> None:
    request, close = lowhaio.Pool(
        get_dns_resolver=get_resolver, get_sock=get_sock,
        get_ssl_context=ssl.create_default_context,
        sock_pre_message=lowhaio.set_tcp_cork, sock_post_message=lowhaio.unset_tcp_cork,
        send_header=send_header, send_body=lowhaio.send_body_async_gen_bytes,
        http_version=b'HTTP/1.0', keep_alive_timeout=0.5, get_logger_adapter=get_logger_adapter)
    lowhaio.Pool(http_version=b'HTTP/2')  # type: ignore[arg-type]
    lowhaio.Pool(get_sock=lambda: 1)  # type: ignore
    lowhaio.Pool(send_header=chunks)  # type: ignore[arg-type]
    lowhaio.Pool(get_dns_resolver=get_sock)  # type: ignore
    lowhaio.Pool(get_ssl_context=get_sock)  # type: ignore
    lowhaio.Pool(sock_pre_message=kind)  # type: ignore
    lowhaio.Pool(sock_post_message=kind)  # type: ignore
    lowhaio.Pool(send_body=send_header)  # type: ignore
    lowhaio.Pool(get_logger_adapter=kind)  # type: ignore
    lowhaio.Pool(get_resolver_logger_adapter=kind)  # type: ignore
    lowhaio.Pool(unknown=1)  # type: ignore[call-arg]

    task = asyncio.create_task(request(b'GET', 'http://a/', {'a': [1, 2]}, [(b'a', b'b')]))
    code, headers, body = await task
    assert_type((code, headers, body), tuple[bytes, Fields, 'lowhaio.ResponseBody'])
    async for chunk in body:
        assert_type(chunk, bytes)
    await body.aclose()
    assert_type(await lowhaio.buffered(body), bytes)

    await request(b'PUT', 'http://a/', body=chunks, body_args=(b'a',), body_kwargs={'b': b'b'})
    await request(b'PUT', 'http://a/', params=(('a', 1),), body=lowhaio.streamed(bytearray()))
    await request(b'PUT', 'http://a/', body=lowhaio.empty_async_iterator, body_kwargs=())
    await request('GET', 'http://a/')  # type: ignore[arg-type]
    await request(b'GET', b'http://a/')  # type: ignore[arg-type]
    await request(b'GET', 'http://a/', headers=(('a', 'b'),))  # type: ignore[arg-type]
    await request(b'GET', 'http://a/', body=b'bytes')  # type: ignore[arg-type]
    await request(b'GET', 'http://a/', body=chunks(b'', b''))  # type: ignore[arg-type]
    await request(b'GET', 'http://a/', body=lowhaio.streamed('text'))  # type: ignore[arg-type]

    with lowhaio.timeout(asyncio.get_running_loop(), 1.5) as reset:
        reset()
    await close(get_logger_adapter)
    await close(kind)  # type: ignore

def kind(error: lowhaio.HttpError) -> str:
    if isinstance(error, (lowhaio.HttpDnsError, lowhaio.HttpTlsError)):
        assert_type(error, lowhaio.HttpDnsError | lowhaio.HttpTlsError)
        _: lowhaio.HttpConnectionError = error
    if isinstance(error, (lowhaio.HttpConnectionClosedError, lowhaio.HttpHeaderTooLong)):
        __: lowhaio.HttpDataError = error
    return str(error)
"""


def write_typed(folder):
    """Write TYPED and each example to a file. Return the paths."""
    for number, (_, program) in enumerate([('TYPED', TYPED), *examples()]):
        (folder / f'typed_{number}.py').write_text(program, 'utf-8')
    return folder.glob('*.py')


def test_types_are_those_of_the_module(tmp_path):
    # What they are, the stubs say: at run time, they are names of something much like it
    names = tmp_path / 'names'
    names.write_text('lowhaio.(Close|Request).__class_getitem__\nlowhaio.ResponseBody.*\n')
    output_of(sys.executable, '-m', 'mypy.stubtest', 'lowhaio', '--allowlist', names)


def test_mypy_knows_all_types(tmp_path):
    output_of(sys.executable, '-m', 'mypy', f'--cache-dir={tmp_path}', *write_typed(tmp_path))


@pytest.mark.skipif(not shutil.which('pyright'), reason='it takes: npm install -g pyright')
def test_pyright_knows_all_types(tmp_path):
    write_typed(tmp_path)
    shutil.copytree(FOLDER / 'lowhaio-stubs', tmp_path / 'typings' / 'lowhaio')
    (tmp_path / 'pyrightconfig.json').write_text(json.dumps({
        'include': ['.'], 'reportMissingModuleSource': False,
        'reportUnnecessaryTypeIgnoreComment': True}))
    output_of(shutil.which('pyright'), '-p', tmp_path, '--pythonpath', sys.executable)


# example.py, as it is run.

def run_example(*arguments, **settings):
    return run(sys.executable, '-W', 'error', 'example.py', *arguments, seconds=60, **settings)


def test_example_shows_off():
    status, output, errors = run_example()
    assert (status, errors) == (0, '')
    assert 'Roses are red\nViolets are blue\n' in output
    assert 'transfer-encoding: chunked\none\ntwo\nthree\n' in output
    assert 'The second request reused the connection of the first: True\n' in output
    assert '\n200 MB in ' in output

    assert 'PUT 413\n' in output
    sent, = re.findall('The answer came when ([0-9.]+) of 1000 MB were sent', output)
    assert float(sent) < 100        # what the buffers of the two sockets take

    before, after = output.split('Now www.example.com has another A record')
    assert before.count('GET 200 from blue\n') == 3
    assert after.count('GET 200 from blue\n') + after.count('GET 200 from green\n') == 5
    assert after.endswith('GET 200 from green\n')


@table('arguments, outcome', [
    ('quietly when nobody reads on', '-u example.py | head -n 1', (0, 'POST 200\n', '')),
    ('in one line when its output cannot be written', 'example.py > /dev/full',
     (1, '', 'standard output: [Errno 28] No space left on device\n'))])
def test_example_ends(arguments, outcome):
    assert run('sh', '-c', f'{sys.executable} {arguments}', seconds=30) == outcome


@served(answering(answer(404, bytes(range(256)) * 1000, b'x: y')))
async def test_example_fetches_a_url(request, server):
    assert await asyncio.to_thread(run_example, server.url, encoding=None) == (
        0, bytes(range(256)) * 1000, b'GET 404\n    content-length: 256000\n    x: y\n')


@table('arguments, status, error', [
    ('a refused connection', ['http://127.0.0.1:1/'], 1, 'HttpConnectionError: 127.0.0.1:1: '
     'expected a connection; got 127.0.0.1 port 1: ConnectionRefusedError'),
    ('a URL without a scheme', ['example.com'], 1, 'HttpConnectionError: request refused: '
     "expected url with scheme http or https; got 'example.com'"),
    ('a URL that is none', ['http://[::1/'], 1, 'HttpConnectionError: request refused: '
     'expected url with a valid host; got'),
    ('too many arguments', ['a', 'b'], 2, 'usage: python example.py [URL]')])
def test_example_fails_in_one_line(arguments, status, error):
    code, output, errors = run_example(*arguments)
    assert (code, output, errors.count('\n')) == (status, '', 1)
    assert errors.startswith(error)


# benchmark.py: that it measures what it says. The figures are another matter.

def run_benchmark(*arguments):
    return output_of(sys.executable, 'benchmark.py', *arguments)


def test_benchmark_measures_and_draws(tmp_path):
    results, chart = tmp_path / 'results.json', tmp_path / 'chart.svg'
    output = run_benchmark(
        'get-50', 'connect', 'post', 'connect-tls', 'tls-50', 'import', '--quick',
        '--json', results, '--client', 'lowhaio', '--client', 'protocol', '--client', 'blocking')
    assert 'failed' not in output
    assert re.search(r'\n  get-50  .* of protocol .* (met|MISSED)\n', output)
    assert re.search(r'\n\| small POST, 50 in flight \| [0-9.]+ µs \|', output)
    rows = json.loads(results.read_text())['results']
    assert {(row['scenario'], row['client']) for row in rows} == {
        *itertools.product(('get-50', 'post', 'tls-50'), ('lowhaio', 'protocol')),
        *itertools.product(('connect', 'connect-tls'), ('lowhaio', 'protocol', 'blocking')),
        ('import', 'lowhaio')}
    assert all(run['value'] > 0 for row in rows for run in row['runs'])

    run_benchmark('--chart', results, chart)
    names = [name.text for name in xml.etree.ElementTree.parse(chart).iter() if name.text]
    assert {'small GET, 50 in flight', 'lowhaio', 'protocol', 'blocking'} <= set(names)


def test_benchmark_names_its_scenarios_and_refuses_others():
    listed = run_benchmark('--list').splitlines()
    assert len(listed) == len({line.split()[0] for line in listed}) > 30
    status, _, errors = run(sys.executable, 'benchmark.py', 'get-51')
    assert status == 2
    assert errors.endswith('expected scenarios that --list names; got get-51\n')


@pytest.mark.skipif(sys.platform != 'linux', reason='needs more than one loopback address')
def test_benchmark_compares_with_another_module(tmp_path):
    other, results = (FOLDER / 'lowhaio.py').read_text('utf-8'), tmp_path / 'results.json'
    options = '--quick', '--against', tmp_path, '--client', 'lowhaio', '--json', results
    (tmp_path / 'lowhaio.py').write_text(other + 'raise ImportError("the other")\n', 'utf-8')
    output = run_benchmark('rotating', 'dead-1', 'latency-500', *options)
    assert output.count('against         failed: ImportError: the other\n') == 3

    (tmp_path / 'lowhaio.py').write_text(other, 'utf-8')
    output = run_benchmark('rotating', 'dead-1', 'hosts-1000', 'latency-500', *options)
    assert 'failed' not in output
    values = {(row['scenario'], row['client']): row['runs'][0]['value']
              for row in json.loads(results.read_text())['results']}
    assert set(values) == set(itertools.product(
        ('rotating', 'dead-1', 'hosts-1', 'hosts-1000', 'latency-500'), ('lowhaio', 'against')))
    for client in ('lowhaio', 'against'):           # one in each second that they take
        assert 1 <= values['rotating', client] <= 20
    assert 0.1 < values['dead-1', 'lowhaio'] < 5        # the dead address is tried first


@pytest.mark.skipif(not shutil.which('nginx', path='/usr/sbin:/usr/bin:/usr/local/bin'),
                    reason='nginx is not installed')
def test_benchmark_measures_against_nginx():
    output = run_benchmark(
        'tls-50-nginx', 'connect-rsa', 'download-nginx', '--quick', '--client', 'lowhaio')
    assert 'failed' not in output
    assert re.search(r'\n  connect-rsa +[0-9.]+ of connect-rsa-full ', output)
    assert output.count('\n| 256 MB download, chunked, nginx |') == 1


def test_benchmark_leaves_out_what_needs_nginx():
    code = ('import benchmark, sys; benchmark.has_nginx = lambda: None; '
            'sys.argv[1:] = ["tls-50-nginx", "--quick"]; benchmark.main()')
    assert output_of(sys.executable, '-c', code).startswith(
        'left out, as nginx is not installed: tls-50-nginx\n')


# Fuzzing, guided by coverage. It takes as long as one lets it:
#
#     python -m pip install atheris && python test.py fuzz SECONDS

def fuzz(seconds):
    """Feed the parser what atheris makes of RESPONSES: whole, by byte, and cut somewhere."""
    global lowhaio
    import atheris

    def read_it(data):
        if len(data) > 2:
            method, at, raw = (b'GET', b'HEAD')[data[0] % 2], data[1], data[2:]
            splits = [raw], cut_at(raw, range(len(raw))), cut_at(raw, [at])
            assert len({meaning(method, pieces, 16384) for pieces in splits}) == 1

    del sys.modules['lowhaio']
    with atheris.instrument_imports(include=['lowhaio']):
        lowhaio = importlib.import_module('lowhaio')
    with tempfile.TemporaryDirectory() as corpus:
        for number, (_, method, raw, *_) in enumerate(RESPONSES):
            seed = bytes([method == b'HEAD', len(raw) // 2 % 256]) + raw[:4000]
            pathlib.Path(corpus, str(number)).write_bytes(seed)
        limits = f'-max_total_time={seconds}', '-max_len=4096'
        atheris.Setup([sys.argv[0], *limits, corpus], read_it)
        atheris.Fuzz()


if __name__ == '__main__':
    {'serve': serve, 'move': move, 'probe': probe, 'fuzz': fuzz}[sys.argv[1]](*sys.argv[2:])
