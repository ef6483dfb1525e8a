"""A program that listens: pages, headers, cookies, bodies, and a WebSocket that echoes. Standard library only."""

import base64
import hashlib
import http.server
import json
import os
import sys

NAME, PORT = sys.argv[1], int(sys.argv[2])
BIG = 64 * 1024 * 1024


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, body, status=200, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/headers":
            pairs = [[name.lower(), value] for name, value in self.headers.items()]
            self.reply(json.dumps(pairs).encode())
        elif self.path == "/cookies":
            self.reply(b"cookies", headers=[
                ("set-cookie", "app=1; Path=/; Domain=127.0.0.1"),
                ("set-cookie", "cxd_session=evil; Path=/"),
                ("set-cookie", "__Host-cxd_session=evil; Path=/; Secure"),
                ("strict-transport-security", "max-age=31536000"),
                ("clear-site-data", '"cookies"'),
            ])
        elif self.path == "/away":
            self.reply(b"", 302, [("location", f"http://localhost:{PORT}/headers")])
        elif self.path == "/big":
            self.send_response(200)
            self.send_header("content-length", str(BIG))
            self.end_headers()
            block = bytes(range(256)) * 256
            for _ in range(BIG // len(block)):
                self.wfile.write(block)
        elif self.path == "/quit":
            self.reply(b"bye", headers=[("connection", "close")])
            os._exit(0)
        elif self.path == "/ws":
            self.echo()
        else:
            self.reply(f"hello from {NAME}".encode())

    def do_POST(self):
        digest, left = hashlib.sha256(), int(self.headers["content-length"])
        while left:
            piece = self.rfile.read(min(left, 65536))
            digest.update(piece)
            left -= len(piece)
        self.reply(digest.hexdigest().encode())

    def echo(self):
        accept = hashlib.sha1((self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "Upgrade")
        self.send_header("sec-websocket-accept", base64.b64encode(accept.digest()).decode())
        self.send_header("x-origin", self.headers.get("origin", ""))
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 0x0F == 8:
                return
            length, mask = head[1] & 0x7F, self.rfile.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([head[0], length]) + data)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
