"""test/kms_peers/test_kmip.py -- Provider "kmip" with PyKMIP's server, and with servers that misbehave."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import threading
import time

import lab

PEERS = os.path.join(lab.SOURCE, "test", "peers")
KEY = bytes(range(32))


def aad(context=None):
    """The associated data as kmip_wrapped.h says."""
    c = {**lab.CONTEXT, **(context or {})}
    parts = bytes.fromhex(c["uuid"]), struct.pack(">Q", c["master_key_id"]), c["scope"].encode()
    return b"".join(struct.pack(">I", len(p)) + p for p in parts)


def checked(body):
    return body + hashlib.sha256(body + aad()).digest()[:16]


class Kmip(lab.Case):
    """One PyKMIP server with certificates of one authority; `alice` and `bob` are its clients."""

    @classmethod
    def start(cls):
        cls.python = lab.peer("pykmip")
        cls.ca = cls.lab.authority()
        cls.alice = cls.ca.issue("alice", usage="clientAuth")
        cls.bob = cls.ca.issue("bob", usage="clientAuth")
        cls.pykmip = lab.Session([cls.python, "-W", "ignore", os.path.join(PEERS, "pykmip_client.py"),
                                  cls.ca.certificate], lab.clean_environment({"HOME": cls.lab.dir}))
        cls.addClassCleanup(cls.pykmip.close)
        cls.dir, cls.port, cls.server = cls.serve("one")
        cls.uid = cls.key("default-key")

    @classmethod
    def serve(cls, name, port=None):
        """(directory, port, server); the same name again has the same keys."""
        directory = cls.lab.path(name)
        if not os.path.isdir(directory):
            os.mkdir(directory)
            certificate, key = cls.ca.issue(f"server-{name}", usage="serverAuth")
            os.symlink(certificate, os.path.join(directory, "server.pem"))
            os.symlink(key, os.path.join(directory, "server.key"))
            os.symlink(cls.ca.certificate, os.path.join(directory, "ca.pem"))
        port = port or cls.lab.port()
        command = [cls.python, "-W", "ignore", os.path.join(PEERS, "pykmip_server.py"), directory, str(port)]
        return directory, port, cls.lab.start(command, port, environment={"HOME": directory})

    @classmethod
    def operator(cls, what, port=None, client=None, **more):
        """PyKMIP's own client does something."""
        certificate, key = client or cls.alice
        answer = cls.pykmip.ask({"port": port or cls.port, "certificate": certificate, "key": key, "do": what, **more})
        if "error" in answer:
            raise AssertionError(f"PyKMIP's client: {what}: {answer['error']}")
        return answer

    @classmethod
    def key(cls, name, **more):
        return cls.operator("create", name=name, **more)["uid"]

    @classmethod
    def entry(cls, uid=None, **more):
        entry = {"provider": "kmip", "servers": [f"127.0.0.1:{cls.port}"], "key": uid or cls.uid,
                 "caFile": cls.ca.certificate, "clientCertificate": cls.alice[0], "clientKey": cls.alice[1],
                 "timeout": "8s"}
        entry.update(more)
        return {name: value for name, value in entry.items() if value is not None}

    def conf(self, uid=None, **more):
        return self.lab.config(self.entry(uid, **more))


class Keys(Kmip):
    seconds = 15

    def test_round_trip_in_each_version_and_mode(self):
        for version in ("auto", "1.2", "1.3", "1.4", "2.0"):
            for mode in ("auto", "encrypt", "get"):
                with self.subTest(version=version, mode=mode):
                    config = self.conf(version=version, mode=mode)
                    wrapped = self.wrapped(config)
                    kind = base64.b64decode(wrapped["wrapped"])[1]
                    gcm = version in ("auto", "1.4", "2.0")
                    self.assertEqual(kind, 3 if mode == "get" else 1 if gcm else 2)
                    self.assertEqual(wrapped["key_id"], f"kmip:{self.uid}")
                    self.assertEqual(wrapped["credential"], self.alice[0])
                    self.opens(config, wrapped)
                    self.opens(self.conf(), wrapped)  # whatever made it

    def test_wrong_context_and_damage(self):
        for more in ({}, {"version": "1.2"}, {"mode": "get"}):
            config = self.conf(**more)
            wrapped = self.wrapped(config)
            for context in ({"scope": "other"}, {"master_key_id": 1}, {"uuid": "ff" * 16}):
                self.fails(self.lab.unwrap(config, wrapped, context=context), "corrupt", id="kms-kmip-wrapped")
            session = self.lab.session(config, "unwrap")
            self.addCleanup(session.close)
            data = base64.b64decode(wrapped["wrapped"])
            for i in range(len(data)):
                bad = data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1:]
                answer = session.ask({**lab.CONTEXT, "key_id": wrapped["key_id"], "wrapped": lab.b64(bad)})
                self.fails(answer, "corrupt")
                answer = session.ask({**lab.CONTEXT, "key_id": wrapped["key_id"], "wrapped": lab.b64(data[:i] or b"\0")})
                self.fails(answer, "corrupt")

    def test_forged_bytes_never_open(self):
        """Who computes the digest again meets the authentication behind it."""
        for more in ({"version": "1.2"}, {"mode": "get"}, {}):
            config = self.conf(timeout="1s", **more)
            data = base64.b64decode(self.wrapped(config)["wrapped"])[:-16]
            for i in (3, 18, len(data) // 2, len(data) - 1):
                forged = checked(data[:i] + bytes([data[i] ^ 0x40]) + data[i + 1:])
                answer = self.lab.unwrap(config, {"wrapped": lab.b64(forged), "key_id": f"kmip:{self.uid}"})
                self.assertFalse(answer["ok"], (more, i))
                self.assertNotIn(answer["class"], ("disabled", "not found", "denied"))

    def test_revoked(self):
        for mode in ("encrypt", "get"):
            for reason, state in (("CESSATION_OF_OPERATION", "deactivated"), ("KEY_COMPROMISE", "compromised")):
                with self.subTest(mode=mode, reason=reason):
                    uid = self.key(f"revoked-{mode}-{state}")
                    config = self.conf(uid, mode=mode)
                    wrapped = self.wrapped(config)
                    self.operator("revoke", uid=uid, reason=reason)
                    self.fails(self.lab.unwrap(config, wrapped), "disabled", state, id="kms-kmip-state")
                    self.fails(self.lab.wrap(config), "disabled", state)
                    described = self.lab.describe(config)
                    self.assertEqual((described["state"], described["detail"]), ("disabled", state))

    def test_destroyed(self):
        for mode in ("encrypt", "get"):
            uid = self.key(f"destroyed-{mode}")
            config = self.conf(uid, mode=mode)
            wrapped = self.wrapped(config)
            self.operator("revoke", uid=uid)
            self.operator("destroy", uid=uid)
            self.fails(self.lab.unwrap(config, wrapped), "not found", "Item Not Found")
            self.fails(self.lab.describe(config), "not found")

    def test_not_activated(self):
        for mode in ("encrypt", "get"):
            uid = self.key(f"new-{mode}", activate=False)
            config = self.conf(uid, mode=mode)
            self.fails(self.lab.wrap(config), "denied", "pre-active", "activate")
            self.assertIn("pre-active", self.lab.describe(config)["detail"])
            self.operator("activate", uid=uid)
            self.opens(config, self.wrapped(config))

    def test_unknown_key(self):
        config = self.conf("4711")
        self.fails(self.lab.wrap(config), "not found", "Item Not Found", "4711", f"127.0.0.1:{self.port}")
        self.fails(self.lab.describe(config), "not found")

    def test_key_of_another_client(self):
        for mode in ("encrypt", "get"):
            bob = self.conf(clientCertificate=self.bob[0], clientKey=self.bob[1], mode=mode)
            self.fails(self.lab.wrap(bob), "denied")
            wrapped = self.wrapped(self.conf(mode=mode))
            self.fails(self.lab.unwrap(bob, wrapped), "denied")

    def test_describe(self):
        answer = self.lab.describe(self.conf())
        self.assertEqual((answer["state"], answer["key_id"], answer["detail"]), ("enabled", f"kmip:{self.uid}", "active"))

    def test_by_name(self):
        uid = self.key("by-name")
        for version in ("1.2", "2.0"):
            config = self.conf(key=None, keyName="by-name", version=version)
            wrapped = self.wrapped(config)
            self.assertEqual(wrapped["key_id"], f"kmip:{uid}")
            self.opens(config, wrapped)
            self.assertEqual(self.lab.describe(config)["key_id"], f"kmip:{uid}")
        self.fails(self.lab.wrap(self.conf(key=None, keyName="nobody")), "not found", "nobody", id="kms-kmip-name")
        self.key("by-name")
        self.fails(self.lab.wrap(config), "configuration", "several")
        self.opens(config, wrapped)  # the identifier was recorded

    def test_create_by_wtkms(self):
        config = self.conf(key=None, keyName="made-by-wtkms")
        uid = self.lab.wtkms("kms", "create-key", "--config", config).stdout.strip()
        self.assertEqual(self.operator("state", uid=uid)["state"], "ACTIVE")
        self.assertEqual(self.operator("get", uid=uid)["length"], 256)
        self.assertIn("ok, ", self.lab.wtkms("kms", "test", "--config", config).stdout)
        self.assertEqual(self.wrapped(self.conf(uid))["key_id"], f"kmip:{uid}")
        again = self.lab.wtkms("kms", "create-key", "--config", config, check=False)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn(uid, again.stderr)
        # A keyid's own entry; the one that has a name is taken.
        tenant = self.entry(key=None, keyName="made-for-a-tenant")
        more = f"keys: {{t: {{kms: {json.dumps([self.entry(), {k: v for k, v in tenant.items() if v}])}}}}}\n"
        config = self.lab.config(self.entry(), more=more)
        made = json.loads(self.lab.wtkms("kms", "create-key", "--keyid", "t", "--config", config, "--format", "json").stdout)
        self.assertEqual(made["keyName"], "made-for-a-tenant")
        self.assertEqual(self.operator("state", uid=made["key"])["state"], "ACTIVE")
        unnamed = self.lab.wtkms("kms", "create-key", "--config", config, check=False)
        self.assertEqual(unnamed.returncode, 1)
        self.assertIn("a new key needs a name", unnamed.stderr)
        nobody = self.lab.wtkms("kms", "create-key", "--keyid", "x", "--config", config, check=False)
        self.assertIn("create-key-scope", nobody.stderr)

    def test_create(self):
        for version in ("1.2", "2.0"):
            config = self.conf(key=None, keyName=f"created-{version}", version=version)
            made, again = (self.lab.wtkms("kms", "create-key", "--config", config, check=False) for _ in range(2))
            self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
            wrapped = self.wrapped(config)
            self.assertEqual(wrapped["key_id"], "kmip:" + made.stdout.strip())
            self.opens(config, wrapped)
            self.assertEqual(self.operator("get", uid=made.stdout.strip())["length"], 256)
            self.assertEqual(again.returncode, 1)
            self.assertIn("kms-kmip-name", again.stderr)

    def test_another_key_is_not_asked(self):
        wrapped = self.wrapped(self.conf())
        self.fails(self.lab.unwrap(self.conf("99"), wrapped), "refused", id="kms-not-configured")
        for key_id in ("kmip:", "kmip:a b", "kmip:" + "x" * 257, "kmip:1\n", "other:1"):
            self.fails(self.lab.unwrap(self.conf(), wrapped, key_id=key_id), "corrupt")

    def test_mode_encrypt_never_fetches(self):
        wrapped = self.wrapped(self.conf(mode="get"))
        self.fails(self.lab.unwrap(self.conf(mode="encrypt"), wrapped), "refused", id="kms-kmip-mode")

    def test_pykmip_opens_what_we_wrapped(self):
        data = base64.b64decode(self.wrapped(self.conf())["wrapped"])
        self.assertEqual(data[:3], b"\1\1\x0c")
        nonce, tag, length = data[3:15], data[15:31], int.from_bytes(data[31:33], "big")
        opened = self.operator("decrypt", uid=self.uid, data=data[33:33 + length].hex(), nonce=nonce.hex(),
                               tag=tag.hex(), aad=aad().hex())
        self.assertEqual(bytes.fromhex(opened["data"]), lab.PLAINTEXT)

    def test_we_open_what_pykmip_wrapped(self):
        made = self.operator("encrypt", uid=self.uid, data=lab.PLAINTEXT.hex(), nonce="07" * 12, aad=aad().hex())
        data, nonce, tag = (bytes.fromhex(made[part]) for part in ("data", "nonce", "tag"))
        body = bytes([1, 1, len(nonce)]) + nonce + tag + struct.pack(">H", len(data)) + data
        self.opens(self.conf(), {"wrapped": lab.b64(checked(body)), "key_id": f"kmip:{self.uid}"})

    def test_pykmip_decrypts_the_random_key_of_cbc(self):
        data = base64.b64decode(self.wrapped(self.conf(version="1.2"))["wrapped"])
        self.assertEqual(data[:3], b"\1\2\x10")
        length = int.from_bytes(data[19:21], "big")
        opened = self.operator("decrypt", uid=self.uid, data=data[21:21 + length].hex(), nonce=data[3:19].hex())
        self.assertEqual(len(bytes.fromhex(opened["data"])), 32)
        self.assertEqual(len(data), 21 + length + 24 + len(lab.PLAINTEXT) + 16 + 16)

    def test_database(self):
        self.lab.check_database(self.conf())

    def test_database_and_a_revoked_key(self):
        uid = self.key("of-a-database")
        config = self.conf(uid)
        home = self.lab.database(config, name="revoked")
        self.operator("revoke", uid=uid)
        result = self.lab.engine(home, "dump", "table:t", check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"deactivated", result.stderr + result.stdout)


class Connections(Kmip):
    seconds = 15

    def test_a_kept_connection_and_a_restarted_server(self):
        directory, port, server = self.serve("restarted")
        uid = self.operator("create", port=port, name="k")["uid"]
        config = self.conf(uid, servers=[f"127.0.0.1:{port}"])
        session = self.lab.session(config, "wrap")
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)}
        self.assertTrue(session.ask(request)["ok"])
        self.assertTrue(session.ask(request)["ok"])
        server.stop()
        self.serve("restarted", port)
        answer = session.ask(request)
        self.assertTrue(answer["ok"], answer)

    def test_waits_for_a_server_that_comes_back(self):
        directory, port, server = self.serve("late")
        uid = self.operator("create", port=port, name="k")["uid"]
        server.stop()
        session = self.lab.session(self.conf(uid, servers=[f"127.0.0.1:{port}"], timeout="20s"), "describe")
        self.addCleanup(session.close)
        thread = threading.Timer(1, lambda: self.serve("late", port))
        thread.start()
        answer = session.ask({})
        thread.join()
        self.assertEqual(answer.get("state"), "enabled", answer)

    def test_first_server_down(self):
        config = self.conf(servers=[f"127.0.0.1:{self.lab.port()}", f"127.0.0.1:{self.port}"])
        wrapped = self.wrapped(config)
        self.assertLess(wrapped["ms"], 4000)
        self.opens(config, wrapped)

    def test_first_server_hangs(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            config = self.conf(servers=[f"127.0.0.1:{silent.getsockname()[1]}", f"127.0.0.1:{self.port}"], timeout="4s")
            session = self.lab.session(config, "wrap")
            self.addCleanup(session.close)
            request = {**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)}
            first, second = session.ask(request), session.ask(request)
            self.assertTrue(first["ok"] and second["ok"], (first, second))
            self.assertTrue(1500 < first["ms"] < 4000, first)
            self.assertLess(second["ms"], 1000)  # it stays with the one that answered

    def test_all_servers_down(self):
        config = self.conf(servers=[f"127.0.0.1:{self.lab.port()}"], timeout="1s")
        start = time.monotonic()
        self.fails(self.lab.wrap(config), "unavailable", "127.0.0.1", id="kms-unavailable")
        self.assertLess(time.monotonic() - start, 3)

    def test_no_client_certificate(self):
        self.fails(self.lab.wrap(self.conf(clientCertificate=None, clientKey=None)), "configuration",
                   "clientCertificate")
        password = self.lab.write("password", "secret-of-the-test\n")
        config = self.conf(clientCertificate=None, clientKey=None, username="u", passwordFile=password, timeout="2s")
        answer = self.lab.wrap(config)
        self.assertNotIn("secret-of-the-test", str(answer))
        self.fails(answer, "unavailable")

    def test_client_certificate_of_another_authority(self):
        other = self.lab.authority("other")
        certificate, key = other.issue("mallory", usage="clientAuth")
        self.fails(self.lab.wrap(self.conf(clientCertificate=certificate, clientKey=key, timeout="2s")), "unavailable",
                   id="kms-tls")

    def test_certificate_that_is_not_for_clients(self):
        certificate, key = self.ca.issue("not-a-client", usage="serverAuth")
        self.fails(self.lab.wrap(self.conf(clientCertificate=certificate, clientKey=key, timeout="2s")), "unavailable",
                   id="kms-tls")

    def test_server_of_another_authority(self):
        other = self.lab.authority("stranger")
        self.fails(self.lab.wrap(self.conf(caFile=other.certificate)), "unavailable", "caFile", id="kms-tls")
        self.fails(self.lab.wrap(self.conf(caFile=None)), "unavailable", id="kms-tls")

    def test_server_name(self):
        self.fails(self.lab.wrap(self.conf(serverName="kmip.example")), "unavailable", id="kms-tls")
        self.wrapped(self.conf(serverName="localhost"))
        self.wrapped(self.conf(servers=None, endpoint=f"localhost:{self.port}"))

    def test_proxies_of_the_environment_are_for_http(self):
        proxy = f"http://127.0.0.1:{self.lab.port()}"
        answer = self.lab.wrap(self.conf(), environment={"https_proxy": proxy, "ALL_PROXY": proxy})
        self.assertTrue(answer["ok"], answer)
        self.fails(self.lab.wrap(self.conf(proxy=proxy, timeout="1s")), "unavailable")

    def test_options(self):
        for more, text in (({"servers": []}, "servers"), ({"servers": ["a:b"]}, "a:b"), ({"servers": ["a:0"]}, "a:0"),
                           ({"servers": ["http://a"]}, "http://a"), ({"key": None}, "key"), ({"keyName": "x"}, "key"),
                           ({"key": "a b"}, "key"), ({"username": "u"}, "passwordFile"), ({"version": "3.0"}, "version"),
                           ({"mode": "both"}, "mode"), ({"caFile": "/nonexistent"}, "caFile"),
                           ({"caFile": self.lab.write("no.pem", "x")}, "PEM"),
                           ({"clientKey": self.lab.write("open.key", "x", 0o644)}, "clientKey"),
                           ({"endpoint": "a"}, "servers"), ({"serverName": "a b"}, "serverName")):
            with self.subTest(**more):
                self.fails(self.lab.describe(self.conf(**more)), "configuration", text)


def ttlv(tag, kind, value):
    return struct.pack(">II", tag << 8 | kind, len(value)) + value + b"\0" * (-len(value) % 8)


def response(*items, version=(1, 4), count=None):
    number = lambda tag, n: ttlv(tag, 2, struct.pack(">i", n))
    header = ttlv(0x42007a, 1, ttlv(0x420069, 1, number(0x42006a, version[0]) + number(0x42006b, version[1])) +
                  number(0x42000d, len(items) if count is None else count))
    return ttlv(0x42007b, 1, header + b"".join(ttlv(0x42000f, 1, item) for item in items))


def enumeration(tag, n):
    return ttlv(tag, 5, struct.pack(">I", n))


def success(operation, payload):
    return enumeration(0x42005c, operation) + enumeration(0x42007f, 0) + ttlv(0x42007c, 1, payload)


def refusal(operation, reason, text="no"):
    return (enumeration(0x42005c, operation) + enumeration(0x42007f, 1) + enumeration(0x42007e, reason) +
            ttlv(0x42007d, 7, text.encode()))


class BadServer:
    """A TLS server whose answers a function makes: answer(connection, request)."""

    def __init__(self, ca, certificate, key, answer, version=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.load_verify_locations(ca)
        self.context.verify_mode = ssl.CERT_REQUIRED
        if version:
            self.context.set_ciphers("DEFAULT@SECLEVEL=0")
            self.context.minimum_version = ssl.TLSVersion.TLSv1
            self.context.maximum_version = version
        self.answer, self.requests, self.closing = answer, [], threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.1)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while not self.closing.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                continue
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(20)
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                while True:
                    head = tls.recv(8)
                    if len(head) < 8:
                        return
                    body, length = b"", struct.unpack(">I", head[4:])[0]
                    while len(body) < length:
                        body += tls.recv(length - len(body))
                    self.requests.append(head + body)
                    self.answer(self, tls, head + body)
        except (OSError, ValueError):
            pass

    def close(self):
        self.closing.set()
        self.thread.join()
        self.listener.close()


STATE = success(0x0b, ttlv(0x420094, 7, b"1") + ttlv(0x420008, 1, ttlv(0x42000a, 7, b"State") + enumeration(0x42000b, 2)))
GOOD = response(STATE)


class Bad(Kmip):
    seconds = 15

    """Of an honest answer, GOOD, each server makes something else."""

    def serve_bad(self, answer, **more):
        certificate, key = self.ca.issue(f"bad-{self.lab.counter}-{self.id().split('.')[-1]}", usage="serverAuth")
        server = BadServer(self.ca.certificate, certificate, key, answer, **more)
        self.addCleanup(server.close)
        return server

    def ask(self, server, timeout="1s", servers=None, version="1.4", **more):
        config = self.conf("1", servers=servers or [f"127.0.0.1:{server.port}"], timeout=timeout, version=version, **more)
        start = time.monotonic()
        answer = self.lab.describe(config)
        self.assertLess(time.monotonic() - start, 3)
        return answer

    def sends(self, data):
        return self.serve_bad(lambda server, tls, request: tls.sendall(data))

    def test_good(self):
        self.assertEqual(self.ask(self.sends(GOOD)).get("state"), "enabled")

    def test_cut_short(self):
        def cut(n):
            def answer(server, tls, request):
                tls.sendall(GOOD[:n])
                tls.unwrap()
                raise ValueError
            return answer
        for n in (0, 1, 7, 8, 9, len(GOOD) // 2, len(GOOD) - 1):
            with self.subTest(n=n):
                self.fails(self.ask(self.serve_bad(cut(n)), timeout="500ms"), "unavailable", id="kms-unavailable")

    def test_stalls(self):
        def stall(n):
            def answer(server, tls, request):
                tls.sendall(GOOD[:n])
                server.closing.wait(10)
                raise ValueError
            return answer
        for n in (0, 4, 8, 20):
            with self.subTest(n=n):
                self.fails(self.ask(self.serve_bad(stall(n))), "unavailable", "no answer in time")

    def test_a_byte_now_and_then(self):
        def drip(server, tls, request):
            for i in range(len(GOOD)):
                tls.sendall(GOOD[i:i + 1])
                if server.closing.wait(0.2):
                    return
        self.fails(self.ask(self.serve_bad(drip)), "unavailable", "no answer in time")

    def test_lengths(self):
        for length in (0x3fffffff, 0xffffffff, 1 << 30, 65529):
            with self.subTest(length=length):
                self.fails(self.ask(self.sends(struct.pack(">II", 0x42007b01, length))), "bad reply", id="kms-bad-ttlv")
        for at in range(12, len(GOOD) - 4, 8):  # the length of an item inside, or a value
            self.assertIn(self.ask(self.sends(GOOD[:at] + b"\x7f\xff\xff\xff" + GOOD[at + 4:])).get("class", "ok"),
                          ("bad reply", "ok"))

    def test_no_kmip_at_all(self):
        for data in (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>", b"\0" * 64, response(), response(STATE, count=2),
                     response(success(0x0a, b"")), response(success(0x0b, b"")),
                     response(STATE.replace(struct.pack(">I", 0x42009407) + b"\0\0\0\1" + b"1",
                                            struct.pack(">I", 0x42009407) + b"\0\0\0\1" + b"2"))):
            with self.subTest(data=data[:24]):
                self.fails(self.ask(self.sends(data)), "bad reply")

    def test_reasons(self):
        for reason, name in ((0x01, "not found"), (0x37, "not found"), (0x03, "unauthenticated"), (0x0c, "denied"),
                             (0x39, "denied"), (0x04, "bad reply"), (0x05, "configuration"), (0x100, "unavailable"),
                             (0x2a, "unavailable"), (0x9999, "bad reply")):
            with self.subTest(reason=reason):
                self.fails(self.ask(self.sends(response(refusal(0x0b, reason, "line\nof its own")))), name, "line?of")
        self.assertEqual(self.ask(self.sends(response(refusal(0x0b, 0x36))))["state"], "disabled")

    def test_authentication_refused_before_the_version(self):
        answer = self.ask(self.sends(response(refusal(0x1e, 3), version=(1, 0))), version="auto")
        self.fails(answer, "unauthenticated")

    def test_no_version_in_common(self):
        old = success(0x1e, ttlv(0x420069, 1, ttlv(0x42006a, 2, b"\0\0\0\1") + ttlv(0x42006b, 2, b"\0\0\0\1")))
        self.fails(self.ask(self.sends(response(old)), version="auto"), "configuration", "1.2", id="kms-kmip-version")

    def test_only_a_new_version(self):
        """A server of 2.1 alone refuses a question in 1.2; asked in 2.1 it answers."""
        new = success(0x1e, ttlv(0x420069, 1, ttlv(0x42006a, 2, b"\0\0\0\2") + ttlv(0x42006b, 2, b"\0\0\0\1")))
        state = success(0x0b, ttlv(0x420094, 7, b"1") + ttlv(0x420125, 1, enumeration(0x42008d, 2)))

        def answer(server, tls, request):
            if b"\x42\x00\x6a\x02\0\0\0\4\0\0\0\2" not in request:
                tls.sendall(response(refusal(0x1e, 0x3f), version=(2, 1)))
            else:
                discover = b"\x42\x00\x5c\x05\0\0\0\4\0\0\0\x1e" in request
                tls.sendall(response(new if discover else state, version=(2, 1)))
        server = self.serve_bad(answer)
        self.assertEqual(self.ask(server, version="auto").get("state"), "enabled")
        self.assertIn(b"\x42\x01\x3b\x05\0\0\0\4\0\x42\0\x8d", server.requests[-1])  # an attribute by its tag

    def test_server_that_cannot_encrypt(self):
        """Encrypt is not supported: auto fetches the key, encrypt says so."""
        key = success(0x0a, enumeration(0x420057, 2) + ttlv(0x420094, 7, b"1") + ttlv(0x42008f, 1, ttlv(
            0x420040, 1, enumeration(0x420042, 1) + ttlv(0x420045, 1, ttlv(0x420043, 8, KEY)))))

        def answer(server, tls, request):
            operations = [request[i + 11] for i in range(0, len(request), 8) if request[i:i + 4] == b"\x42\x00\x5c\x05"]
            if operations == [0x0b, 0x0a]:
                tls.sendall(response(STATE, key))
            else:
                tls.sendall(response(refusal(operations[0], 5, "not here")))
        server = self.serve_bad(answer)
        config = self.conf("1", servers=[f"127.0.0.1:{server.port}"], version="1.4")
        wrapped = self.wrapped(config)
        self.assertEqual(base64.b64decode(wrapped["wrapped"])[1], 3)
        self.opens(config, wrapped)
        config = self.conf("1", servers=[f"127.0.0.1:{server.port}"], version="1.4", mode="encrypt")
        self.fails(self.lab.wrap(config), "configuration", "Encrypt", "not here")

    def test_a_bad_server_before_a_good_one(self):
        bad, good = self.sends(b"nonsense" * 8), self.sends(GOOD)
        servers = [f"127.0.0.1:{bad.port}", f"127.0.0.1:{good.port}"]
        self.assertEqual(self.ask(None, servers=servers).get("state"), "enabled")

    def test_unavailable_then_good(self):
        answers = [response(refusal(0x0b, 0x100)), response(refusal(0x0b, 0x100)), GOOD]
        server = self.serve_bad(lambda server, tls, request: tls.sendall(answers[min(len(server.requests), 3) - 1]))
        self.assertEqual(self.ask(server, timeout="2s").get("state"), "enabled")
        self.assertEqual(len(server.requests), 3)

    def test_old_tls(self):
        server = self.serve_bad(lambda server, tls, request: tls.sendall(GOOD), version=ssl.TLSVersion.TLSv1_1)
        self.fails(self.ask(server), "unavailable", id="kms-tls")
        self.assertEqual(server.requests, [])

    def test_password_is_sent_and_not_told(self):
        server = self.sends(response(refusal(0x0b, 3)))
        password = self.lab.write("password", "secret-of-the-test\n")
        answer = self.fails(self.ask(server, username="us er", passwordFile=password), "unauthenticated")
        self.assertNotIn("secret-of-the-test", str(answer))
        self.assertIn(b"\x42\x00\x99\x07\0\0\0\5us er", server.requests[0])
        self.assertIn(b"\x42\x00\xa1\x07\0\0\0\x12secret-of-the-test\0", server.requests[0])
