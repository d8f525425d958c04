#!/usr/bin/env bash
# uvicorn 0.54.0 with h11 0.16.0, granian 2.8.9, the server of aiohttp 3.14.5, and Tornado 6.6.1
# (CPython 3.11) give no response to a client that closes its sending side after a whole request, as
# programs that read their request from a pipe do ("nc -N"), if the application is not done by then:
# they close without a byte. What such a client has sent is a complete request (RFC 9112 6.3), and
# TCP lets the other side go on sending (RFC 9293 3.6). hypercorn 0.18.0, gunicorn 27.0.1 (gthread),
# gevent 26.9.0 and waitress 3.0.2 answer.
#
# Seen, the status after shutdown(SHUT_WR), of an application that takes 0.3 s:
#     uvicorn-h11: nothing
#     granian: nothing
#     aiohttp: nothing
#     tornado: nothing
#     hypercorn: 200
#     gunicorn: 200
#     gevent: 200
#     waitress: 200
# A client keeps its sending side open until the response has ended. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    uvicorn==0.54.0 h11==0.16.0 granian==2.8.9 aiohttp==3.14.5 tornado==6.6.1 hypercorn==0.18.0 \
    gunicorn==27.0.1 gevent==26.9.0 waitress==3.0.2
cat >"$folder/server.py" <<'END'
import asyncio
import sys
import time

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    time.sleep(0.3)
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']


async def asgi(scope, receive, send):
    await asyncio.sleep(0.3)
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'2')]})
    await send({'type': 'http.response.body', 'body': b'ok'})


if __name__ != '__main__':         # a worker of granian
    pass
elif name == 'uvicorn-h11':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='h11', lifespan='off')
elif name == 'granian':
    from granian import Granian
    Granian('server:asgi', address='127.0.0.1', port=port, interface='asgi').serve()
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        await asyncio.sleep(0.3)
        return web.Response(text='ok')

    application = web.Application()
    application.router.add_route('*', '/{path:.*}', handler)
    web.run_app(application, host='127.0.0.1', port=port)
elif name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        async def prepare(self):
            await asyncio.sleep(0.3)
            self.finish('ok')

    async def main():
        Application([('.*', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'hypercorn':
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.bind = [f'127.0.0.1:{port}']
    asyncio.run(serve(asgi, config))
elif name == 'gunicorn':
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set('bind', f'127.0.0.1:{port}')
            self.cfg.set('worker_class', 'gthread')

        def load(self):
            return application

    Application().run()
elif name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), application).serve_forever()
elif name == 'waitress':
    import waitress
    waitress.serve(application, host='127.0.0.1', port=port)
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


def status(port):
    received = b''
    with connect(port) as client:
        client.sendall(b'GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n')
        client.shutdown(socket.SHUT_WR)
        while data := client.recv(65536):
            received += data
    return received[9:12].decode() or 'nothing'


for name in ('uvicorn-h11', 'granian', 'aiohttp', 'tornado',
             'hypercorn', 'gunicorn', 'gevent', 'waitress'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {status(port)}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
uvicorn-h11: nothing
granian: nothing
aiohttp: nothing
tornado: nothing
hypercorn: 200
gunicorn: 200
gevent: 200
waitress: 200
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
