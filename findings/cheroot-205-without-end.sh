#!/usr/bin/env bash
# cheroot 11.1.2 (CPython 3.11) takes 205 for a status that never has content, as 204 and 304: it
# adds neither a coding nor a length, and keeps the connection open. But RFC 9112 6.3 excepts 1xx,
# 204 and 304 alone, so that the content of this 205 goes on until the connection is closed. RFC
# 9110 15.3.6 forbids content in it, and earlier RFCs told how to say that there is none: by a
# length of 0, by an empty chunked content, or by closing (RFC 7231 6.3.6).
#
# Seen, the framing fields and the end of a response of an application that gives no field and no
# content:
#     200: transfer-encoding, ends at once
#     204: nothing, ends at once
#     205: nothing, open
# A client waits until cheroot closes what is idle, after 10 s, unless the application gives
# content-length. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet cheroot==11.1.2
cat >"$folder/program.py" <<'END'
import http.client
import threading

from cheroot import wsgi


def application(environ, start_response):
    start_response(environ['PATH_INFO'][1:] + ' Reason', [])
    return []


server = wsgi.Server(('127.0.0.1', 0), application)
server.prepare()
threading.Thread(target=server.serve, daemon=True).start()
for code in (200, 204, 205):
    client = http.client.HTTPConnection(*server.bind_addr, timeout=2)
    client.request('GET', f'/{code}')
    response = client.getresponse()
    framing = ', '.join(
        name.lower() for name, _ in response.getheaders()
        if name.lower() in ('connection', 'content-length', 'transfer-encoding'))
    try:
        assert response.read() == b''
        end = 'ends at once'
    except TimeoutError:
        end = 'open'
    print(f'{response.status}: {framing or "nothing"}, {end}')
    client.close()
server.stop()
END
cat >"$folder/expected" <<'END'
200: transfer-encoding, ends at once
204: nothing, ends at once
205: nothing, open
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
