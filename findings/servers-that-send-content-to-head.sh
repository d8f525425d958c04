#!/usr/bin/env bash
# daphne 4.2.3 (with Twisted 26.10.0) and the server of aiohttp 3.14.5 (CPython 3.11) answer HEAD
# with content, which RFC 9110 9.3.2 forbids, if the response is streamed. daphne takes out the
# first part alone: it calls the write of Twisted's class, which drops what it gets with the header
# section, and then replaces itself on the instance, where daphne does not look. aiohttp's add_get
# routes HEAD to the handler too, unless asked not to, and a StreamResponse writes all of it,
# although a Response, its subclass, writes nothing. Both keep the connection open. Twisted itself
# sends nothing.
#
# Seen, what follows the header section of an application that sends "one" and "two":
#     twisted, streamed: b''
#     daphne, streamed: b'two'
#     aiohttp, whole: b''
#     aiohttp, streamed: b'onetwo'
# A client that uses the connection again takes that for the next response: after HEAD to these, ask
# for "connection: close", or send GET. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet daphne==4.2.3 Twisted==26.10.0 aiohttp==3.14.5
cat >"$folder/application.py" <<'END'
async def asgi(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'one', 'more_body': True})
    await send({'type': 'http.response.body', 'body': b'two'})
END
cat >"$folder/of_twisted.py" <<'END'
import sys

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site


class Streamed(Resource):
    isLeaf = True

    def render(self, request):
        request.write(b'one')
        request.write(b'two')
        request.finish()
        return NOT_DONE_YET


reactor.listenTCP(int(sys.argv[1]), Site(Streamed()), interface='127.0.0.1')
reactor.run()
END
cat >"$folder/of_aiohttp.py" <<'END'
import sys

from aiohttp import web


async def whole(request):
    return web.Response(body=b'onetwo')


async def streamed(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'one')
    await response.write(b'two')
    await response.write_eof()
    return response

application = web.Application()
application.router.add_get('/whole', whole)
application.router.add_get('/streamed', streamed)
web.run_app(application, host='127.0.0.1', port=int(sys.argv[1]))
END
cat >"$folder/program.py" <<'END'
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


def head(port, path):
    received = b''
    with connect(port) as client:
        client.sendall(f'HEAD /{path} HTTP/1.1\r\nHost: a.test\r\n\r\n'.encode())
        try:
            while data := client.recv(65536):
                received += data
        except TimeoutError:      # as they leave it open
            header, end, content = received.partition(b'\r\n\r\n')
            assert header.startswith(b'HTTP/1.1 200 ') and end, received
            return content
    raise EOFError('closed')


for name, arguments, paths in (
    ('twisted', ['of_twisted.py', '{}'], ['streamed']),
    ('daphne', ['-m', 'daphne', '-b', '127.0.0.1', '-p', '{}', 'application:asgi'], ['streamed']),
    ('aiohttp', ['of_aiohttp.py', '{}'], ['whole', 'streamed']),
):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, *(argument.format(port) for argument in arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for path in paths:
            print(f'{name}, {path}: {head(port, path)}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
twisted, streamed: b''
daphne, streamed: b'two'
aiohttp, whole: b''
aiohttp, streamed: b'onetwo'
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
