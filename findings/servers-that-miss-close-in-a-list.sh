#!/usr/bin/env bash
# waitress 3.0.2, gunicorn 27.0.1 (gthread), cheroot 11.1.2, gevent 26.9.0 and Tornado 6.6.1
# (CPython 3.11) heed "close" only if it is all of the Connection field. The field is a list (RFC
# 9110 7.6.1), whose sender has to name TE in it if it sends that (10.1.4), and a server that
# receives "close" has to close after its response (RFC 9112 9.6). These leave the connection open,
# and gunicorn answers with "keep-alive". aiohttp 3.14.5 closes, as others do.
#
# Seen, what comes of a whole request with each field:
#     waitress: "close" closed, "TE, close" open
#     gunicorn: "close" closed, "TE, close" open
#     cheroot: "close" closed, "TE, close" open
#     gevent: "close" closed, "TE, close" open
#     tornado: "close" closed, "TE, close" open
#     aiohttp: "close" closed, "TE, close" closed
# A client that reads until the server closes waits for the server's time-out: go by the length, and
# close. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet waitress==3.0.2 gunicorn==27.0.1 cheroot==11.1.2 \
    gevent==26.9.0 tornado==6.6.1 aiohttp==3.14.5
cat >"$folder/server.py" <<'END'
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'yes']


if name == 'waitress':
    import waitress
    waitress.serve(application, host='127.0.0.1', port=port)
elif name == 'gunicorn':
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set('bind', f'127.0.0.1:{port}')
            self.cfg.set('worker_class', 'gthread')

        def load(self):
            return application

    Application().run()
elif name == 'cheroot':
    from cheroot import wsgi
    wsgi.Server(('127.0.0.1', port), application).start()
elif name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), application).serve_forever()
elif name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        def get(self):
            self.finish('yes')

    async def main():
        Application([('/', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
else:
    from aiohttp import web

    async def handler(_):
        return web.Response(text='yes')

    application = web.Application()
    application.router.add_get('/', handler)
    web.run_app(application, host='127.0.0.1', port=port)
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
            return socket.create_connection(('127.0.0.1', port), 1.5)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError('no server')


def ask(port, field):
    received = b''
    with connect(port) as client:
        client.sendall(b'GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n'
                       b'Connection: ' + field.encode() + b'\r\n\r\n')
        try:
            while data := client.recv(65536):
                received += data
        except TimeoutError:
            state = 'open'
        else:
            state = 'closed'
    assert received.startswith(b'HTTP/1.1 200 ') and received.endswith(b'\r\n\r\nyes'), received
    return f'"{field}" {state}'


for name in ('waitress', 'gunicorn', 'cheroot', 'gevent', 'tornado', 'aiohttp'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name('server.py'), name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {ask(port, "close")}, {ask(port, "TE, close")}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
waitress: "close" closed, "TE, close" open
gunicorn: "close" closed, "TE, close" open
cheroot: "close" closed, "TE, close" open
gevent: "close" closed, "TE, close" open
tornado: "close" closed, "TE, close" open
aiohttp: "close" closed, "TE, close" closed
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
