"""Measure lowhaio beside other HTTP clients, on this machine.

    python -m pip install --editable ".[benchmark]"
    python benchmark.py                                     everything: more than an hour
    python benchmark.py --quick                             a look: one round of little
    python benchmark.py get-50 tls-50 --rounds 9            some scenarios (--list names them)
    python benchmark.py --against FOLDER                    also another lowhaio.py, in FOLDER
    python benchmark.py --json results.json                 keep the figures
    python benchmark.py --chart results.json chart.svg      draw them

The servers run in a process of their own, pinned away from the clients where the machine allows.
So does nginx, where it is installed (Debian's package nginx-light will do); without it, the rows
that need it are left out. Each figure is that of a new process with one client; within each round
the clients take turns, so that what slows the machine down for a while slows all of them. What
counts is the median over the rounds of the CPU time, user and system, all threads, that the
client's process takes for one operation, unless the scenario's title says something else. The
spread is that between the fastest and the slowest round. The column "x lowhaio" is the median over
the rounds of the client's figure, divided by lowhaio's in the same round and loop.

Two clients are floors, and no clients that anybody would want to use: `blocking` is a loop over a
blocking socket, `protocol` is a bare asyncio.Protocol. Both send bytes that are made beforehand,
find the content-length with bytes.find, and look at nothing else.

The program tests its own directory's lowhaio.py, and lowhaio 0.0.89, which it installs into a
cache folder. A client that fails, or is not installed, has a row that says so.
"""

import argparse
import asyncio
import collections
import contextlib
import datetime
import functools
import gc
import html
import importlib
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import resource
import shutil
import socket
import socketserver
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc

HOST = '127.0.0.1'
HOSTS = [f'127.0.0.{number}' for number in range(1, 33)]    # where the small server listens
DEAD = '127.0.0.33'                 # drops what comes to the small server's port
NAME = 'lowhaio-benchmark.test'     # it and those below it have the addresses of `addresses_of`
MB = 2 ** 20
PIECE = bytes(65536)                # what a big request body yields at a time
CHUNK = 32768                       # bytes of a chunk of a chunked response
SMALL = b'x' * 100                  # the body of a small POST
OLD = 'lowhaio 0.0.89'

CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
OLD_FOLDER = CACHE / 'lowhaio-benchmark' / OLD.replace(' ', '-')
BYTECODE_FOLDER = CACHE / 'lowhaio-benchmark' / 'bytecode'


# What is measured, and what is wanted.

US, MS = ('µs', 1e6), ('ms', 1e3)
MEGABYTES, KILOBYTES, COUNT = ('MB', 1e-6), ('kB', 1e-3), ('', 1)
OURS = ('lowhaio', 'against', OLD)
NAMED = (*OURS, 'aiohttp', 'httpx', 'httpx2', 'niquests')   # a name leads them to our addresses
REAL = (*NAMED, 'pyreqwest', 'wreq')
CLIENTS = (*REAL, 'protocol', 'blocking')
# These two look through all their connections at each request: half a minute a run, or more
MANY = tuple(client for client in REAL if client not in ('httpx', 'httpx2'))
BOTH, ASYNCIO = ('asyncio', 'uvloop'), ('asyncio',)

Scenario = collections.namedtuple('Scenario', (
    'title',
    'measure',      # name of the function that measures it, in a process of its own
    'arguments',    # of that function
    'clients',
    'loops',
    'unit',         # (name, how many of them are one second or byte)
), defaults=(REAL, ASYNCIO, US))


def cpu(title, *arguments, clients=(*REAL, 'protocol'), loops=ASYNCIO, unit=US):
    """Return a scenario whose figure is the CPU time of one request."""
    return Scenario(title, 'requests', arguments, clients, loops, unit)


SCENARIOS = {
    'get-50': cpu('small GET, 50 in flight', 'get', 'http', '/', 50, loops=BOTH),
    'get-50-etag': cpu('small GET, 50 in flight, never the same header section',
                       'get', 'http', '/etag', 50),
    'get-1': cpu('small GET, one at a time', 'get', 'http', '/', 1, clients=CLIENTS, loops=BOTH),
    'get-500': cpu('small GET, 500 in flight', 'get', 'http', '/', 500, loops=BOTH),
    'latency-500': Scenario('small GET, 500 in flight: latency, 99th percentile',
                            'latency', (500,), (*REAL, 'protocol'), BOTH, MS),
    'idle-1': cpu('small GET, 1 idle connection in the pool', 'get', 'http', '/', 1, 1,
                  clients=MANY),
    'idle-1000': cpu('small GET, 1,000 idle connections in the pool', 'get', 'http', '/', 1, 1000,
                     clients=MANY),
    'hosts-1': cpu('small GET, 1 host in turn', 'get', 'name', '/', 1, 1, 1, clients=MANY),
    'hosts-1000': cpu('small GET, 1,000 hosts in turn, one idle connection each',
                      'get', 'name', '/', 1, 1000, 1000, clients=MANY),
    'literal': cpu('small GET from a literal address', 'get', 'http', '/', 50, clients=OURS),
    'name': cpu('small GET from a name with a live DNS answer', 'get', 'name', '/', 50,
                clients=OURS),
    'rotating': Scenario('new connections for 1,000 GETs from a name with TTL 0, each answer '
                         'of which has the next 8 of 32 addresses', 'new_connections', (1000,),
                         NAMED, ASYNCIO, COUNT),
    'dead-1': Scenario('first GET from a name the first of whose two addresses is dead: wall time',
                       'dead_address', (1,), (*NAMED, 'wreq'), ASYNCIO, MS),
    'dead-2': Scenario('second GET from it, on a new connection: wall time',
                       'dead_address', (2,), (*NAMED, 'wreq'), ASYNCIO, MS),
    'post': cpu('small POST, 50 in flight', 'post', 'http', '/', 50, loops=BOTH),
    'connect': cpu('new connection', 'get', 'http', '/close', 1, clients=CLIENTS, loops=BOTH),
    'connect-tls': cpu('new TLS connection', 'get', 'https', '/close', 1, clients=CLIENTS,
                       loops=BOTH),
    **{f'connect-{key}{suffix}': cpu(
        f'new TLS connection to nginx, {title} chain of three, {what}',
        'get', f'nginx-{key}{suffix}', '/close', 1, clients=CLIENTS)
       for key, title in (('p256', 'P-256'), ('rsa', 'RSA'))
       for suffix, what in (('', 'with tickets'), ('-full', 'without tickets'))},
    'tls-50': cpu('TLS small GET, 50 in flight', 'get', 'https', '/', 50, loops=BOTH),
    'tls-50-nginx': cpu('TLS small GET, 50 in flight, nginx', 'get', 'nginx-p256', '/', 50,
                        loops=BOTH),
    **{name: cpu(title, verb, server, path, 1, clients=(*REAL, 'blocking'), loops=BOTH, unit=MS)
       for name, title, verb, server, path in (
           ('download', '256 MB download, content-length', 'download', 'big',
            f'/length/{256 * MB}'),
           ('download-chunked', '256 MB download, chunked', 'download', 'big',
            f'/chunked/{256 * MB}'),
           ('download-nginx', '256 MB download, chunked, nginx', 'download', 'nginx', '/chunked'),
           ('download-tls', '256 MB download, TLS', 'download', 'bigtls', f'/length/{256 * MB}'),
           ('upload', '256 MB upload', 'upload', 'big', '/length/2'))},
    'import': Scenario('import, beyond asyncio, ssl and aiodnsresolver', 'importing', ('import',),
                       unit=MS),
    'pool': Scenario('Pool() for plain http', 'importing', ('pool',), OURS, unit=MS),
    'memory-down': Scenario('memory added by 1 GB down', 'transfer_memory',
                            ('download', 'big', f'/length/{1024 * MB}'), unit=MEGABYTES),
    'memory-up': Scenario('memory added by 1 GB up', 'transfer_memory',
                          ('upload-gb', 'big', '/length/2'), unit=MEGABYTES),
    'memory-idle': Scenario('memory added by an idle connection', 'idle_memory', (1000,),
                            NAMED, unit=KILOBYTES),
}

# What the scenarios do, as arguments of a client's `fetch`.
VERBS = {
    'get': {}, 'post': {'body': SMALL}, 'download': {'is_streamed': True},
    'upload': {'size': 256 * MB}, 'upload-gb': {'size': 1024 * MB},
}

# (scenario, what lowhaio is divided by: a client, or a scenario of lowhaio's, or a unit; at most)
TARGETS = (
    ('get-50', 'protocol', 0.90), ('get-50', 'aiohttp', 0.26), ('get-50', 'pyreqwest', 0.45),
    ('get-50', 'against', 0.95), ('get-1', 'protocol', 1.0), ('get-500', 'get-50', 1.2),
    ('latency-500', 'aiohttp', 0.20), ('latency-500', 'pyreqwest', 0.48),
    ('idle-1000', 'idle-1', 1.1), ('hosts-1000', 'hosts-1', 1.1), ('name', 'literal', 1.1),
    ('rotating', '', 20), ('dead-1', 'ms', 300), ('dead-2', 'ms', 10),
    ('post', 'aiohttp', 0.42),
    ('connect', 'aiohttp', 0.42), ('connect', 'against', 0.78), ('connect-tls', 'aiohttp', 0.65),
    ('connect-p256', 'connect-p256-full', 0.57), ('connect-p256', 'against', 0.83),
    ('connect-rsa', 'connect-rsa-full', 0.60), ('connect-rsa', 'against', 0.83),
    ('tls-50', 'aiohttp', 0.40), ('tls-50-nginx', 'aiohttp', 0.45),
    ('download', 'blocking', 1.35), ('download-chunked', 'aiohttp', 0.80),
    ('download-nginx', 'aiohttp', 0.80), ('download-tls', 'blocking', 1.15),
    ('upload', OLD, 1.0), ('upload', 'blocking', 0.9),
    ('import', 'ms', 10), ('pool', 'ms', 1),
    ('memory-down', 'MB', 2), ('memory-up', 'MB', 2), ('memory-idle', 'kB', 4),
)

CHARTED = ('get-50', 'latency-500', 'connect', 'tls-50-nginx', 'download-nginx', 'upload')


# Servers. They do as little as they can, so that no client has to wait for them.

ANSWER = (b'HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 17:17:19 GMT\r\n'
          b'Content-Type: text/plain\r\nContent-Length: 13\r\nConnection: %b\r\n'
          b'ETag: "abcdef-12"\r\nAccept-Ranges: bytes\r\n\r\nhello, world\n')
KEPT, CLOSED = ANSWER % b'keep-alive', ANSWER % b'close'


class SmallServer(asyncio.Protocol):
    """Answer small requests at once.

    A GET of /close is the last one of its connection, one of /etag gets an ETag of its own, and
    the response to one of /connections has as many bytes as there have been connections.
    """

    etags, connections = itertools.count(), 0

    def connection_made(self, transport):
        self.transport, self.data = transport, b''
        SmallServer.connections += 1

    def data_received(self, data):
        data = self.data + data
        end = data.find(b'\r\n\r\n') + 4
        if end > 3 and data[:4] == b'POST':
            end += len(SMALL)
        if end < 4 or len(data) < end:
            self.data = data
        elif data[:11] == b'GET /close ':
            self.transport.write(CLOSED)
            self.transport.close()
        elif data[:10] == b'GET /etag ':
            self.transport.write(KEPT.replace(b'abcdef-12', b'%09x' % next(self.etags)))
            self.data = data[end:]
        elif data[:17] == b'GET /connections ':
            self.transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n'
                                 % self.connections + bytes(self.connections))
            self.data = data[end:]
        else:
            self.transport.write(KEPT)
            self.data = data[end:]


class BigServer(socketserver.StreamRequestHandler):
    """Take any body, and send what the path says: /length/BYTES or /chunked/BYTES."""

    disable_nagle_algorithm = True

    def handle(self):
        block = bytes(MB)
        chunks = (b'%x\r\n' % CHUNK + bytes(CHUNK) + b'\r\n') * 32
        taken = memoryview(bytearray(MB))
        with contextlib.suppress(OSError):
            while line := self.rfile.readline():
                _, how, size = line.split()[1].decode().split('/')
                length = self.read_header_section()
                while length:
                    length -= self.rfile.readinto(taken[:length]) or length

                size = int(size)
                if how == 'length':
                    self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % size)
                    for start in range(0, size, MB):
                        self.wfile.write(block[:size - start])
                else:
                    self.wfile.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
                    for _ in range(size // CHUNK // 32):
                        self.wfile.write(chunks)
                    self.wfile.write(b'0\r\n\r\n')

    def read_header_section(self):
        """Read to the empty line, and return the content-length, in bytes."""
        length = 0
        while (line := self.rfile.readline()) not in (b'\r\n', b''):
            name, _, value = line.partition(b':')
            if name.lower() == b'content-length':
                length = int(value)
        return length


rotations = itertools.count(0, 8)


def addresses_of(name):
    """Return (seconds to live, addresses) of NAME, or of one below it."""
    if name.startswith('rotating.'):
        start = next(rotations)
        return 0, [HOSTS[(start + index) % len(HOSTS)] for index in range(8)]
    return 3600, [DEAD, HOST] if name.startswith('dead.') else [HOST]


class DnsServer(asyncio.DatagramProtocol):
    """Answer each query with A records."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        first_label = data[13:13 + data[12]].decode().lower()   # its case varies, as a nonce
        ttl, addresses = addresses_of(first_label + '.')
        header = data[:2] + b'\x81\x80\0\1' + struct.pack('!H', len(addresses)) + bytes(4)
        records = [b'\xc0\x0c\0\1\0\1' + struct.pack('!IH', ttl, 4) + socket.inet_aton(address)
                   for address in addresses]
        self.transport.sendto(header + data[12:] + b''.join(records), addr)


NGINX = '''
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type text/plain;
    ssl_protocols TLSv1.3; ssl_session_cache none;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder}; root {folder};
    server {{
        listen {host}:{ports[nginx]};
        # SSI, which finds nothing in a file of zeros, makes its length unknown, so it is chunked.
        location = /chunked {{ ssi on; ssi_types *; output_buffers 2 {chunk}; }}
    }}
    {tls_servers}
}}
'''
NGINX_TLS = '''
    server {{
        listen {host}:{port} ssl; ssl_session_tickets {tickets};
        ssl_certificate {certificate}; ssl_certificate_key {certificate};
        location = / {{ return 200 "hello, world\\n"; }}
        location = /close {{ keepalive_timeout 0; return 200 "hello, world\\n"; }}
    }}
'''
NGINX_PORTS = ('nginx', 'nginx-p256', 'nginx-p256-full', 'nginx-rsa', 'nginx-rsa-full')


@contextlib.contextmanager
def running_nginx(config):
    """Run nginx, where there is one. Give its ports."""
    if not has_nginx():
        yield {}
        return

    with contextlib.ExitStack() as stack:       # all are bound before any is freed, so they differ
        socks = [stack.enter_context(socket.create_server((HOST, 0))) for _ in NGINX_PORTS]
        ports = {name: sock.getsockname()[1]
                 for name, sock in zip(NGINX_PORTS, socks, strict=True)}

    folder = pathlib.Path(config['folder'], 'nginx')
    folder.mkdir()
    with open(folder / 'chunked', 'wb') as file:
        file.truncate(256 * MB)
    tls_servers = ''.join(NGINX_TLS.format(
        host=HOST, port=ports[name], tickets='off' if name.endswith('-full') else 'on',
        certificate=config[name.split('-')[1]]) for name in NGINX_PORTS[1:])
    (folder / 'conf').write_text(NGINX.format(
        folder=folder, host=HOST, ports=ports, chunk=CHUNK, tls_servers=tls_servers))
    process = subprocess.Popen([has_nginx(), '-p', folder, '-c', folder / 'conf', '-e', 'stderr'])
    try:
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), \
                    socket.create_connection((HOST, ports['nginx'])):
                break
            time.sleep(0.05)
        yield ports
    finally:
        process.kill()
        process.wait()


def has_nginx():
    """Return the path of nginx, or None."""
    return shutil.which('nginx', path=os.environ.get('PATH', os.defpath) + ':/usr/sbin')


def serve_big(context=None):
    """Return the port of a BigServer that runs in threads."""
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 128

        def get_request(self):
            sock, address = super().get_request()
            return (context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                    if context else sock), address

    server = Server((HOST, 0), BigServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


@contextlib.contextmanager
def dropping(address):
    """Listen, but let the kernel drop whatever comes, as its queue is full."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server(address, backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield


async def serve(config):
    """Run all servers until stdin ends. Print their ports."""
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config['certificate'])
    http, https = [await loop.create_server(SmallServer, HOST, 0, backlog=4096, ssl=tls)
                   for tls in (None, context)]
    dns, _ = await loop.create_datagram_endpoint(DnsServer, local_addr=(HOST, 0))
    port = http.sockets[0].getsockname()[1]
    with contextlib.ExitStack() as stack:
        nginx_ports = stack.enter_context(running_nginx(config))
        with contextlib.suppress(OSError):      # without Linux, HOST may be the only one
            await loop.create_server(SmallServer, HOSTS[1:], port, backlog=4096)
            stack.enter_context(dropping((DEAD, port)))
        print(json.dumps({
            'http': port, 'https': https.sockets[0].getsockname()[1],
            'dns': dns.get_extra_info('sockname')[1], 'big': serve_big(),
            'bigtls': serve_big(context), **nginx_ports}), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


# Clients. Each is an async context manager that gives `fetch(url, body, size, is_streamed)`: it
# POSTs `body`, or `size` bytes in pieces, or else GETs, and gives the length of the response's
# body. A streamed body is read as it comes, other ones in whatever way is the client's shortest.

async def pieces(size):
    """The body of an upload."""
    for _ in range(size // len(PIECE)):
        yield PIECE


async def count_bytes(chunks):
    received = 0
    async for chunk in chunks:
        received += len(chunk)
    return received


@contextlib.asynccontextmanager
async def lowhaio_client(config):
    import aiodnsresolver

    import lowhaio

    async def get_nameservers(_, __):
        while True:
            yield 1, (HOST, config['ports']['dns'])

    async def fetch(url, body=b'', size=0, is_streamed=False):
        length = size or len(body)
        if length:
            body = functools.partial(pieces, size) if size else lowhaio.streamed(body)
            fields = ((b'content-length', b'%d' % length),)
            _, _, body = await request(b'POST', url, headers=fields, body=body)
        else:
            _, _, body = await request(b'GET', url)
        received = 0
        async for chunk in body:
            received += len(chunk)
        return received

    request, close = lowhaio.Pool(
        get_dns_resolver=functools.partial(aiodnsresolver.Resolver,
                                           get_nameservers=get_nameservers),
        get_ssl_context=functools.partial(client_context, config))
    yield fetch
    await close()


@contextlib.asynccontextmanager
async def aiohttp_client(config):
    import aiohttp

    async def fetch(url, body=b'', size=0, is_streamed=False):
        headers = {'content-length': str(size)} if size else None
        data = pieces(size) if size else body
        async with (session.post(url, data=data, headers=headers) if data else
                    session.get(url)) as response:
            return (await count_bytes(response.content.iter_any()) if is_streamed else
                    len(await response.read()))

    connector = aiohttp.TCPConnector(limit=0, ssl=client_context(config))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield fetch


@contextlib.asynccontextmanager
async def httpx_client(config):
    httpx = importlib.import_module(config['client'])       # or httpx2, which has the same names

    async def fetch(url, body=b'', size=0, is_streamed=False):
        if not is_streamed:
            headers = {'content-length': str(size)} if size else None
            content = pieces(size) if size else body
            response = await (session.post(url, content=content, headers=headers) if content else
                              session.get(url))
            return len(response.content)
        async with session.stream('GET', url) as response:
            return await count_bytes(response.aiter_bytes())

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(verify=client_context(config), limits=limits) as session:
        yield fetch


@contextlib.asynccontextmanager
async def niquests_client(config):
    import niquests

    async def fetch(url, body=b'', size=0, is_streamed=False):
        if not is_streamed:
            headers = {'content-length': str(size)} if size else None
            data = pieces(size) if size else body
            response = await (
                session.post(url, data=data, headers=headers, verify=authority) if data else
                session.get(url, verify=authority))
            return len(response.content)
        response = await session.get(url, stream=True, verify=authority)
        return await count_bytes(await response.iter_content(-1))   # as it comes

    authority = config['authority']     # the environment may overrule that of a session
    async with niquests.AsyncSession(pool_connections=2000, pool_maxsize=2000) as session:
        yield fetch


@contextlib.asynccontextmanager
async def pyreqwest_client(config):
    from pyreqwest.client import ClientBuilder

    async def fetch(url, body=b'', size=0, is_streamed=False):
        if size:
            request = session.post(url).header('content-length', str(size))
            request = request.body_stream(pieces(size))
        else:
            request = session.post(url).body_bytes(body) if body else session.get(url)
        if not is_streamed:
            return len(await (await request.build().send()).bytes())
        async with request.build_streamed() as response:
            received = 0
            while chunk := await response.body_reader.read_chunk():
                received += len(chunk)
            return received

    builder = ClientBuilder()
    for certificate in pathlib.Path(config['authority']).read_text().split('\n\n'):
        builder = builder.add_root_certificate_pem(certificate.encode())
    for name in names_of_hosts(1000):
        builder = builder.resolve(name, HOST, config['ports']['http'])
    async with builder.build() as session:
        yield fetch


@contextlib.asynccontextmanager
async def wreq_client(config):
    import ipaddress

    import wreq

    async def fetch(url, body=b'', size=0, is_streamed=False):
        if size:
            response = await session.post(url, body=pieces(size),
                                          headers={'content-length': str(size)})
        else:
            response = await (session.post(url, body=body) if body else session.get(url))
        return await count_bytes(response.stream()) if is_streamed else len(await response.bytes())

    dns_options = wreq.DnsOptions()
    for name in (f'dead.{NAME}', *names_of_hosts(1000)):
        dns_options.add_resolve(name, [ipaddress.ip_address(address)
                                       for address in addresses_of(name)[1]])
    async with wreq.Client(tls_verify=pathlib.Path(config['authority']), dns_options=dns_options,
                           http1_only=True) as session:
        yield fetch


@functools.cache
def prebuilt(url, body, size):
    """Return (whether it is TLS, port, whether the server closes, bytes) of a floor's request."""
    scheme, _, authority, path = url.split('/', 3)
    length = size or len(body)
    head = f'{"POST" if length else "GET"} /{path} HTTP/1.1\r\nhost:{HOST}\r\n'
    head += f'content-length:{length}\r\n\r\n' if length else '\r\n'
    port = int(authority.rpartition(':')[2])
    return scheme == 'https:', port, path == 'close', head.encode() + body


def body_length(data, end):
    """Return the bytes of content that a header section, data[:end], announces."""
    start = data.find(b'Content-Length: ', 0, end) + 16
    return int(data[start:data.find(b'\r\n', start)])


@contextlib.asynccontextmanager
async def protocol_client(config):
    """A floor: a bare asyncio.Protocol."""
    loop, context, idle = asyncio.get_running_loop(), client_context(config), []

    class Connection(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport, self.data = transport, b''

        def data_received(self, data):
            self.data += data
            end = self.data.find(b'\r\n\r\n')
            if end != -1 and len(self.data) >= end + 4 + body_length(self.data, end):
                self.waiter.set_result(self.data)
                self.data = b''

    async def fetch(url, body=b'', size=0, is_streamed=False):
        is_tls, port, is_closed, request = prebuilt(url, body, size)
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(
                Connection, HOST, port, ssl=context if is_tls else None)
        connection.waiter = loop.create_future()
        connection.transport.write(request)
        data = await connection.waiter
        if is_closed:
            connection.transport.close()
        else:
            idle.append(connection)
        return len(data)

    yield fetch
    for connection in idle:
        connection.transport.close()


@contextlib.asynccontextmanager
async def blocking_client(config):
    """A floor: a loop over a blocking socket. It awaits nothing."""
    context, idle = client_context(config), []

    def connect(is_tls, port):
        sock = socket.create_connection((HOST, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(sock, server_hostname=HOST) if is_tls else sock

    def receive(sock):
        data = sock.recv(65536)
        while (end := data.find(b'\r\n\r\n')) == -1:
            data += sock.recv(65536)
        if b'chunked' in data[:end]:
            while data[-5:] != b'0\r\n\r\n':       # looks for the end alone
                data = sock.recv(65536)
            return 0

        length = body_length(data, end)
        left = length - (len(data) - end - 4)
        while left:
            left -= len(sock.recv(65536))
        return length

    async def fetch(url, body=b'', size=0, is_streamed=False):
        is_tls, port, is_closed, request = prebuilt(url, body, size)
        sock = idle.pop() if idle else connect(is_tls, port)
        sock.send(request)
        for _ in range(size // len(PIECE)):
            sock.sendall(PIECE)
        received = receive(sock)
        if is_closed:
            sock.close()
        else:
            idle.append(sock)
        return received

    yield fetch
    for sock in idle:
        sock.close()


def client_context(config):
    return ssl.create_default_context(cafile=config['authority'])


# Measuring. Each of these runs in a process that does nothing else.

def times():
    """Return the CPU time of this process, all threads, and the wall time: seconds."""
    return time.process_time(), time.perf_counter()


async def requests(config, verb, server, path, in_flight, idle=0, hosts=0):
    """Return the CPU and the wall time of one operation, and those in the warm-up before it.

    With `hosts`, the operations go to as many names in turn.
    """
    async with open_client(config) as fetch:
        urls = itertools.cycle([get_url(config, server, path, name)
                                for name in names_of_hosts(hosts) or [NAME]])

        def operation():
            return fetch(next(urls), **VERBS[verb])

        await asyncio.gather(*[operation() for _ in range(idle)])

        async def repeat(until):
            count = 0
            while time.perf_counter() < until or not count:
                await operation()
                count += 1
            return count

        async def timed(seconds):
            cpu, wall = times()
            counts = await asyncio.gather(*[repeat(wall + seconds) for _ in range(in_flight)])
            return [(after - before) / sum(counts)
                    for after, before in zip(times(), (cpu, wall), strict=True)]

        warm_up, _ = await timed(config['seconds'] / 3)
        cpu, wall = await timed(config['seconds'])
        return {'value': cpu, 'wall': wall, 'warm_up': warm_up}


async def latency(config, in_flight):
    """Return the 99th percentile of the wall time of a GET on open connections."""
    async with open_client(config) as fetch:
        get = functools.partial(fetch, get_url(config, 'http', '/'))
        for _ in range(2):
            await asyncio.gather(*[get() for _ in range(in_flight)])
        latencies, until = [], time.perf_counter() + 2 * config['seconds']

        async def repeat():
            start = 0
            while start < until:
                start = time.perf_counter()
                await get()
                latencies.append(time.perf_counter() - start)

        await asyncio.gather(*[repeat() for _ in range(in_flight)])
        return {'value': statistics.quantiles(latencies, n=100)[98]}


async def new_connections(config, count):
    """Return how many connections are made for `count` GETs, one at a time."""
    async with open_client(config) as fetch:
        before = await fetch(get_url(config, 'http', '/connections'))
        for _ in range(count):
            await fetch(get_url(config, 'name', '/', f'rotating.{NAME}'))
        return {'value': await fetch(get_url(config, 'http', '/connections')) - before}


async def dead_address(config, count):
    """Return the wall time of the last of `count` GETs, each on a new connection."""
    async with open_client(config) as fetch:
        for _ in range(count):
            start = time.perf_counter()
            try:
                async with asyncio.timeout(20):
                    await fetch(get_url(config, 'name', '/close', f'dead.{NAME}'))
            except TimeoutError:
                raise TimeoutError('took longer than 20 s') from None
        return {'value': time.perf_counter() - start}


async def importing(config, what):
    """Return the time that an import takes, or the first Pool() after it."""
    module = 'lowhaio' if config['client'] in OURS else config['client']
    code = f'''
import asyncio, ssl, sys, time
{'import aiodnsresolver' if module == 'lowhaio' else ''}
sys.path.insert(0, {module_folder(config)!r})
def now():
    return time.process_time(), time.perf_counter()
before = now()
import {module}
after = now()
async def main():
    global before, after
    before = now()
    {module}.Pool()
    after = now()
if {what == 'pool'}:
    asyncio.run(main())
print(after[0] - before[0], after[1] - before[1])
'''
    environ = os.environ | {'PYTHONPYCACHEPREFIX': str(BYTECODE_FOLDER)}
    environ.pop('PYTHONDONTWRITEBYTECODE', None)    # an import is not to compile each time
    runs = [[float(number) for number in subprocess.run(
        [sys.executable, '-c', code], check=True, capture_output=True, text=True,
        env=environ).stdout.split()]
        for _ in range(6)]
    cpu, wall = [statistics.median(column) for column in zip(*runs[1:], strict=True)]
    return {'value': cpu, 'wall': wall, 'warm_up': runs[0][0]}


async def transfer_memory(config, verb, server, path):
    """Return the bytes by which a transfer lifts the peak of the resident memory."""
    def status(field):
        lines = pathlib.Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    async with open_client(config) as fetch:
        await fetch(get_url(config, 'big', '/length/2'))
        gc.collect()
        pathlib.Path('/proc/self/clear_refs').write_text('5')   # forget the peak so far
        before = status('VmRSS')
        await fetch(get_url(config, server, path), **VERBS[verb])
        return {'value': max(0, status('VmHWM') - before)}


async def idle_memory(config, count):
    """Return the bytes that Python has allocated for an idle connection."""
    async with open_client(config) as fetch:
        get = functools.partial(fetch, get_url(config, 'http', '/'))
        await get()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await asyncio.gather(*[get() for _ in range(count + 1)])
        await asyncio.sleep(0.05)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        return {'value': (after - before) / count}


def open_client(config):
    client = {'against': 'lowhaio', OLD: 'lowhaio', 'httpx2': 'httpx'}.get(
        config['client'], config['client'])
    return globals()[client + '_client'](config)


def names_of_hosts(count):
    """Return names that the name server of the benchmark knows."""
    return [f'{number}.{NAME}' for number in range(count)]


def get_url(config, server, path, name=NAME):
    scheme = 'https' if server in ('https', 'bigtls', *NGINX_PORTS[1:]) else 'http'
    host, port = (name, 'http') if server == 'name' else (HOST, server)
    return f'{scheme}://{host}:{config["ports"][port]}{path}'


def module_folder(config):
    """Return the folder of the lowhaio.py that the client is to import."""
    here = pathlib.Path(__file__).resolve().parent
    return str({OLD: OLD_FOLDER, 'against': config['against']}.get(config['client'], here))


def answer_names():
    """Let socket.getaddrinfo, which most clients use, know the names that the DNS server knows."""
    def getaddrinfo(host, port, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else str(host)
        if not name.endswith(NAME):
            return original(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, int(port)))
                for address in addresses_of(name)[1]]

    original, socket.getaddrinfo = socket.getaddrinfo, getaddrinfo


def run_child(role, config):
    """What a process that this program has started does."""
    if config['cpus']:
        os.sched_setaffinity(0, config['cpus'])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    if role == 'serve':
        import uvloop
        with contextlib.suppress(KeyboardInterrupt), \
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config))
        os._exit(0)         # the threads of the big servers may be sending

    sys.path.insert(0, module_folder(config))
    answer_names()
    scenario = SCENARIOS[config['scenario']]
    new_loop = importlib.import_module(config['loop']).new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        measure = globals()[scenario.measure]
        print(json.dumps(runner.run(measure(config, *scenario.arguments))))


# Running it all.

def measure_all(scenarios, clients, loops, rounds, seconds, against):
    """Return the results as they go into the JSON file. Shows its progress."""
    from tqdm import tqdm

    if not has_nginx() and (left_out := [name for name in scenarios if needs_nginx(name)]):
        print(f'left out, as nginx is not installed: {", ".join(left_out)}')
        scenarios = [name for name in scenarios if name not in left_out]
    todo = [(name, client, loop) for name in scenarios for loop in SCENARIOS[name].loops
            for client in SCENARIOS[name].clients
            if client in clients and loop in loops and (client, loop) != ('blocking', 'uvloop')]
    results = {key: {'scenario': key[0], 'client': key[1], 'loop': key[2], 'runs': []}
               for key in todo}
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_setaffinity') else []
    server_cpus, client_cpus = (cpus[:1], cpus[1:]) if len(cpus) > 1 else ([], [])

    with tempfile.TemporaryDirectory() as folder, \
            serving(make_certificates(folder) | {'cpus': server_cpus, 'folder': folder,
                                                 'against': against}) as config, \
            tqdm(total=len(todo) * rounds, unit='run') as progress:
        for _ in range(rounds):
            for key in todo:
                progress.set_postfix_str(', '.join(key))
                name, client, loop = key
                if 'error' not in results[key]:
                    results[key].update(run_client(results[key]['runs'], config | {
                        'scenario': name, 'client': client, 'loop': loop,
                        'seconds': seconds, 'cpus': client_cpus}))
                progress.update()

    return {'environment': describe_environment(server_cpus, client_cpus), 'rounds': rounds,
            'results': list(results.values())}


def needs_nginx(scenario):
    return any(argument in NGINX_PORTS for argument in SCENARIOS[scenario].arguments)


def make_certificates(folder):
    """Return the paths of new authorities, and of certificates for HOST with their keys.

    `certificate` is issued by an authority itself, the others by the second one below it.
    """
    import trustme

    paths = {'authority': os.path.join(folder, 'authority.pem')}
    roots = []
    for name, kind, depth in (
            ('certificate', 'ECDSA', 0), ('p256', 'ECDSA', 2), ('rsa', 'RSA', 2)):
        key_type, paths[name] = trustme.KeyType[kind], os.path.join(folder, f'{name}.pem')
        authority = trustme.CA(key_type=key_type)
        roots.append(authority.cert_pem.bytes().strip())
        for _ in range(depth):
            authority = authority.create_child_ca(key_type=key_type)
        certificate = authority.issue_cert(HOST, key_type=key_type)
        certificate.private_key_and_cert_chain_pem.write_to_path(paths[name])
    pathlib.Path(paths['authority']).write_bytes(b'\n\n'.join(roots))
    return paths


@contextlib.contextmanager
def serving(config):
    """Run the servers. Give the config with their ports."""
    with subprocess.Popen([sys.executable, __file__, '--child', 'serve', json.dumps(config)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield config | {'ports': json.loads(process.stdout.readline())}
        process.stdin.close()


def run_client(runs, config):
    """Add one run of a client to `runs`; return {} or {'error': text}."""
    try:
        done = subprocess.run([sys.executable, __file__, '--child', 'client', json.dumps(config)],
                              capture_output=True, text=True, timeout=60)
        runs.append(json.loads(done.stdout))
        return {}
    except subprocess.TimeoutExpired:
        return {'error': 'took longer than 60 s'}
    except ValueError:
        return {'error': (done.stderr.strip().splitlines() or [f'exit {done.returncode}'])[-1]}


def install_old():
    """Install the version of lowhaio that this one is compared with."""
    if not (OLD_FOLDER / 'lowhaio.py').exists():
        subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps',
                        '--disable-pip-version-check', '--target', str(OLD_FOLDER),
                        OLD.replace(' ', '==')], check=False)


def describe_environment(server_cpus, client_cpus):
    """Return what the figures depend on."""
    def version(name):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)

    names = ('lowhaio', *REAL[3:], 'uvloop', 'aiodnsresolver')
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        models = pathlib.Path('/proc/cpuinfo').read_text().split('model name')
        processor = models[1].splitlines()[0].strip(': \t')
    return {
        'date': datetime.date.today().isoformat(),
        'python': f'{platform.python_implementation()} {platform.python_version()}',
        'processor': f'{processor}, {os.cpu_count()} cpus', 'system': platform.platform(),
        'versions': {name: version(name) for name in names} | {
            'openssl': ssl.OPENSSL_VERSION, 'nginx': has_nginx() and subprocess.run(
                [has_nginx(), '-v'], capture_output=True, text=True, check=True).stderr.strip()},
        'cpus of the servers': server_cpus, 'cpus of the clients': client_cpus,
    }


# Showing it.

def by_key(data):
    """Return {(scenario, client, loop): the values of the rounds, in seconds or bytes}."""
    return {(row['scenario'], row['client'], row['loop']): [run['value'] for run in row['runs']]
            for row in data['results'] if 'error' not in row}


def ratio(values, others):
    """Return the median over the rounds, in each of which both were measured; None without any."""
    ratios = [value / other for value, other in zip(values or (), others or (), strict=False)
              if other]
    return statistics.median(ratios) if ratios else None


def show(seconds_or_bytes, unit):
    """Return a figure as text. `unit` is (its name, by what to multiply)."""
    name, scale = unit
    number = seconds_or_bytes * scale
    return f'{number:,.{0 if number >= 100 else 1 if number >= 10 else 2}f} {name}'.strip()


def print_results(data):
    """Print a table for each scenario and loop."""
    for name, value in data['environment'].items():
        print(f'{name}: {value}')
    print(f'rounds: {data["rounds"]}')

    values, last = by_key(data), None
    for row in data['results']:
        name, client, loop = key = row['scenario'], row['client'], row['loop']
        unit = SCENARIOS[name].unit
        if (name, loop) != last:
            print(f'\n{name}: {SCENARIOS[name].title} ({loop})\n  {"":16}{"median":>10}'
                  f'{"spread":>26}{"wall":>12}{"warm-up":>12}{"x lowhaio":>12}')
            last = name, loop
        if 'error' in row:
            print(f'  {client:16}failed: {row["error"]}')
            continue

        times_lowhaio = ratio(values[key], values.get((name, 'lowhaio', loop)))
        others = [show(statistics.median(run[what] for run in row['runs']), unit)
                  if what in row['runs'][0] else '-' for what in ('wall', 'warm_up')]
        spread = f'{show(min(values[key]), unit)} - {show(max(values[key]), unit)}'
        print(f'  {client:16}{show(statistics.median(values[key]), unit):>10}{spread:>26}'
              f'{others[0]:>12}{others[1]:>12}'
              f'{"-" if times_lowhaio is None else f"{times_lowhaio:.2f}":>12}')


def print_targets(data):
    """Print what was wanted of lowhaio, on asyncio's loop, and whether it was met."""
    values = by_key(data)
    print('\nlowhaio on asyncio\'s loop, against what is wanted of it')
    for name, against, most in TARGETS:
        ours, unit = values.get((name, 'lowhaio', 'asyncio')), SCENARIOS[name].unit
        if against == unit[0]:
            found, of = ours and statistics.median(ours) * unit[1], against
        else:
            other = (against, 'lowhaio') if against in SCENARIOS else (name, against)
            found, of = ratio(ours, values.get((*other, 'asyncio'))), f'of {against}'
        if found is not None:
            print(f'  {name:17}{found:8.2f} {of:18} at most {most:<5} '
                  f'{"met" if found <= most else "MISSED"}')


def print_markdown(data):
    """Print the medians on asyncio's loop as a table for the README."""
    values = by_key(data)
    clients = [client for client in CLIENTS if any(client == key[1] for key in values)]
    print('\n| | ' + ' | '.join(clients) + ' |\n|---|' + '---:|' * len(clients))
    for name, scenario in SCENARIOS.items():
        row = [values.get((name, client, 'asyncio')) for client in clients]
        if any(row):
            cells = [show(statistics.median(cell), scenario.unit) if cell else '' for cell in row]
            print(f'| {scenario.title} | {" | ".join(cells)} |')


def draw_chart(data):
    """Return an SVG of the medians on asyncio's loop. Its colours show on light and on dark."""
    values, y, parts = by_key(data), 54, []
    longest = 5     # times lowhaio: what is longer is cut
    for name in CHARTED:
        scenario = SCENARIOS[name]
        medians = {client: statistics.median(found) for client in CLIENTS
                   if client != 'against' and (found := values.get((name, client, 'asyncio')))}
        if 'lowhaio' not in medians:
            continue
        parts.append(f'<text class="title" x="0" y="{y}">{html.escape(scenario.title)}</text>')
        for client, median in medians.items():
            y += 17
            length = median / medians['lowhaio']
            kind = 'ours' if client == 'lowhaio' else 'floor' if client not in REAL else 'other'
            cut = ' »' if length > longest else ''
            width = 90 * min(length, longest)
            parts.append(
                f'<text x="128" y="{y}" text-anchor="end">{html.escape(client)}</text>'
                f'<rect class="{kind}" x="136" y="{y - 11}" width="{width:.1f}" height="13"/>'
                f'<text x="{144 + width:.1f}" y="{y}">{show(median, scenario.unit)}{cut}</text>')
        y += 33

    environment = data['environment']
    about = (f'{environment["date"]}, {environment["python"]}, {environment["processor"]}; '
             f'median, rounds: {data["rounds"]}')
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 720 {y - 6}" role="img">
<title>What HTTP clients take for one operation</title>
<style>
text {{ font: 13px system-ui, sans-serif; fill: #66707a }}
.title {{ font-weight: 600 }}
.ours {{ fill: #1a8f60 }} .other {{ fill: #6f8fc9 }} .floor {{ fill: #8d939b; opacity: .6 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #8b949e }}
.ours {{ fill: #2bb37e }} .other {{ fill: #5f80bd }}
}}
</style>
<text class="title" x="0" y="14">CPU time of the client for one operation, or what the title \
says; shorter is better</text>
<text x="0" y="31" style="font-size: 11px">{html.escape(about)}</text>
{chr(10).join(parts)}
</svg>
'''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('scenarios', nargs='*', metavar='SCENARIO', help='all, if none is given')
    parser.add_argument('--list', action='store_true', help='name the scenarios')
    parser.add_argument('--quick', action='store_true', help='one short round, on asyncio\'s loop')
    parser.add_argument('--rounds', type=int, metavar='N', help='5 unless given')
    parser.add_argument('--client', choices=CLIENTS, action='append', help='all, if none is given')
    parser.add_argument('--against', type=pathlib.Path, metavar='FOLDER',
                        help='take the lowhaio.py in it as one more client')
    parser.add_argument('--loop', choices=BOTH, action='append', help='both, if none is given')
    parser.add_argument('--json', type=pathlib.Path, metavar='FILE', help='write the figures')
    parser.add_argument('--chart', nargs=2, type=pathlib.Path, metavar=('JSON', 'SVG'),
                        help='draw the figures of an earlier run, and do nothing else')
    parser.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()

    if args.child:
        return run_child(args.child[0], json.loads(args.child[1]))
    if args.chart:
        source, target = args.chart
        return target.write_text(draw_chart(json.loads(source.read_text())), encoding='utf-8')
    if args.list:
        return print('\n'.join(f'{name:18}{SCENARIOS[name].title}' for name in SCENARIOS))
    if unknown := set(args.scenarios) - set(SCENARIOS):
        parser.error(f'expected scenarios that --list names; got {", ".join(sorted(unknown))}')

    wanted = set(args.scenarios) | {against for name, against, _ in TARGETS
                                    if name in args.scenarios and against in SCENARIOS}
    clients = [client for client in args.client or CLIENTS if client != 'against']
    if args.against:
        clients.append('against')
    if OLD in clients:
        install_old()
    data = measure_all([name for name in SCENARIOS if name in wanted or not wanted],
                       clients, args.loop or (ASYNCIO if args.quick else BOTH),
                       args.rounds or (1 if args.quick else 5), 0.15 if args.quick else 0.6,
                       args.against and str(args.against.resolve()))
    if args.json:
        args.json.write_text(json.dumps(data, indent=1), encoding='utf-8')
    print_results(data)
    print_targets(data)
    print_markdown(data)


if __name__ == '__main__':
    main()
