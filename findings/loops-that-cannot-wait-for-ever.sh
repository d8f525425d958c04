#!/usr/bin/env bash
# rloop 0.5.0 and qasync 0.28.0 with PySide6-Essentials 6.12.0 (CPython 3.11): a timer for an
# infinite time, as asyncio.sleep(math.inf) and asyncio.timeout(math.inf) ask for. asyncio's own
# loop and uvloop wait. rloop calls back at once, and qasync turns the time into an int.
#
# Seen, of asyncio.sleep(math.inf), watched for 50 ms:
#     asyncio: sleeps
#     uvloop: sleeps
#     rloop: has slept
#     qasync: OverflowError: cannot convert float infinity to integer
# So what is to have no limit needs a way without a timer. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uvloop==0.23.0 rloop==0.5.0 qasync==0.28.0 \
    PySide6-Essentials==6.12.0
cat >"$folder/program.py" <<'END'
import asyncio
import functools
import math
import sys

name = sys.argv[1]
if name == 'qasync':
    import qasync
    from PySide6.QtCore import QCoreApplication
    new_loop = functools.partial(qasync.QEventLoop, QCoreApplication([]))
elif name == 'asyncio':
    new_loop = asyncio.new_event_loop
else:
    new_loop = __import__(name).new_event_loop


async def main():
    sleeper = asyncio.create_task(asyncio.sleep(math.inf))
    await asyncio.sleep(0.05)
    if not sleeper.done():
        print(f'{name}: sleeps')
        sleeper.cancel()
    elif error := sleeper.exception():
        print(f'{name}: {type(error).__name__}: {error}')
    else:
        print(f'{name}: has slept')


with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
END
cat >"$folder/expected" <<'END'
asyncio: sleeps
uvloop: sleeps
rloop: has slept
qasync: OverflowError: cannot convert float infinity to integer
END
for name in asyncio uvloop rloop qasync; do
    QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" "$folder/program.py" "$name"
done | tee "$folder/got"
diff "$folder/expected" "$folder/got"
