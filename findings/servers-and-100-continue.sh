#!/usr/bin/env bash
# cheroot 11.1.2, gevent 26.9.0 and Tornado 6.6.1 (CPython 3.11) answer "Expect: 100-continue", but
# not "100-Continue", although the value has no case (RFC 9110 10.1.1): a client that waits for the
# 100 waits in vain. They, uvicorn 0.54.0 with httptools 0.9.0 and Werkzeug 3.1.9 also send a 100 to
# a client of HTTP/1.0, whose expectation has to be ignored (10.1.1), since it takes the 100 for the
# response (15.2). Werkzeug sends it twice in HTTP/1.1. aiohttp 3.14.5, and uvicorn with h11 0.16.0,
# do as the RFC says.
#
# Seen, how many responses of status 100 come for a POST whose content follows, and then 200:
#     cheroot: 1, case 0, HTTP/1.0 1
#     gevent: 1, case 0, HTTP/1.0 1
#     tornado: 1, case 0, HTTP/1.0 1
#     uvicorn-httptools: 1, case 1, HTTP/1.0 1
#     werkzeug: 2, case 2, HTTP/1.0 1
#     aiohttp: 1, case 1, HTTP/1.0 0
#     uvicorn-h11: 1, case 1, HTTP/1.0 0
# A client sends its content after a while without the 100, and reads any number of them. Fails here
# if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    cheroot==11.1.2 gevent==26.9.0 tornado==6.6.1 uvicorn==0.54.0 httptools==0.9.0 \
    werkzeug==3.1.9 aiohttp==3.14.5 h11==0.16.0
cat >"$folder/server.py" <<'END'
import asyncio
import sys

name, port = sys.argv[1], int(sys.argv[2])


def application(environ, start_response):
    length = environ.get('CONTENT_LENGTH')
    content = environ['wsgi.input'].read(*[int(length)] if length else [])
    start_response('200 OK', [('Content-Length', str(len(content)))])
    return [content]


async def asgi(scope, receive, send):
    content = b''
    while (message := await receive())['type'] == 'http.request':
        content += message['body']
        if not message['more_body']:
            break
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'%d' % len(content))]})
    await send({'type': 'http.response.body', 'body': content})


if name == 'cheroot':
    from cheroot import wsgi
    wsgi.Server(('127.0.0.1', port), application).start()
elif name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), application).serve_forever()
elif name == 'tornado':
    from tornado.web import Application, RequestHandler

    class Handler(RequestHandler):
        def prepare(self):
            self.finish(self.request.body)

    async def main():
        Application([('.*', Handler)]).listen(port, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == 'uvicorn-httptools':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='httptools', lifespan='off')
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
elif name == 'uvicorn-h11':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='h11', lifespan='off')
END
cat >"$folder/program.py" <<'END'
import re
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


def count(port, expectation=b'100-continue', version=b'HTTP/1.1'):
    received = b''
    with connect(port) as client:
        client.sendall(b'POST /a ' + version + b'\r\nHost: a.test\r\nConnection: close\r\n'
                       b'Content-Length: 3\r\nExpect: ' + expectation + b'\r\n\r\n')
        time.sleep(0.3)
        client.sendall(b'abc')
        while data := client.recv(65536):
            received += data
    assert received.endswith(b'\r\n\r\nabc'), received
    *interim, last = re.findall(rb'HTTP/1\.[01] ([0-9]{3})', received)
    assert last == b'200' and set(interim) <= {b'100'}, received
    return len(interim)


for name in ('cheroot', 'gevent', 'tornado',
             'uvicorn-httptools', 'werkzeug', 'aiohttp', 'uvicorn-h11'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {count(port)}, case {count(port, b"100-Continue")}, '
              f'HTTP/1.0 {count(port, version=b"HTTP/1.0")}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
cheroot: 1, case 0, HTTP/1.0 1
gevent: 1, case 0, HTTP/1.0 1
tornado: 1, case 0, HTTP/1.0 1
uvicorn-httptools: 1, case 1, HTTP/1.0 1
werkzeug: 2, case 2, HTTP/1.0 1
aiohttp: 1, case 1, HTTP/1.0 0
uvicorn-h11: 1, case 1, HTTP/1.0 0
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
