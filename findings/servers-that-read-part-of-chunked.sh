#!/usr/bin/env bash
# Tornado 6.6.1, Sanic 25.12.1 and Werkzeug 3.1.9 (CPython 3.11) refuse parts of the chunked coding
# that a recipient has to take: a chunk extension is to be ignored (RFC 9112 7.1.1), a trailer
# section is to be read, even if only to be dropped (7.1.2), and the name of the coding is to be
# compared without its case (7). Others take all of them, such as aiohttp 3.14.5.
#
# Seen, the status of a POST of "abc" in one chunk, with an extension, with a trailer field, and as
# "Chunked":
#     tornado: 200, extension 400, trailer 400, Chunked 200
#     sanic: 200, extension 200, trailer 400, Chunked 400
#     werkzeug: 200, extension 500, trailer 500, Chunked 200
#     aiohttp: 200, extension 200, trailer 200, Chunked 200
# A client that signs its chunks, or adds a checksum behind them, does not get through. Fails here
# if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    tornado==6.6.1 sanic==25.12.1 werkzeug==3.1.9 aiohttp==3.14.5
cat >"$folder/server.py" <<'END'
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    length = environ.get('CONTENT_LENGTH')
    content = environ['wsgi.input'].read(*[int(length)] if length else [])
    start_response('200 OK', [('Content-Length', str(len(content)))])
    return [content]


if name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        def prepare(self):
            self.finish(self.request.body)

    async def main():
        Application([('.*', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'sanic':
    from sanic import Sanic, text
    app = Sanic('app')

    @app.route('/<path:path>', methods=['GET', 'POST'])
    async def handler(request, path):
        return text(request.body.decode())

    app.run(host='127.0.0.1', port=port, single_process=True)
elif name == 'werkzeug':
    from werkzeug.serving import run_simple
    run_simple('127.0.0.1', port, application, threaded=True)
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        return web.Response(text=(await request.read()).decode())

    application = web.Application()
    application.router.add_route('*', '/{path:.*}', handler)
    web.run_app(application, host='127.0.0.1', port=port)
END
cat >"$folder/program.py" <<'END'
import socket
import subprocess
import sys
import time


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(('127.0.0.1', port), 1.5)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError('no server')


ONE_CHUNK = b'3\r\nabc\r\n0\r\n\r\n'
EXTENDED = b'3;a=b\r\nabc\r\n0\r\n\r\n'
WITH_TRAILER = b'3\r\nabc\r\n0\r\na: b\r\n\r\n'


def status(port, content, coding=b'chunked'):
    with connect(port) as client:
        client.sendall(b'POST /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n'
                       b'Transfer-Encoding: ' + coding + b'\r\n\r\n' + content)
        received = b''
        while data := client.recv(65536):
            received += data
    code = received[9:12].decode()
    assert code != '200' or received.endswith(b'\r\n\r\nabc'), received
    return code


for name in ('tornado', 'sanic', 'werkzeug', 'aiohttp'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {status(port, ONE_CHUNK)}, extension {status(port, EXTENDED)}, '
              f'trailer {status(port, WITH_TRAILER)}, '
              f'Chunked {status(port, ONE_CHUNK, b"Chunked")}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
tornado: 200, extension 400, trailer 400, Chunked 200
sanic: 200, extension 200, trailer 400, Chunked 400
werkzeug: 200, extension 500, trailer 500, Chunked 200
aiohttp: 200, extension 200, trailer 200, Chunked 200
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
