"""test/kms_peers/bad_server.py -- A server that does what it is told to: breaks off, stalls, lies, redirects.

A script is a list of steps, one for each connection that sends a request; the last stays. A step is a
function of (connection, request) or bytes to send; then the connection is closed, but for keep()."""
import contextlib
import json
import socket
import ssl
import threading
import time


def reply(code=200, body=b"", headers=(), content_type="application/json", length=None):
    """The bytes of a reply; length is what Content-Length says, when that is not the truth."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {code} Text", f"Content-Length: {len(body) if length is None else length}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def stall(before=b""):
    def step(connection, _request, server):
        connection.sendall(before)
        server.closing.wait(30)
    return step


def flood(connection, _request, _server):
    """A body without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":\"")
    with contextlib.suppress(OSError):
        for _ in range(1000):
            connection.sendall(b"x" * 65536)


def hang_up(connection, _request, _server):
    pass


class BadServer:
    def __init__(self, *script, tls=None):
        """tls: an ssl.SSLContext of the server's side."""
        self.script, self.tls = list(script), tls
        self.requests, self.connections = [], 0
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def close(self):
        self.closing.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self.threads:
            thread.join(10)
        self.listener.close()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            if self.closing.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        connection.settimeout(30)
        with contextlib.suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            request = self.read(connection)
            if request is not None:
                self.requests.append((time.monotonic(), request))
                step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    step(connection, request, self)
        connection.close()

    @staticmethod
    def read(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                break
            body += more
        return head + b"\r\n\r\n" + body


def tls_context(pair, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if version is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    return context
