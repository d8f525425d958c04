#!/usr/bin/env bash
# rloop 0.5.0 (CPython 3.11): the handler given to loop.set_exception_handler is called with the
# context alone, not with (loop, context) as asyncio documents it. A handler that is written for
# asyncio so fails with a TypeError, and what it would have told is lost but for rloop's own log.
#
# Seen, the arguments of a handler, when a callback raises:
#     asyncio: loop, dict
#     rloop: dict
# A handler for both takes *args, and the last one. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet rloop==0.5.0
cat >"$folder/program.py" <<'END'
import asyncio

import rloop


async def main(name):
    def handler(*args):
        told.set_result(', '.join('loop' if arg is loop else type(arg).__name__ for arg in args))

    def fail():
        raise ValueError('of a callback')

    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    print(f'{name}: {await asyncio.wait_for(told, 5)}')


for name, new_loop in (('asyncio', asyncio.new_event_loop), ('rloop', rloop.new_event_loop)):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(name))
END
cat >"$folder/expected" <<'END'
asyncio: loop, dict
rloop: dict
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
