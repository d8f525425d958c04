"""What lowhaio is for, in some seconds, or with a URL: fetch that.

    python example.py
    python example.py https://www.example.com/

Without a URL, two small servers are started on this machine, and stand for the addresses that
www.example.com has, one after the other: nothing leaves the machine. With a URL, the body goes to
standard output as it arrives, status and headers to standard error.
"""

import asyncio
import contextlib
import os
import socket
import sys
import time

from lowhaio import HttpError, Pool, buffered

BLUE, GREEN = '192.0.2.1', '192.0.2.2'      # addresses for documentation, RFC 5737
URL = 'http://www.example.com/'
MEGABYTE = bytes(1_000_000)


async def show_off():
    """Make the requests that show what is special."""
    async with local_server('blue') as blue, local_server('green') as green:
        records = [BLUE]                    # the A records of www.example.com
        request, close = Pool(
            get_sock=get_sock_to({BLUE: blue, GREEN: green}),
            get_dns_resolver=get_resolver_of(records))
        try:
            await stream_both_ways(request)
            await show_progress(request)
            await be_answered_early(request)
            await follow_dns(request, records)
        finally:
            await close()


async def stream_both_ways(request):
    """Send a body that is made as it is sent, and receive one as it is made."""
    async def poem():
        for line in (b'Roses are red\n', b'Violets are blue\n'):
            await asyncio.sleep(0.2)
            yield line

    code, headers, body = await request(
        b'POST', URL + 'echo', body=poem, headers=((b'content-length', b'31'),))
    show('POST', code, headers)
    print((await buffered(body)).decode())

    code, headers, body = await request(b'GET', URL + 'count')
    show('GET', code, headers)
    async for chunk in body:
        print(chunk.decode())
    is_reused = (b'x-connection', b'blue 1') in headers
    print(f'The second request reused the connection of the first: {is_reused}\n')


async def show_progress(request):
    """Receive a large body in little memory, with a progress line where one can be seen."""
    begin, received, shown, is_seen = time.monotonic(), 0, 0, sys.stdout.isatty()
    code, headers, body = await request(b'GET', URL + 'large')
    show('GET', code, headers)
    total = int(dict(headers)[b'content-length'])
    async for chunk in body:
        received += len(chunk)
        if is_seen and received - shown > total / 50:
            shown = received
            print(f'\r{received / total:4.0%} [{"#" * (50 * received // total):50}]', end='')
    if is_seen:
        print('\r' + 60 * ' ' + '\r', end='')
    print(f'{received / 1e6:.0f} MB in {time.monotonic() - begin:.1f} s\n')


async def be_answered_early(request):
    """Begin to send a gigabyte to a server that does not want it, and says so at once."""
    sent = 0

    async def gigabyte():
        nonlocal sent
        for _ in range(10_000):
            yield MEGABYTE[:100_000]
            sent += 100_000

    code, headers, body = await request(
        b'PUT', URL + 'large', body=gigabyte, headers=((b'content-length', b'1000000000'),))
    show('PUT', code, headers)
    print((await buffered(body)).decode())
    print(f'The answer came when {sent / 1e6:.1f} of 1000 MB were sent: the rest was not\n')


async def follow_dns(request, records):
    """Go on with requests while the name gets another address."""
    for number in range(8):
        code, _, body = await request(b'GET', URL)
        print(f'GET {code.decode()} from {(await buffered(body)).decode()}')
        if number == 2:
            records[:] = [GREEN]
            print('Now www.example.com has another A record, with a time to live of a second')
        await asyncio.sleep(0.25)


async def fetch(url):
    """Fetch `url`, and write its body as it arrives."""
    request, close = Pool()
    try:
        code, headers, body = await request(b'GET', url)
        show('GET', code, headers, file=sys.stderr)
        async for chunk in body:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    finally:
        await close()


def show(method, code, headers, file=None):
    """Print what came before the body."""
    print(method, code.decode(), file=file)
    for name, value in headers:
        print(f'    {name.decode()}: {value.decode("latin-1")}', file=file)


def get_sock_to(ports):
    """Return a `get_sock` of sockets that connect to a port of this machine for each address."""
    class Socket(socket.socket):
        def connect(self, address):
            super().connect(('127.0.0.1', ports[address[0]]))

    def get_sock():
        sock = Socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        return sock
    return get_sock


def get_resolver_of(records):
    """Return a `get_dns_resolver` that finds `records`, whatever they are then."""
    async def resolve(host, record_type, get_logger_adapter):
        return list(records)

    async def clear_cache(get_logger_adapter):
        pass

    return lambda get_logger_adapter: (resolve, clear_cache)


@contextlib.asynccontextmanager
async def local_server(name):
    """Yield the port of a server that understands just the requests of this example."""
    tasks = []      # one for each connection

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        field = b'x-connection: %b %d\r\n' % (name.encode(), len(tasks))
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b'\r\n\r\n')
                await answer(head, field, reader, writer)
        writer.close()

    async def answer(head, field, reader, writer):
        method, target, _ = head.split(b' ', 2)
        if method == b'PUT':
            content = b'That is too large'
            writer.write(b'HTTP/1.1 413 Content Too Large\r\n' + field
                         + b'content-length: %d\r\n\r\n' % len(content) + content)
            await asyncio.sleep(60)         # without reading any of the body
        writer.write(b'HTTP/1.1 200 OK\r\n' + field)
        if method == b'POST':
            length = head.lower().split(b'content-length:')[1].split(b'\r\n')[0]
            body = await reader.readexactly(int(length))
            writer.write(b'content-length:' + length + b'\r\n\r\n' + body)
        elif target == b'/large':
            writer.write(b'content-length: %d\r\n\r\n' % (200 * len(MEGABYTE)))
            for _ in range(200):
                writer.write(MEGABYTE)
                await writer.drain()
        elif target == b'/count':
            writer.write(b'transfer-encoding: chunked\r\n\r\n')
            for word in (b'one', b'two', b'three'):
                writer.write(b'%x\r\n%b\r\n' % (len(word), word))
                await writer.drain()
                await asyncio.sleep(0.2)
            writer.write(b'0\r\n\r\n')
        else:
            writer.write(b'content-length: %d\r\n\r\n' % len(name) + name.encode())

    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks)


def main(arguments):
    """Return the exit status."""
    if len(arguments) > 1 or arguments[:1] in (['-h'], ['--help']):
        print('usage: python example.py [URL]', file=sys.stderr)
        return 2
    try:
        asyncio.run(fetch(arguments[0]) if arguments else show_off())
        sys.stdout.flush()
    except HttpError as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    except OSError as error:        # of standard output: nothing more can be written to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):      # else whoever read it has enough
            print(f'standard output: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
