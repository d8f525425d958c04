#!/usr/bin/env bash
# trio-asyncio 0.16.0 with trio 0.33.0 (CPython 3.11): it finds the running loop by a context
# variable of the current Trio task, and each add_reader callback is a Trio task of its own, in the
# context in which add_reader was called. If that is an empty one, asyncio.get_running_loop() raises
# in a callback of the loop that is running. A call_soon callback in an empty context is no such
# task, and finds the loop, as all of them do on asyncio's own loop.
#
# Seen:
#     asyncio: call_soon finds the loop, add_reader finds the loop
#     trio-asyncio: call_soon finds the loop, add_reader says no running event loop
# Give add_reader a context in which the loop has run. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet trio-asyncio==0.16.0 trio==0.33.0
cat >"$folder/program.py" <<'END'
import asyncio
import contextvars
import functools
import socket
import sys

if sys.argv[1] == 'trio-asyncio':
    import trio_asyncio
    run = functools.partial(trio_asyncio.run, trio_asyncio.run_aio_coroutine)
else:
    run = asyncio.run


def look():
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        return f'says {error}'
    return 'finds the loop'


async def main():
    loop = asyncio.get_running_loop()
    soon, read = loop.create_future(), loop.create_future()
    ours, theirs = socket.socketpair()

    def on_readable():
        loop.remove_reader(ours)
        read.set_result(look())

    loop.call_soon(lambda: soon.set_result(look()), context=contextvars.Context())
    contextvars.Context().run(loop.add_reader, ours, on_readable)
    theirs.send(b'x')
    print(f'{sys.argv[1]}: call_soon {await soon}, add_reader {await read}')
    ours.close()
    theirs.close()


run(main())
END
cat >"$folder/expected" <<'END'
asyncio: call_soon finds the loop, add_reader finds the loop
trio-asyncio: call_soon finds the loop, add_reader says no running event loop
END
for kind in asyncio trio-asyncio; do
    "$folder/venv/bin/python" -W ignore "$folder/program.py" "$kind"
done | tee "$folder/got"
diff "$folder/expected" "$folder/got"
