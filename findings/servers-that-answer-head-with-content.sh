#!/usr/bin/env bash
# waitress 3.0.2 and daphne 4.2.3 (CPython 3.11) answer HEAD with content, on a connection that
# stays open. waitress sends what the WSGI application returns, unless that leaves it out by itself;
# daphne leaves out the first piece of an ASGI application's answer, and sends the ones after it.
# RFC 9110 9.3.2 allows none, and gunicorn 27.0.1 sends none.
#
# Seen, what follows the header section, from an application that answers "one" and "two":
#     gunicorn: b''
#     waitress: b'onetwo'
#     daphne: b'two'
# To a client, these are the beginning of its next response: whether that fails depends on which of
# the two comes first. So let an application answer HEAD itself there, without content. Fails here
# if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet waitress==3.0.2 daphne==4.2.3 gunicorn==27.0.1
cat >"$folder/application.py" <<'END'
def wsgi(environ, start_response):
    start_response('200 OK', [('content-length', '6')])
    return [b'one', b'two']


async def asgi(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'6')]})
    await send({'type': 'http.response.body', 'body': b'one', 'more_body': True})
    await send({'type': 'http.response.body', 'body': b'two'})
END
cat >"$folder/program.py" <<'END'
import socket
import subprocess
import sys
import time

commands = {
    'gunicorn': ['gunicorn', '--worker-class=gthread', '--bind=127.0.0.1:{}', 'application:wsgi'],
    'waitress': ['waitress', '--listen=127.0.0.1:{}', 'application:wsgi'],
    'daphne': ['daphne', '--bind=127.0.0.1', '--port={}', 'application:asgi'],
}
for name, command in commands.items():
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, '-m', *(part.format(port) for part in command)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                client = socket.create_connection(('127.0.0.1', port))
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        with client:
            client.sendall(b'HEAD / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
            client.settimeout(1)
            received = b''
            try:
                while data := client.recv(65536):
                    received += data
            except TimeoutError:            # it is open, for the next request
                print(f'{name}:', received.partition(b'\r\n\r\n')[2])
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
gunicorn: b''
waitress: b'onetwo'
daphne: b'two'
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
