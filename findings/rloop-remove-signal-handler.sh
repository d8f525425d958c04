#!/usr/bin/env bash
# rloop 0.5.0 (CPython 3.11): loop.remove_signal_handler always raises an AttributeError, for want
# of a method of rloop's own. A handler that loop.add_signal_handler has added works, and stays
# until the loop is closed. What takes its handlers back when it ends fails there.
#
# Seen, of one that is added, called by its signal, and removed:
#     uvloop: called, True
#     rloop: called, AttributeError: 'RLoop' object has no attribute '_is_main_thread'
# Replace the handler by one that does nothing instead. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet rloop==0.5.0 uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import signal

import rloop
import uvloop


async def main(name):
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, called.set)
    signal.raise_signal(signal.SIGUSR1)
    await asyncio.wait_for(called.wait(), 5)
    try:
        outcome = loop.remove_signal_handler(signal.SIGUSR1)
    except AttributeError as error:
        outcome = f'AttributeError: {error}'
    print(f'{name}: called, {outcome}')


for module in (uvloop, rloop):
    with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
        runner.run(main(module.__name__))
END
cat >"$folder/expected" <<'END'
uvloop: called, True
rloop: called, AttributeError: 'RLoop' object has no attribute '_is_main_thread'
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
