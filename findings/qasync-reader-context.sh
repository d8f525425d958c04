#!/usr/bin/env bash
# qasync 0.28.0 with PySide6-Essentials 6.12.0 (CPython 3.11): a callback of add_reader runs without
# the context variables of the task that called add_reader. asyncio documents for its callbacks that
# they run in the current context of where they are scheduled, and its own loop does so for readers
# too; qasync does it for call_soon and call_later alone.
#
# Seen, a variable set to 1 before each callback is scheduled, with 0 as its default:
#     asyncio: call_soon 1, call_later 1, add_reader 1
#     qasync: call_soon 1, call_later 1, add_reader 0
# So request ids and log prefixes that live in context variables are missing in what a socket wakes.
# Give the callback its context: context.run(...). Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet qasync==0.28.0 PySide6-Essentials==6.12.0
cat >"$folder/program.py" <<'END'
import asyncio
import contextvars
import functools
import socket
import sys

if sys.argv[1] == 'qasync':
    import qasync
    from PySide6.QtCore import QCoreApplication
    new_loop = functools.partial(qasync.QEventLoop, QCoreApplication([]))
else:
    new_loop = asyncio.new_event_loop

variable = contextvars.ContextVar('variable', default=0)


async def main():
    loop = asyncio.get_running_loop()
    soon, later, read = (loop.create_future() for _ in range(3))
    ours, theirs = socket.socketpair()

    def on_readable():
        loop.remove_reader(ours.fileno())
        read.set_result(variable.get())

    variable.set(1)
    loop.call_soon(lambda: soon.set_result(variable.get()))
    loop.call_later(0.01, lambda: later.set_result(variable.get()))
    loop.add_reader(ours.fileno(), on_readable)
    theirs.send(b'x')
    print(f'{sys.argv[1]}: call_soon {await soon}, call_later {await later}, '
          f'add_reader {await read}')
    ours.close()
    theirs.close()


with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
END
cat >"$folder/expected" <<'END'
asyncio: call_soon 1, call_later 1, add_reader 1
qasync: call_soon 1, call_later 1, add_reader 0
END
for name in asyncio qasync; do
    QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" "$folder/program.py" "$name"
done | tee "$folder/got"
diff "$folder/expected" "$folder/got"
