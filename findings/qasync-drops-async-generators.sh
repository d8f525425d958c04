#!/usr/bin/env bash
# qasync 0.28.0 with PySide6-Essentials 6.12.0 (CPython 3.11): an async generator that is dropped
# before its end is not closed. The loop sets no hooks for async generators (PEP 525), as asyncio's
# loops do while they run, so that a `finally` that awaits is cut short, with a complaint to stderr;
# and loop.shutdown_asyncgens() knows of none.
#
# Seen, how far the `finally` of each comes, which awaits once:
#     asyncio: dropped: to its end, left to shutdown_asyncgens: to its end
#     uvloop: dropped: to its end, left to shutdown_asyncgens: to its end
#     qasync: dropped: to its await, left to shutdown_asyncgens: not begun
# So close each with aclose(), as by contextlib.aclosing. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet qasync==0.28.0 PySide6-Essentials==6.12.0 \
    uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import functools
import gc
import sys

import qasync
import uvloop
from PySide6.QtCore import QCoreApplication

LOOPS = {
    'asyncio': asyncio.new_event_loop,
    'uvloop': uvloop.new_event_loop,
    'qasync': functools.partial(qasync.QEventLoop, QCoreApplication([])),
}


async def numbers(state):
    state.append('not begun')
    try:
        yield 1
    finally:
        state.append('to its await')
        await asyncio.sleep(0)
        state.append('to its end')


async def drop(state):
    async for _ in numbers(state):
        break
    gc.collect()
    await asyncio.sleep(0.05)


async def leave(state, kept):
    kept.append(numbers(state))
    await anext(kept[0])

name = sys.argv[1]
dropped, left, kept = [], [], []
loop = LOOPS[name]()
asyncio.set_event_loop(loop)
loop.run_until_complete(drop(dropped))
loop.run_until_complete(leave(left, kept))
loop.run_until_complete(loop.shutdown_asyncgens())
print(f'{name}: dropped: {dropped[-1]}, left to shutdown_asyncgens: {left[-1]}')
END
cat >"$folder/expected" <<'END'
asyncio: dropped: to its end, left to shutdown_asyncgens: to its end
uvloop: dropped: to its end, left to shutdown_asyncgens: to its end
qasync: dropped: to its await, left to shutdown_asyncgens: not begun
END
for name in asyncio uvloop qasync; do
    QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" "$folder/program.py" "$name" \
        2>"$folder/stderr"
done | tee "$folder/got"
diff "$folder/expected" "$folder/got"
