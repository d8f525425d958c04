#!/usr/bin/env bash
# aiodnsresolver 0.0.157 (CPython 3.11): a program that keeps the exception of a failed look-up, as
# asyncio.gather(return_exceptions=True) or a log does, gets the next answer for that name again and
# again. Its time to live is not looked at, no query is sent, and clear_cache() changes nothing,
# until the exception is gone. Its traceback keeps frames, these keep the lock of the name, which is
# otherwise forgotten, and the lock remembers a result.
#
# Seen, where the name server is silent once, then answers 127.0.0.1, .2, .3... with a TTL of 1 s,
# and the name is asked for every 1.1 s:
#     failed: DnsTimeout
#     127.0.0.1 127.0.0.1 127.0.0.1
#     after clear_cache: 127.0.0.1
#     without the exception: 127.0.0.2
# error.with_traceback(None) is enough on 3.11; from 3.12 on, its causes and contexts need it too.
# Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet aiodnsresolver==0.0.157
cat >"$folder/program.py" <<'END'
import asyncio
import gc
import socket

from aiodnsresolver import (
    RESPONSE, TYPES, DnsTimeout, Message, ResourceRecord, Resolver, pack, parse)


class NameServer(asyncio.DatagramProtocol):
    asked = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        query, self.asked = parse(data), self.asked + 1
        if self.asked > 1:
            answer = ResourceRecord(
                query.qd[0].name, TYPES.A, 1, 1, socket.inet_aton(f'127.0.0.{self.asked - 1}'))
            self.transport.sendto(pack(Message(
                query.qid, RESPONSE, 0, 0, 0, 1, 1, 0, 0, query.qd, (answer,), (), ())), address)


async def main():
    async def get_nameservers(_, __):
        yield 0.2, transport.get_extra_info('sockname')

    async def look_up():
        return str((await resolve('a.test', TYPES.A))[0])

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, ('127.0.0.1', 0))
    resolve, clear_cache = Resolver(get_nameservers=get_nameservers)
    kept, = await asyncio.gather(look_up(), return_exceptions=True)
    assert isinstance(kept, DnsTimeout)
    print('failed:', type(kept).__name__)

    answers = []
    for _ in range(3):
        answers.append(await look_up())
        await asyncio.sleep(1.1)
    print(*answers)
    await clear_cache()
    print('after clear_cache:', await look_up())
    del kept
    gc.collect()
    print('without the exception:', await look_up())
    transport.close()

asyncio.run(main())
END
cat >"$folder/expected" <<'END'
failed: DnsTimeout
127.0.0.1 127.0.0.1 127.0.0.1
after clear_cache: 127.0.0.1
without the exception: 127.0.0.2
END
"$folder/venv/bin/python" "$folder/program.py" 2>/dev/null | tee "$folder/got"
diff "$folder/expected" "$folder/got"
