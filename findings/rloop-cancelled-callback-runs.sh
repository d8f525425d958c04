#!/usr/bin/env bash
# rloop 0.5.0 (CPython 3.11): a callback of call_soon that is cancelled before it has run is run all
# the same, if what cancels it is a callback of the same turn of the loop. asyncio documents that
# Handle.cancel() cancels a callback that has not been executed, and code relies on it: what has
# just ended takes back what it had scheduled. The handle also lacks the method cancelled(), while
# that of a timer has it and is not run.
#
# Seen, where the first of two callbacks cancels the second:
#     asyncio: call_soon is not run, call_at is not run, cancelled() of call_soon: yes
#     uvloop: call_soon is not run, call_at is not run, cancelled() of call_soon: yes
#     rloop: call_soon is run, call_at is not run, cancelled() of call_soon: no
# Let the callback look for itself whether it still applies. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet rloop==0.5.0 uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import time

import rloop
import uvloop


async def main(name):
    loop, ran, handles = asyncio.get_running_loop(), [], {}
    loop.call_soon(lambda: handles['call_soon'].cancel())
    handles['call_soon'] = loop.call_soon(ran.append, 'call_soon')
    await asyncio.sleep(0.01)

    at = loop.time() + 0.01
    loop.call_at(at, lambda: handles['call_at'].cancel())
    handles['call_at'] = loop.call_at(at + 0.005, ran.append, 'call_at')
    await asyncio.sleep(0)
    time.sleep(0.03)                    # so that both are due in the same turn
    await asyncio.sleep(0.01)

    told = ', '.join(f'{what} is {"run" if what in ran else "not run"}' for what in handles)
    has = 'yes' if hasattr(handles['call_soon'], 'cancelled') else 'no'
    print(f'{name}: {told}, cancelled() of call_soon: {has}')


for module in (asyncio, uvloop, rloop):
    with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
        runner.run(main(module.__name__))
END
cat >"$folder/expected" <<'END'
asyncio: call_soon is not run, call_at is not run, cancelled() of call_soon: yes
uvloop: call_soon is not run, call_at is not run, cancelled() of call_soon: yes
rloop: call_soon is run, call_at is not run, cancelled() of call_soon: no
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
