#!/usr/bin/env bash
# Tornado 6.6.1, the server of aiohttp 3.14.5, gevent 26.9.0 and gunicorn 27.0.1 (asgi) give a
# client of HTTP/1.0 that asks for keep-alive a response that has no end, if the application streams
# it. They rightly do not use chunks, and name no length, so that only closing ends the content (RFC
# 9112 6.3), and a connection persists only if all messages have a length of their own (9.3). They
# leave it open all the same, until their keep-alive time-out: by default 2 s for gunicorn, 75 s for
# aiohttp, an hour for Tornado, and none for gevent. Tornado and gevent even answer with
# "Connection: keep-alive". uvicorn 0.54.0 with h11 0.16.0 closes.
#
# Seen, what comes after all of the content of GET:
#     tornado: without the field closed, keep-alive open
#     aiohttp: without the field closed, keep-alive open
#     gevent: without the field closed, keep-alive open
#     gunicorn: without the field closed, keep-alive open
#     uvicorn: without the field closed, keep-alive closed
# The client has all of it, and waits. Do not ask for keep-alive in HTTP/1.0. Fails here if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet tornado==6.6.1 aiohttp==3.14.5 gevent==26.9.0 \
    gunicorn==27.0.1 uvicorn==0.54.0 h11==0.16.0
cat >"$folder/server.py" <<'END'
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])


async def asgi(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b'one', 'more_body': True})
        await send({'type': 'http.response.body', 'body': b'two'})


def wsgi(environ, start_response):
    start_response('200 OK', [])
    yield b'one'
    yield b'two'


if name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        async def get(self):
            self.write('one')
            await self.flush()
            self.write('two')

    async def main():
        Application([('/', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'one')
        await response.write(b'two')
        await response.write_eof()
        return response

    application = web.Application()
    application.router.add_get('/', handler)
    web.run_app(application, host='127.0.0.1', port=port)
elif name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), wsgi).serve_forever()
elif name == 'gunicorn':
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set('bind', f'127.0.0.1:{port}')
            self.cfg.set('worker_class', 'asgi')

        def load(self):
            return asgi

    Application().run()
else:
    import uvicorn
    uvicorn.run(asgi, port=port, http='h11', lifespan='off')
END
cat >"$folder/program.py" <<'END'
import pathlib
import socket
import subprocess
import sys
import time


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(('127.0.0.1', port), 1)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError('no server')


def get(port, field):
    received = b''
    with connect(port) as client:
        client.sendall(b'GET / HTTP/1.0\r\nHost: a.test\r\n' + field + b'\r\n')
        try:
            while data := client.recv(65536):
                received += data
        except TimeoutError:
            state = 'open'
        else:
            state = 'closed'
    header, _, content = received.partition(b'\r\n\r\n')
    assert content == b'onetwo', received
    assert b'content-length' not in header.lower(), received
    assert b'transfer-encoding' not in header.lower(), received
    return state


for name in ('tornado', 'aiohttp', 'gevent', 'gunicorn', 'uvicorn'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name('server.py'), name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: without the field {get(port, b"")}, '
              f'keep-alive {get(port, b"Connection: keep-alive" + bytes((13, 10)))}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
tornado: without the field closed, keep-alive open
aiohttp: without the field closed, keep-alive open
gevent: without the field closed, keep-alive open
gunicorn: without the field closed, keep-alive open
uvicorn: without the field closed, keep-alive closed
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
