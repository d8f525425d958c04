#!/usr/bin/env bash
# trio-asyncio 0.16.0 (with trio 0.35.0, CPython 3.11): whether asyncio.get_running_loop works in
# its loop depends on when it was imported by name. trio-asyncio replaces the attribute of the
# module asyncio when it is imported, so that what a library took before, with
# "from asyncio import get_running_loop", is CPython's own, which knows of no loop.
#
# Seen:
#     by name before the import: RuntimeError: no running event loop
#     by name after the import: a loop
#     as an attribute: a loop
# So a library that imports the function by name works or fails by the order of imports of the
# program. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet trio-asyncio==0.16.0 trio==0.35.0
cat >"$folder/program.py" <<'END'
import asyncio
from asyncio import get_running_loop as before
import trio_asyncio
from asyncio import get_running_loop as after


def told(function):
    try:
        function()
        return 'a loop'
    except RuntimeError as error:
        return f'RuntimeError: {error}'


async def main():
    print('by name before the import:', told(before))
    print('by name after the import:', told(after))
    print('as an attribute:', told(asyncio.get_running_loop))


trio_asyncio.run(trio_asyncio.run_aio_coroutine, main())
END
cat >"$folder/expected" <<'END'
by name before the import: RuntimeError: no running event loop
by name after the import: a loop
as an attribute: a loop
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
