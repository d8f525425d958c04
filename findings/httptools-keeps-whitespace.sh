#!/usr/bin/env bash
# httptools 0.9.0 (CPython 3.11), by which uvicorn parses where it is installed, gives whitespace
# behind the value of a field as part of it. RFC 9112 5.1 has a parser exclude it, before the value
# and behind, and httptools does so before it. h11 0.16.0, and aiohttp 3.14.5 on llhttp, do both.
#
# Seen, the value of the field "a: \t b \t":
#     httptools: b'b \t'
#     h11: b'b'
#     aiohttp: b'b'
# So strip values before they are compared. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet httptools==0.9.0 h11==0.16.0 aiohttp==3.14.5
cat >"$folder/program.py" <<'END'
import asyncio

import h11
import httptools
from aiohttp.http_parser import HttpRequestParser

REQUEST = b'GET / HTTP/1.1\r\nhost: a.test\r\na: \t b \t\r\n\r\n'
fields = {}


class Protocol:
    def on_header(self, name, value):
        fields[name] = value


def by_httptools():
    httptools.HttpRequestParser(Protocol()).feed_data(REQUEST)
    return fields[b'a']


def by_h11():
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(REQUEST)
    return dict(connection.next_event().headers)[b'a']


async def by_aiohttp():
    parser = HttpRequestParser(None, asyncio.get_running_loop(), 65536)
    [(message, _)], *_ = parser.feed_data(REQUEST)
    return dict(message.raw_headers)[b'a']


print('httptools:', by_httptools())
print('h11:', by_h11())
print('aiohttp:', asyncio.run(by_aiohttp()))
END
cat >"$folder/expected" <<'END'
httptools: b'b \t'
h11: b'b'
aiohttp: b'b'
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
