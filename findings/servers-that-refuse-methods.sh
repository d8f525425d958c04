#!/usr/bin/env bash
# uvicorn 0.54.0 with httptools 0.9.0, and the server of aiohttp 3.14.5 with its parser in C
# (CPython 3.11), refuse a request whose method is not on the list of llhttp, their parser, with 400
# and before any application sees it. A method is any token, and one that is not known should get a
# 501 (RFC 9110 9.1). gunicorn 27.0.1 refuses those of more than 20 characters, unless
# permit_unconventional_http_method is set. uvicorn with h11 0.16.0, and aiohttp with its parser in
# Python, take any.
#
# Seen, the status for each method, of an application that answers all with 200:
#     uvicorn-httptools: REPORT 200, RESTOCK 400, RESTOCK-EVERYTHING-NOW 400
#     aiohttp: REPORT 200, RESTOCK 400, RESTOCK-EVERYTHING-NOW 400
#     gunicorn: REPORT 200, RESTOCK 200, RESTOCK-EVERYTHING-NOW 400
#     uvicorn-h11: REPORT 200, RESTOCK 200, RESTOCK-EVERYTHING-NOW 200
# So a method of one's own works or not by the parser that is installed. AIOHTTP_NO_EXTENSIONS=1
# chooses that of aiohttp. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    uvicorn==0.54.0 httptools==0.9.0 aiohttp==3.14.5 gunicorn==27.0.1 h11==0.16.0
cat >"$folder/server.py" <<'END'
import sys

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']


async def asgi(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'2')]})
    await send({'type': 'http.response.body', 'body': b'ok'})


if name == 'uvicorn-httptools':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='httptools', lifespan='off')
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        return web.Response(text='ok')

    application = web.Application()
    application.router.add_route('*', '/{path:.*}', handler)
    web.run_app(application, host='127.0.0.1', port=port)
elif name == 'gunicorn':
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set('bind', f'127.0.0.1:{port}')
            self.cfg.set('worker_class', 'gthread')

        def load(self):
            return application

    Application().run()
elif name == 'uvicorn-h11':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='h11', lifespan='off')
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


def told(port, method):
    received = b''
    with connect(port) as client:
        client.sendall(method.encode() + b' /a HTTP/1.1\r\nHost: a.test\r\n'
                       b'Connection: close\r\n\r\n')
        while data := client.recv(65536):
            received += data
    return f'{method} {received[9:12].decode()}'


for name in ('uvicorn-httptools', 'aiohttp', 'gunicorn', 'uvicorn-h11'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {told(port, "REPORT")}, {told(port, "RESTOCK")}, '
              f'{told(port, "RESTOCK-EVERYTHING-NOW")}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
uvicorn-httptools: REPORT 200, RESTOCK 400, RESTOCK-EVERYTHING-NOW 400
aiohttp: REPORT 200, RESTOCK 400, RESTOCK-EVERYTHING-NOW 400
gunicorn: REPORT 200, RESTOCK 200, RESTOCK-EVERYTHING-NOW 400
uvicorn-h11: REPORT 200, RESTOCK 200, RESTOCK-EVERYTHING-NOW 200
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
