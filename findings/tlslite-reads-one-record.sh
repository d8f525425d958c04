#!/usr/bin/env bash
# tlslite-ng 0.8.2 (CPython 3.11): behind its TLSSocketServerMixIn, the `rfile` of http.server has
# no buffer, since TLSConnection.makefile returns a raw stream, whatever buffer it is asked for. So
# rfile.read(length) returns what is left of one TLS record, 16 KiB at most, and a handler that goes
# by http.server's documentation gets the first part of an upload. Over Python's own ssl, it returns
# all of it.
#
# Seen, of content of 100,000 bytes:
#     ssl: <class '_io.BufferedReader'>, 100000 bytes
#     tlslite: <class 'socket.SocketIO'>, 16384 bytes
# So wrap it: io.BufferedReader(self.rfile). Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet tlslite-ng==0.8.2 trustme==1.2.1
cat >"$folder/program.py" <<'END'
import http.client
import http.server
import ssl
import threading

import trustme
from tlslite.api import TLSSocketServerMixIn, X509CertChain, parsePEMKey

authority = trustme.CA()
certificate = authority.issue_cert('localhost')
chain_pem, key_pem = certificate.cert_chain_pems[0].bytes(), certificate.private_key_pem.bytes()
context = ssl.create_default_context()
authority.configure_trust(context)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        left = int(self.headers['content-length'])
        content = self.rfile.read(left)
        told = f'{type(self.rfile)}, {len(content)} bytes'.encode()
        while left := left - len(content):      # else the client is reset
            content = self.rfile.read(left)
        self.send_response(200)
        self.send_header('content-length', str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_):
        pass


class OverSsl(http.server.HTTPServer):
    def get_request(self):
        sock, address = self.socket.accept()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context.wrap_socket(sock, server_side=True), address


class OverTlslite(TLSSocketServerMixIn, http.server.HTTPServer):
    def handshake(self, connection):
        chain = X509CertChain()
        chain.parsePemList(chain_pem.decode())
        connection.handshakeServer(
            certChain=chain, privateKey=parsePEMKey(key_pem.decode(), private=True))
        return True


for name, server_class in (('ssl', OverSsl), ('tlslite', OverTlslite)):
    with server_class(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = http.client.HTTPSConnection(
            'localhost', server.server_port, timeout=10, context=context)
        client.request('POST', '/', body=bytes(100_000))
        print(f'{name}: {client.getresponse().read().decode()}')
        client.close()
        server.shutdown()
END
cat >"$folder/expected" <<'END'
ssl: <class '_io.BufferedReader'>, 100000 bytes
tlslite: <class 'socket.SocketIO'>, 16384 bytes
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
