#!/usr/bin/env bash
# Starlette 1.10.0 (CPython 3.11): a StreamingResponse whose content is made of the request's own
# stream loses parts of it. On servers of ASGI's spec_version below 2.4, it waits for the client to
# disconnect beside the sending, and so takes messages of the request's body that the stream awaits.
#
# Seen, four messages of a body that is echoed:
#     spec_version 2.3: 2 4
#     spec_version 2.4: 1 2 3 4
# So read the request to its end before its response begins, as a proxy by lowhaio does, where
# request() returns when the body has been sent. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet starlette==1.10.0
cat >"$folder/program.py" <<'END'
import asyncio

from starlette.requests import Request
from starlette.responses import StreamingResponse


async def echo(scope, receive, send):
    await StreamingResponse(Request(scope, receive).stream())(scope, receive, send)


async def main():
    for version in ('2.3', '2.4'):
        received, echoed = iter('1234'), []

        async def receive():
            await asyncio.sleep(0.01)
            number = next(received, None)
            if number is None:
                return {'type': 'http.disconnect'}
            return {'type': 'http.request', 'body': number.encode(), 'more_body': number != '4'}

        async def send(message):
            echoed.append(message.get('body', b'').decode())

        scope = {'type': 'http', 'method': 'POST', 'headers': [],
                 'asgi': {'version': '3.0', 'spec_version': version}}
        try:
            await asyncio.wait_for(echo(scope, receive, send), 2)
        except Exception as error:
            print(type(error).__name__)
        print(f'spec_version {version}:', ' '.join(filter(None, echoed)))


asyncio.run(main())
END
cat >"$folder/expected" <<'END'
spec_version 2.3: 2 4
spec_version 2.4: 1 2 3 4
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
