#!/usr/bin/env bash
# gevent 26.9.0, hypercorn 0.18.0 and uvicorn 0.54.0 with h11 0.16.0 (CPython 3.11) refuse a request
# that begins with an empty line, and Werkzeug 3.1.9 closes without a word. A server should ignore
# at least one, since some clients send a line end behind the content that they have sent (RFC 9112
# 2.2). uvicorn with httptools 0.9.0, aiohttp 3.14.5, cheroot 11.1.2 and others do.
#
# Seen, of a POST and a GET on one connection, with an empty line between the two:
#     gevent: 200, 400
#     hypercorn: 200, 400
#     uvicorn-h11: 200, 400
#     werkzeug: 200, closed
#     uvicorn-httptools: 200, 200
#     aiohttp: 200, 200
#     cheroot: 200, 200
# A client sends nothing that it has not announced. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
    gevent==26.9.0 hypercorn==0.18.0 uvicorn==0.54.0 h11==0.16.0 werkzeug==3.1.9 \
    httptools==0.9.0 aiohttp==3.14.5 cheroot==11.1.2
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


if name == 'gevent':
    from gevent.pywsgi import WSGIServer
    WSGIServer(('127.0.0.1', port), application).serve_forever()
elif name == 'hypercorn':
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.bind = [f'127.0.0.1:{port}']
    asyncio.run(serve(asgi, config))
elif name == 'uvicorn-h11':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='h11', lifespan='off')
elif name == 'werkzeug':
    from werkzeug.serving import run_simple
    run_simple('127.0.0.1', port, application, threaded=True)
elif name == 'uvicorn-httptools':
    import uvicorn
    uvicorn.run(asgi, host='127.0.0.1', port=port, http='httptools', lifespan='off')
elif name == 'aiohttp':
    from aiohttp import web

    async def handler(request):
        return web.Response(text=(await request.read()).decode())

    application = web.Application()
    application.router.add_route('*', '/{path:.*}', handler)
    web.run_app(application, host='127.0.0.1', port=port)
elif name == 'cheroot':
    from cheroot import wsgi
    wsgi.Server(('127.0.0.1', port), application).start()
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


def statuses(port):
    received = b''
    with connect(port) as client:
        client.sendall(b'POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc'
                       b'\r\nGET /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n')
        while data := client.recv(65536):
            received += data
    codes = re.findall('HTTP/1\\.1 ([0-9]{3})', received.decode())
    return ', '.join(codes if len(codes) == 2 else [*codes, 'closed'])


for name in ('gevent', 'hypercorn', 'uvicorn-h11',
             'werkzeug', 'uvicorn-httptools', 'aiohttp', 'cheroot'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, 'server.py', name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {statuses(port)}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
gevent: 200, 400
hypercorn: 200, 400
uvicorn-h11: 200, 400
werkzeug: 200, closed
uvicorn-httptools: 200, 200
aiohttp: 200, 200
cheroot: 200, 200
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
