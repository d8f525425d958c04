#!/usr/bin/env bash
# gunicorn 27.0.1 (gthread, CPython 3.11) answers a request in the version that the request names,
# also in one that does not exist. A server must not send a version to which it does not conform
# (RFC 9110 6.2). waitress 3.0.2 and Tornado 6.6.1 answer in one of theirs, and aiohttp 3.14.5
# refuses the request.
#
# Seen, the status line for each version of a request:
#     gunicorn: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.2 200
#     waitress: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.0 200
#     tornado: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.1 200
#     aiohttp: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.0 400
# So the version in a response of gunicorn says nothing about gunicorn. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    gunicorn==27.0.1 waitress==3.0.2 tornado==6.6.1 aiohttp==3.14.5
cat >"$folder/server.py" <<'END'
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']


if name == 'gunicorn':
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set('bind', f'127.0.0.1:{port}')
            self.cfg.set('worker_class', 'gthread')

        def load(self):
            return application

    Application().run()
elif name == 'waitress':
    import waitress
    waitress.serve(application, host='127.0.0.1', port=port)
elif name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        def prepare(self):
            self.finish('ok')

    async def main():
        Application([('.*', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        return web.Response(text='ok')

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


def told(port, version):
    received = b''
    with connect(port) as client:
        client.sendall(b'GET /a ' + version.encode() + b'\r\nHost: a.test\r\n'
                       b'Connection: close\r\n\r\n')
        while data := client.recv(65536):
            received += data
    return f'{version} -> {received[:12].decode()}'


for name in ('gunicorn', 'waitress', 'tornado', 'aiohttp'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {told(port, "HTTP/1.1")}, {told(port, "HTTP/1.2")}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
gunicorn: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.2 200
waitress: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.0 200
tornado: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.1 200
aiohttp: HTTP/1.1 -> HTTP/1.1 200, HTTP/1.2 -> HTTP/1.0 400
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
