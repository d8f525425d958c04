#!/usr/bin/env bash
# qasync 0.28.0 with PySide6-Essentials 6.12.0 (CPython 3.11): call_later and call_at return a plain
# asyncio.Handle. asyncio documents a TimerHandle, whose when() is the time of the callback. So code
# that asks a timer how much time is left fails with an AttributeError.
#
# Seen, of what call_later and call_at return:
#     asyncio: TimerHandle with when(), TimerHandle with when()
#     uvloop: TimerHandle with when(), TimerHandle with when()
#     qasync: Handle without when(), Handle without when()
# Keep the time beside the handle. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet qasync==0.28.0 PySide6-Essentials==6.12.0 \
    uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import functools
import sys

import qasync
import uvloop
from PySide6.QtCore import QCoreApplication

LOOPS = {
    'asyncio': asyncio.new_event_loop,
    'uvloop': uvloop.new_event_loop,
    'qasync': functools.partial(qasync.QEventLoop, QCoreApplication([])),
}


async def main(name):
    loop, told = asyncio.get_running_loop(), []
    for handle in (loop.call_later(60, print), loop.call_at(loop.time() + 60, print)):
        handle.cancel()
        try:
            handle.when()
            told.append(f'{type(handle).__name__} with when()')
        except AttributeError:
            told.append(f'{type(handle).__name__} without when()')
    print(f'{name}: {", ".join(told)}')


with asyncio.Runner(loop_factory=LOOPS[sys.argv[1]]) as runner:
    runner.run(main(sys.argv[1]))
END
cat >"$folder/expected" <<'END'
asyncio: TimerHandle with when(), TimerHandle with when()
uvloop: TimerHandle with when(), TimerHandle with when()
qasync: Handle without when(), Handle without when()
END
for name in asyncio uvloop qasync; do
    QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" "$folder/program.py" "$name"
done | tee "$folder/got"
diff "$folder/expected" "$folder/got"
