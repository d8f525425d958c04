#!/usr/bin/env bash
# cheroot 11.1.2, gevent 26.9.0, gunicorn 27.0.1 (gthread), Tornado 6.6.1 and Werkzeug 3.1.9
# (CPython 3.11) close a TLS connection without a closure alert, after whole responses too, although
# TLS wants one before each close (RFC 8446 6.1), and HTTP wants servers to try (RFC 9112 9.8). The
# close() of Python's ssl sends none without an unwrap(). asyncio sends one, and so do aiohttp
# 3.14.5 and uvicorn 0.54.0 on it.
#
# Seen, how TLS 1.3 ends after a whole response with "Connection: close":
#     cheroot: SSLEOFError
#     gevent: SSLEOFError
#     gunicorn: SSLEOFError
#     tornado: SSLEOFError
#     werkzeug: SSLEOFError
#     aiohttp: closure alert
#     uvicorn: closure alert
# Where the end of the connection is the end of the content, as in HTTP/1.0, a client cannot tell it
# from content that was cut off (RFC 9112 8): give it a length. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet cheroot==11.1.2 gevent==26.9.0 gunicorn==27.0.1 \
    tornado==6.6.1 werkzeug==3.1.9 aiohttp==3.14.5 uvicorn==0.54.0 trustme==1.2.1
cat >"$folder/server.py" <<'END'
import asyncio
import ssl
import sys

name, port = sys.argv[1], int(sys.argv[2])
files = {'certfile': 'cert.pem', 'keyfile': 'key.pem'}
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(**files)


def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'yes']


async def asgi(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'3')]})
    await send({'type': 'http.response.body', 'body': b'yes'})


if name == 'cheroot':
    from cheroot import wsgi
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    server = wsgi.Server(('127.0.0.1', port), application)
    server.ssl_adapter = BuiltinSSLAdapter('cert.pem', 'key.pem')
    server.start()
elif name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), application, **files).serve_forever()
elif name == 'gunicorn':
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            for setting in (('bind', f'127.0.0.1:{port}'), ('worker_class', 'gthread'),
                            *files.items()):
                self.cfg.set(*setting)

        def load(self):
            return application

    Application().run()
elif name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        def get(self):
            self.finish('yes')

    async def main():
        Application([('/', Handler)]).listen(port, '127.0.0.1', ssl_options=context)
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'werkzeug':
    from werkzeug.serving import run_simple
    run_simple('127.0.0.1', port, application, ssl_context=context, threaded=True)
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(_):
        return web.Response(text='yes')

    application = web.Application()
    application.router.add_get('/', handler)
    web.run_app(application, host='127.0.0.1', port=port, ssl_context=context)
else:
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, lifespan='off',
                ssl_certfile='cert.pem', ssl_keyfile='key.pem')
END
cat >"$folder/program.py" <<'END'
import pathlib
import socket
import ssl
import subprocess
import sys
import time

import trustme

authority = trustme.CA()
certificate = authority.issue_cert('a.test')
pathlib.Path('key.pem').write_bytes(certificate.private_key_pem.bytes())
pathlib.Path('cert.pem').write_bytes(certificate.cert_chain_pems[0].bytes())
context = ssl.create_default_context()
authority.configure_trust(context)


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(('127.0.0.1', port), 5)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError('no server')


def end_of_response(port):
    received = b''
    with context.wrap_socket(connect(port), server_hostname='a.test',
                             suppress_ragged_eofs=False) as client:
        client.sendall(b'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n')
        try:
            while data := client.recv(65536):
                received += data
        except ssl.SSLEOFError:
            end = 'SSLEOFError'
        else:
            end = 'closure alert'
    assert received.startswith(b'HTTP/1.1 200 ') and received.endswith(b'\r\n\r\nyes'), received
    return end


for name in ('cheroot', 'gevent', 'gunicorn', 'tornado', 'werkzeug', 'aiohttp', 'uvicorn'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {end_of_response(port)}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
cheroot: SSLEOFError
gevent: SSLEOFError
gunicorn: SSLEOFError
tornado: SSLEOFError
werkzeug: SSLEOFError
aiohttp: closure alert
uvicorn: closure alert
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
