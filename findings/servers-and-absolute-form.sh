#!/usr/bin/env bash
# What an application sees of "GET http://a.test/b", a request-target in absolute form, which a
# server has to accept although only proxies are sent it (RFC 9112 3.2.2), and which means the path
# /b. gevent 26.9.0, Tornado 6.6.1, Twisted 26.10.0, hypercorn 0.18.0 and uvicorn 0.54.0 with h11
# 0.16.0 (CPython 3.11) give all of it as the path, cheroot 11.1.2 refuses it, and aiohttp 3.14.5,
# gunicorn 27.0.1, waitress 3.0.2 and uvicorn with httptools 0.9.0 give the path.
#
# Seen, of an application that answers with its path:
#     gevent: 200 http://a.test/b
#     tornado: 200 http://a.test/b
#     twisted: 200 http://a.test/b
#     hypercorn: 200 http://a.test/b
#     uvicorn-h11: 200 http://a.test/b
#     cheroot: 400
#     aiohttp: 200 /b
#     gunicorn: 200 /b
#     waitress: 200 /b
#     uvicorn-httptools: 200 /b
# Behind a proxy that passes the form on, the same routes are found on some servers, and not on
# others. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    gevent==26.9.0 tornado==6.6.1 twisted==26.10.0 hypercorn==0.18.0 uvicorn==0.54.0 h11==0.16.0 \
    cheroot==11.1.2 aiohttp==3.14.5 gunicorn==27.0.1 waitress==3.0.2 httptools==0.9.0
cat >"$folder/server.py" <<'END'
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    told = environ['PATH_INFO'].encode()
    start_response('200 OK', [('Content-Length', str(len(told)))])
    return [told]


async def asgi(scope, receive, send):
    told = scope['path'].encode()
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'%d' % len(told))]})
    await send({'type': 'http.response.body', 'body': told})


if name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), application).serve_forever()
elif name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        def prepare(self):
            self.finish(self.request.path)

    async def main():
        Application([('.*', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'twisted':
    from twisted.internet import reactor
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Handler(Resource):
        isLeaf = True

        def render(self, request):
            return request.path

    reactor.listenTCP(port, Site(Handler()), interface='127.0.0.1')
    reactor.run()
elif name == 'hypercorn':
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.bind = [f'127.0.0.1:{port}']
    asyncio.run(serve(asgi, config))
elif name == 'uvicorn-h11':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='h11', lifespan='off')
elif name == 'cheroot':
    from cheroot import wsgi
    wsgi.Server(('127.0.0.1', port), application).start()
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        return web.Response(text=request.path)

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
elif name == 'waitress':
    import waitress
    waitress.serve(application, host='127.0.0.1', port=port)
elif name == 'uvicorn-httptools':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='httptools', lifespan='off')
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


def answer(port):
    received = b''
    with connect(port) as client:
        client.sendall(b'GET http://a.test/b HTTP/1.1\r\nHost: a.test\r\n'
                       b'Connection: close\r\n\r\n')
        while data := client.recv(65536):
            received += data
    head, _, content = received.decode().partition('\r\n\r\n')
    code = head.split()[1]
    return f'{code} {content}' if code == '200' else code


for name in ('gevent', 'tornado', 'twisted', 'hypercorn', 'uvicorn-h11',
             'cheroot', 'aiohttp', 'gunicorn', 'waitress', 'uvicorn-httptools'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {answer(port)}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
gevent: 200 http://a.test/b
tornado: 200 http://a.test/b
twisted: 200 http://a.test/b
hypercorn: 200 http://a.test/b
uvicorn-h11: 200 http://a.test/b
cheroot: 400
aiohttp: 200 /b
gunicorn: 200 /b
waitress: 200 /b
uvicorn-httptools: 200 /b
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
