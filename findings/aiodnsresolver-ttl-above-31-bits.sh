#!/usr/bin/env bash
# aiodnsresolver 0.0.157 (CPython 3.11): a TTL whose most significant bit is set is read as 68 years
# and more. RFC 2181 8 has a recipient treat it as zero, so that the record is used once. Here the
# answer is taken from the cache for as long as the process lives, or until clear_cache().
#
# Seen, the seconds until `expires_at` of the answer, and the number of queries for two look-ups:
#     TTL 0x7fffffff: 2147483647 s, 1 query
#     TTL 0x80000000: 2147483648 s, 1 query
# Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet aiodnsresolver==0.0.157
cat >"$folder/program.py" <<'END'
import asyncio

from aiodnsresolver import RESPONSE, TYPES, Message, ResourceRecord, Resolver, pack, parse


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, ttl):
        self.ttl, self.asked = ttl, 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        query, self.asked = parse(data), self.asked + 1
        answer = ResourceRecord(query.qd[0].name, TYPES.A, 1, self.ttl, b'\x7f\0\0\1')
        self.transport.sendto(pack(Message(
            query.qid, RESPONSE, 0, 0, 0, 1, 1, 0, 0, query.qd, (answer,), (), ())), address)


async def main():
    loop = asyncio.get_running_loop()
    for ttl in (0x7fffffff, 0x80000000):
        transport, server = await loop.create_datagram_endpoint(
            lambda: NameServer(ttl), ('127.0.0.1', 0))      # noqa: B023

        async def get_nameservers(_, __):
            yield 1, transport.get_extra_info('sockname')      # noqa: B023

        resolve, clear_cache = Resolver(get_nameservers=get_nameservers)
        for _ in range(2):
            address, = await resolve('a.test', TYPES.A)
        seconds = round(address.expires_at - loop.time())
        print(f'TTL {ttl:#x}: {seconds} s, {server.asked} query')
        await clear_cache()
        transport.close()

asyncio.run(main())
END
cat >"$folder/expected" <<'END'
TTL 0x7fffffff: 2147483647 s, 1 query
TTL 0x80000000: 2147483648 s, 1 query
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
