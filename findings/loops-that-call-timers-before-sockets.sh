#!/usr/bin/env bash
# qasync 0.28.0 with PySide6-Essentials 6.12.0, and trio-asyncio 0.16.0 with trio 0.35.0 (CPython
# 3.11): when a socket has become readable and then a timer is due, while the loop was held up, they
# call the timer first. asyncio's own loop, uvloop and rloop call the reader first. So a time limit
# that a timer sets ends what had arrived in time, after any callback that takes too long, as in
# programs with a user interface.
#
# Seen, where bytes come at once, the timer is due after 20 ms, and the loop is held up for 50:
#     asyncio: reader, timer
#     uvloop: reader, timer
#     rloop: reader, timer
#     qasync: timer, reader
#     trio-asyncio: timer, reader
# So let the timer try the socket once more. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uvloop==0.23.0 rloop==0.5.0 qasync==0.28.0 \
    PySide6-Essentials==6.12.0 trio-asyncio==0.16.0 trio==0.35.0
cat >"$folder/program.py" <<'END'
import asyncio
import functools
import socket
import sys
import time

name = sys.argv[1]


async def main():
    loop, (ours, theirs), seen = asyncio.get_running_loop(), socket.socketpair(), []

    def on_readable():
        loop.remove_reader(ours.fileno())
        seen.append('reader')

    with ours, theirs:
        ours.setblocking(False)
        loop.add_reader(ours.fileno(), on_readable)
        loop.call_later(0.02, seen.append, 'timer')
        await asyncio.sleep(0.01)
        theirs.send(b'in time')
        time.sleep(0.05)
        await asyncio.sleep(0.05)
    return seen


if name == 'trio-asyncio':
    import trio_asyncio
    runs = [trio_asyncio.run(trio_asyncio.aio_as_trio(main)) for _ in range(5)]
else:
    if name == 'qasync':
        import qasync
        from PySide6.QtCore import QCoreApplication
        new_loop = functools.partial(qasync.QEventLoop, QCoreApplication([]))
    elif name == 'asyncio':
        new_loop = asyncio.new_event_loop
    else:
        new_loop = __import__(name).new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runs = [runner.run(main()) for _ in range(5)]
assert all(run == runs[0] for run in runs), runs
print(f'{name}: {", ".join(runs[0])}')
END
cat >"$folder/expected" <<'END'
asyncio: reader, timer
uvloop: reader, timer
rloop: reader, timer
qasync: timer, reader
trio-asyncio: timer, reader
END
for name in asyncio uvloop rloop qasync trio-asyncio; do
    QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" "$folder/program.py" "$name"
done | tee "$folder/got"
diff "$folder/expected" "$folder/got"
