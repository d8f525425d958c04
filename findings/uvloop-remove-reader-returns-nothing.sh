#!/usr/bin/env bash
# uvloop 0.23.0 (CPython 3.11): loop.remove_reader and loop.remove_writer return None. asyncio
# documents True if the descriptor was monitored, and False if not, as its own loop does. For
# signals, uvloop does so too.
#
# Seen, of removing what is there, and then what is not:
#     asyncio: reader True False, writer True False, signal True False
#     uvloop: reader None None, writer None None, signal True False
# So code that goes by the result, as to remove its own reader once, takes each for one that was
# not there. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import signal
import socket

import uvloop


async def main(name):
    loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, print)
        loop.add_writer(ours, print)
        loop.add_signal_handler(signal.SIGUSR1, print)
        print(f'{name}: reader {loop.remove_reader(ours)} {loop.remove_reader(ours)}, '
              f'writer {loop.remove_writer(ours)} {loop.remove_writer(ours)}, '
              f'signal {loop.remove_signal_handler(signal.SIGUSR1)} '
              f'{loop.remove_signal_handler(signal.SIGUSR1)}')


asyncio.run(main('asyncio'))
uvloop.run(main('uvloop'))
END
cat >"$folder/expected" <<'END'
asyncio: reader True False, writer True False, signal True False
uvloop: reader None None, writer None None, signal True False
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
