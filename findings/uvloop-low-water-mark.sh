#!/usr/bin/env bash
# uvloop 0.23.0 (CPython 3.11): the low-water mark of a new transport is 16 bytes. asyncio's own has
# 16 KiB, a quarter of the high-water mark, and so has uvloop's once it is told to take the
# defaults. Until then, a writer that was held back, as by StreamWriter.drain(), is let go on when
# all but 16 bytes have gone to the kernel, and not while there is still something to send.
#
# Seen, the (low, high) of a new transport, and after set_write_buffer_limits() without arguments:
#     asyncio: (16384, 65536), then (16384, 65536)
#     uvloop: (16, 65536), then (16384, 65536)
# So call it, if a peer is to be kept busy. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uvloop==0.23.0
cat >"$folder/program.py" <<'END'
import asyncio
import socket

import uvloop


async def main(name):
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        new = writer.transport.get_write_buffer_limits()
        writer.transport.set_write_buffer_limits()
        print(f'{name}: {new}, then {writer.transport.get_write_buffer_limits()}')
        writer.close()


asyncio.run(main('asyncio'))
uvloop.run(main('uvloop'))
END
cat >"$folder/expected" <<'END'
asyncio: (16384, 65536), then (16384, 65536)
uvloop: (16, 65536), then (16384, 65536)
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
