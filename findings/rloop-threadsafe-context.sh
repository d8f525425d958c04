#!/usr/bin/env bash
# rloop 0.5.0 (CPython 3.11): a callback of call_soon_threadsafe runs without the context variables
# of its caller. asyncio documents that the current context is used if none is given, also for this
# one, and rloop does so for call_soon. So the task of asyncio.run_coroutine_threadsafe, which
# begins in such a callback, lacks request ids and log prefixes.
#
# Seen, a variable set to 1 before each callback is scheduled, with 0 as its default:
#     asyncio: call_soon 1, call_soon_threadsafe 1, run_coroutine_threadsafe 1
#     uvloop: call_soon 1, call_soon_threadsafe 1, run_coroutine_threadsafe 1
#     rloop: call_soon 1, call_soon_threadsafe 0, run_coroutine_threadsafe 0
# To call_soon_threadsafe, give context=contextvars.copy_context(). Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet rloop==0.5.0 uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import contextvars

import rloop
import uvloop

variable = contextvars.ContextVar('variable', default=0)


def run_in(loop, take):
    async def coroutine():
        take('run_coroutine_threadsafe')

    asyncio.run_coroutine_threadsafe(coroutine(), loop).result(5)


async def main(name):
    def take(what):
        seen.append(f'{what} {variable.get()}')

    loop, seen = asyncio.get_running_loop(), []
    variable.set(1)
    loop.call_soon(take, 'call_soon')
    await asyncio.sleep(0.05)
    loop.call_soon_threadsafe(take, 'call_soon_threadsafe')
    await asyncio.sleep(0.05)
    await asyncio.to_thread(run_in, loop, take)
    print(f'{name}: {", ".join(seen)}')


for module in (asyncio, uvloop, rloop):
    with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
        runner.run(main(module.__name__))
END
cat >"$folder/expected" <<'END'
asyncio: call_soon 1, call_soon_threadsafe 1, run_coroutine_threadsafe 1
uvloop: call_soon 1, call_soon_threadsafe 1, run_coroutine_threadsafe 1
rloop: call_soon 1, call_soon_threadsafe 0, run_coroutine_threadsafe 0
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
