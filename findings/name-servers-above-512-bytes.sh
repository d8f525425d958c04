#!/usr/bin/env bash
# The UDP servers of dnslib 0.9.26 and of Twisted Names 26.10.0 (CPython 3.11) send an answer whole,
# however long it is. Without EDNS, a message over UDP has 512 bytes at most (RFC 1035 4.2.1), with
# it no more than the query says (RFC 6891 6.2.3), and what is cut has its TC bit set, so that the
# client asks over TCP. dnslib has a limit of its own, `udplen`, which is off unless set.
#
# Seen, of 40 A records for one name, to a query without EDNS, and to one that takes 600 bytes:
#     dnslib: 664 bytes, not truncated; 664 bytes, not truncated
#     twisted: 664 bytes, not truncated; 664 bytes, not truncated
# A resolver that receives 512 bytes gets what it cannot read, and no sign that TCP would help.
# Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet dnslib==0.9.26 twisted==26.10.0
cat >"$folder/server.py" <<'END'
import sys

name, port = sys.argv[1], int(sys.argv[2])
addresses = [f'127.0.0.{number}' for number in range(1, 41)]

if name == 'dnslib':
    from dnslib import QTYPE, RR, A
    from dnslib.server import BaseResolver, DNSServer

    class Resolver(BaseResolver):
        def resolve(self, request, handler):
            reply = request.reply()
            for address in addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=60))
            return reply

    DNSServer(Resolver(), address='127.0.0.1', port=port).start()
else:
    from twisted.internet import defer, reactor
    from twisted.names import common, dns, server

    class Resolver(common.ResolverBase):
        def _lookup(self, name, cls, type, timeout):
            records = [dns.RRHeader(name, dns.A, dns.IN, 60, dns.Record_A(address, 60))
                       for address in addresses]
            return defer.succeed((records, [], []))

    reactor.listenUDP(port, dns.DNSDatagramProtocol(
        server.DNSServerFactory(clients=[Resolver()])), interface='127.0.0.1')
    reactor.run()
END
cat >"$folder/program.py" <<'END'
import pathlib
import socket
import struct
import subprocess
import sys
import time

QUESTION = b'\1a\4test\0' + struct.pack('!HH', 1, 1)             # A, IN
OPT = b'\0' + struct.pack('!HHLH', 41, 600, 0, 0)                # 600 bytes, no options


def ask(port, additional):
    query = struct.pack('!HHHHHH', 1, 0x0100, 1, 0, 0, 1 if additional else 0) \
        + QUESTION + additional
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(('127.0.0.1', port))
        client.settimeout(1)
        for _ in range(50):             # until the server is there
            try:
                client.send(query)
                answer = client.recv(65535)
            except (ConnectionRefusedError, TimeoutError):
                time.sleep(0.1)
                continue
            assert struct.unpack('!H', answer[6:8]) == (40,), answer
            return f'{len(answer)} bytes, {"" if answer[2] & 2 else "not "}truncated'
    raise TimeoutError('no server')


for name in ('dnslib', 'twisted'):
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name('server.py'), name, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print(f'{name}: {ask(port, b"")}; {ask(port, OPT)}')
    finally:
        server.terminate()
        server.wait()
END
cat >"$folder/expected" <<'END'
dnslib: 664 bytes, not truncated; 664 bytes, not truncated
twisted: 664 bytes, not truncated; 664 bytes, not truncated
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
