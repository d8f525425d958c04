#!/usr/bin/env bash
# uvloop 0.23.0 (CPython 3.11): a callback of call_at may run before its time by the clock of the
# loop. The delay is rounded to whole milliseconds, down as well as up, and loop.time() counts in
# these. On asyncio's own loop, a callback is at most a tick of the clock early.
#
# Seen, the earliest of twenty callbacks that were asked for 10.4 ms ahead:
#     asyncio: not before its time
#     uvloop: 0.4 ms before its time
# So code that looks at loop.time() when its timer fires, and finds the time not over, has to wait
# once more. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio

import uvloop


async def main(name):
    loop, early = asyncio.get_running_loop(), 0
    for _ in range(20):
        fired, when = loop.create_future(), loop.time() + 0.0104
        loop.call_at(when, lambda: fired.set_result(loop.time()))
        early = max(early, when - await fired)
    told = f'{early * 1000:.1f} ms' if early > 1e-6 else 'not'
    print(f'{name}: {told} before its time')


asyncio.run(main('asyncio'))
uvloop.run(main('uvloop'))
END
cat >"$folder/expected" <<'END'
asyncio: not before its time
uvloop: 0.4 ms before its time
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
