"""What lowhaio is for, in two requests, or with a URL: fetch that.

    python example.py
    python example.py https://www.example.com/

Without a URL, a small server on a loopback address is started first. It echoes what it is sent, or
counts in chunks, and says in a header field over which of its connections a request came. With a
URL, the body goes to standard output as it arrives, status and headers to standard error.
"""

import asyncio
import contextlib
import os
import sys

from lowhaio import HttpError, Pool, buffered


async def use_server():
    """Sends a body that is made as it is sent, and receives one as it is made."""
    async with local_server() as url:
        request, close = Pool()
        try:
            async def poem():
                for line in (b'Roses are red\n', b'Violets are blue\n'):
                    yield line

            code, headers, body = await request(
                b'POST', url + 'echo', body=poem, headers=((b'content-length', b'31'),))
            show('POST', code, headers)
            print((await buffered(body)).decode())

            code, headers, body = await request(b'GET', url + 'count')
            show('GET', code, headers)
            async for chunk in body:
                print(chunk.decode())

            is_reused = (b'x-connection', b'1') in headers
            print(f'The second request reused the connection of the first: {is_reused}')
        finally:
            await close()


async def fetch(url):
    """Fetches `url`, and writes its body as it arrives."""
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
    print(method, code.decode(), file=file)
    for name, value in headers:
        print(f'    {name.decode()}: {value.decode("latin-1")}', file=file)


@contextlib.asynccontextmanager
async def local_server():
    """Gives the URL of a server that understands just the requests of this example."""
    tasks = []      # one for each connection

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        field = b'x-connection: %d\r\n' % len(tasks)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b'\r\n\r\n')
                writer.write(b'HTTP/1.1 200 OK\r\n' + field)
                if head.startswith(b'POST'):
                    length = head.lower().split(b'content-length:')[1].split(b'\r\n')[0]
                    body = await reader.readexactly(int(length))
                    writer.write(b'content-length:' + length + b'\r\n\r\n' + body)
                else:
                    writer.write(b'transfer-encoding: chunked\r\n\r\n')
                    for word in (b'one', b'two', b'three'):
                        writer.write(b'%x\r\n%b\r\n' % (len(word), word))
                        await writer.drain()
                        await asyncio.sleep(0.2)
                    writer.write(b'0\r\n\r\n')
        writer.close()

    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        try:
            yield f'http://{host}:{port}/'
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks)


def main(arguments):
    """Gives the exit status."""
    if len(arguments) > 1 or arguments[:1] in (['-h'], ['--help']):
        print('usage: python example.py [URL]', file=sys.stderr)
        return 2
    try:
        asyncio.run(fetch(arguments[0]) if arguments else use_server())
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
