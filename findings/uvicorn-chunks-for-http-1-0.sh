#!/usr/bin/env bash
# uvicorn 0.54.0 with httptools 0.9.0 (CPython 3.11) answers a request of HTTP/1.0 in chunks, if the
# application gives no content-length, although RFC 9112 6.1 lets it use Transfer-Encoding for
# HTTP/1.1 alone. With h11 0.16.0, its parser where httptools is not installed, it does not.
#
# Seen, the content of an application that answers "one" and "two":
#     h11: b'onetwo'
#     httptools: b'3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n'
# A client of HTTP/1.0 that goes by its own version takes the sizes for content: go by the field.
# Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0
cat >"$folder/application.py" <<'END'
async def asgi(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'one', 'more_body': True})
    await send({'type': 'http.response.body', 'body': b'two'})
END
cat >"$folder/program.py" <<'END'
import socket
import subprocess
import sys
import time

for parser in ('h11', 'httptools'):
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, '-m', 'uvicorn', f'--http={parser}', f'--port={port}', '--lifespan=off',
         '--log-level=critical', 'application:asgi'])
    try:
        for _ in range(100):
            try:
                client = socket.create_connection(('127.0.0.1', port))
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        with client:
            client.sendall(b'GET / HTTP/1.0\r\n\r\n')
            received = b''
            while data := client.recv(65536):
                received += data
        print(f'{parser}:', received.partition(b'\r\n\r\n')[2])
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
h11: b'onetwo'
httptools: b'3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n'
END
(cd "$folder" && venv/bin/python program.py) | tee "$folder/got"
diff "$folder/expected" "$folder/got"
