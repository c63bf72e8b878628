"""test/kms_peers/test_transport.py -- The HTTP transport against a server that misbehaves: the class that a
user is told, in time, and no token where none belongs. Driven through provider vault."""
import email.utils
import json
import ssl
import time
import warnings

import lab
from bad_server import BadServer, flood, hang_up, reply, stall, tls_context

TOKEN = "hvs.token-that-goes-nowhere-else"
LOOKUP = reply(200, {"data": {"ttl": 0, "renewable": False}})
WRAPPED = {"data": {"ciphertext": "vault:v1:AAECAwQ=", "key_version": 1}}
GOOD = reply(200, WRAPPED)
LIMIT_S = 1.0
SLACK_S = 1.5  # a process is started, and the machine is busy


class Transport(lab.Case):
    @classmethod
    def start(cls):
        cls.token = cls.lab.write("token", TOKEN)
        cls.authority = cls.lab.authority()

    def server(self, *script, lookup=True, **kwargs):
        """The first request is about the token: answered well unless told otherwise."""
        server = BadServer(*([LOOKUP] if lookup else []), *script, **kwargs)
        self.addCleanup(server.close)
        return server

    def ask(self, url, request="wrap", environment=None, **more):
        config = self.lab.config({"provider": "vault", "endpoint": url, "key": "kek", "tokenFile": self.token,
                                  "timeout": "1s", **more})
        started = time.monotonic()
        if request == "wrap":
            answer = self.lab.wrap(config, environment=environment)
        else:
            answer = self.lab.unwrap(config, request, environment=environment)
        self.took = time.monotonic() - started
        self.assertLess(self.took, LIMIT_S + SLACK_S)
        self.assertNotIn(TOKEN, json.dumps(answer))
        return answer

    def test_good(self):
        server = self.server(GOOD)
        answer = self.ask(server.url)
        self.assertEqual(answer["key_id"], "vault:transit/kek@v1")
        head = server.requests[1][1]
        self.assertIn(b"POST /v1/transit/encrypt/kek HTTP/1.1\r\n", head)
        self.assertIn(b"User-Agent: wiredtiger-kms/", head)
        self.assertIn(TOKEN.encode(), head)

    def test_closes_at_once(self):
        self.fails(self.ask(self.server(hang_up).url), "unavailable", id="kms-unavailable")

    def test_refused(self):
        self.fails(self.ask(f"http://127.0.0.1:{lab.free_port()}"), "unavailable", "look whether the service runs",
                   id="kms-unavailable")

    def test_no_such_name(self):
        self.fails(self.ask("https://no-such-host.invalid"), "unavailable", "cannot be resolved",
                   id="kms-unavailable")

    def test_stalls(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: appl"
        half = reply(200, WRAPPED)[:-5]
        for before, words in ((b"", "waiting for the answer"), (head, "the answer"),
                              (half, "in the middle of the answer")):
            with self.subTest(words):
                self.fails(self.ask(self.server(stall(before)).url), "unavailable", words, "time ran out",
                           id="kms-unavailable")

    def test_huge_body(self):
        self.fails(self.ask(self.server(flood).url), "bad reply", "longer than 65536", id="kms-reply-size")
        self.fails(self.ask(self.server(reply(200, b" " * 70000)).url), "bad reply", id="kms-reply-size")

    def test_huge_header(self):
        server = self.server(reply(200, WRAPPED, [("X-Long", "x" * 40000)]))
        self.fails(self.ask(server.url), "bad reply", id="kms-reply-size")

    def test_wrong_length(self):
        size = len(json.dumps(WRAPPED))
        self.fails(self.ask(self.server(reply(200, WRAPPED, length=size + 9)).url), "unavailable")
        self.fails(self.ask(self.server(reply(200, WRAPPED, length=size - 9)).url), "bad reply", id="kms-bad-json")

    def test_wrong_type(self):
        self.fails(self.ask(self.server(reply(200, WRAPPED, content_type="text/html")).url), "bad reply",
                   id="kms-bad-reply")

    def test_no_json(self):
        for body in (b"", b"{", b"[]", b"<html>", b'{"data":{"$oid":"1"}}', b'{"a":1}{"b":2}', b"\xff\xfe{}"):
            with self.subTest(body):
                self.fails(self.ask(self.server(reply(200, body)).url), "bad reply", id="kms-bad-json")

    def test_not_http(self):
        self.fails(self.ask(self.server(b"220 mail.example ESMTP\r\n").url), "bad reply", "not HTTP",
                   id="kms-bad-reply")

    def test_page_of_a_proxy(self):
        """It is no answer of the service, whatever its code says."""
        for code in (400, 401, 403, 404):
            with self.subTest(code):
                page = reply(code, b"<html>blocked by policy</html>", content_type="text/html")
                answer = self.fails(self.ask(self.server(page).url), "bad reply", f"HTTP {code}", id="kms-bad-reply")
                self.assertNotIn("blocked", json.dumps(answer))

    def test_lies(self):
        for data in ({"ciphertext": "vault:v1:AAEC", "key_version": 2}, {"ciphertext": "vault:v0:AAEC"},
                     {"ciphertext": "vault:v1:"[:8]}, {"ciphertext": "AAEC"}, {"ciphertext": 7}, {},
                     {"ciphertext": "vault:v1:" + "A" * 9000}):
            with self.subTest(str(data)[:60]):
                self.fails(self.ask(self.server(reply(200, {"data": data})).url), "bad reply")
        recorded = {"wrapped": lab.b64(b"vault:v1:AAECAwQ="), "key_id": "vault:transit/kek@v1"}
        for data in ({"plaintext": "not base64!"}, {"plaintext": ""}, {}, {"plaintext": lab.b64(bytes(500))}):
            with self.subTest(str(data)[:60]):
                self.fails(self.ask(self.server(reply(200, {"data": data})).url, recorded), "bad reply",
                           id="kms-bad-plaintext")

    def test_changed_ciphertext(self):
        recorded = {"wrapped": lab.b64(b"vault:v1:AAECAwQ="), "key_id": "vault:transit/kek@v1"}
        page = reply(400, {"errors": ["cipher: message authentication failed"]})
        self.fails(self.ask(self.server(page).url, recorded), "corrupt", id="kms-wrapped-tag")

    def test_throttled(self):
        page = reply(429, {"errors": ["request path: rate limit quota exceeded"]}, [("Retry-After", "1")])
        server = self.server(page, GOOD)
        answer = self.ask(server.url, timeout="5s")
        self.assertTrue(answer["ok"], answer)
        self.assertGreaterEqual(server.requests[2][0] - server.requests[1][0], 0.9)
        date = email.utils.formatdate(time.time() + 3600, usegmt=True)
        for after in ("60", date):
            with self.subTest(after):
                server = self.server(reply(429, {"errors": []}, [("Retry-After", after)]))
                self.fails(self.ask(server.url), "unavailable", "asks to wait", "HTTP 429")
                self.assertEqual(len(server.requests), 2)

    def test_fails_then_succeeds(self):
        for bad in (reply(500, {"errors": ["internal error"]}), reply(502, b"<html>", content_type="text/html"),
                    hang_up):
            server = self.server(bad, bad, GOOD)
            answer = self.ask(server.url, timeout="5s")
            self.assertTrue(answer["ok"], answer)
            self.assertEqual(len(server.requests), 4)

    def test_keeps_failing(self):
        server = self.server(reply(500, {"errors": ["internal error"]}))
        self.fails(self.ask(server.url), "unavailable", "internal error", "HTTP 500", "attempts")
        # with pauses that grow, not as fast as it can
        self.assertLess(len(server.requests), 9)
        self.assertGreater(len(server.requests), 2)

    def test_redirect(self):
        for code in (301, 302, 307, 308):
            other = self.server(GOOD, lookup=False)
            server = self.server(reply(code, b"", [("Location", other.url + "/v1/transit/encrypt/kek")]))
            self.fails(self.ask(server.url), "bad reply", "redirect", id="kms-bad-reply")
            self.assertEqual(other.connections, 0)

    def test_clear_only_to_loopback(self):
        for url in ("http://198.51.100.1:8200", "http://vault.example:8200", "http://127.0.0.1@198.51.100.1/",
                    "http://127.0.0.1.example", "https://user:secret@vault.example", "ftp://127.0.0.1",
                    "file:///etc/passwd", "vault.example", "https://vault.example/?x=1"):
            with self.subTest(url):
                self.fails(self.ask(url), "configuration", "endpoint")

    def test_proxy(self):
        """A proxy is asked for other hosts, never for loopback."""
        proxy = self.server(reply(403, b"<html>no", content_type="text/html"), lookup=False)
        self.fails(self.ask("https://vault.example", proxy=proxy.url), "unavailable")
        self.assertIn(b"CONNECT vault.example:443", proxy.requests[0][1])
        self.assertNotIn(TOKEN.encode(), b"".join(r for _, r in proxy.requests))
        seen = len(proxy.requests)
        self.fails(self.ask("https://vault.invalid", environment={"https_proxy": proxy.url}), "unavailable")
        self.assertGreater(len(proxy.requests), seen)
        seen = len(proxy.requests)
        server = self.server(GOOD)
        self.assertTrue(self.ask(server.url, environment={"http_proxy": proxy.url, "all_proxy": proxy.url})["ok"])
        self.fails(self.ask("https://vault.invalid", proxy="none", environment={"https_proxy": proxy.url}),
                   "unavailable", "cannot be resolved")
        self.assertEqual(len(proxy.requests), seen)
        self.fails(self.ask("https://vault.invalid", proxy="http://user:secret@proxy"), "configuration", "proxy")

    # --- TLS

    def tls(self, pair, **kwargs):
        return self.server(GOOD, tls=tls_context(pair, **kwargs))

    def refused_tls(self, server, *texts, **more):
        more.setdefault("caFile", self.authority.certificate)
        answer = self.ask(server.url, **more)
        self.fails(answer, "unavailable", *texts, id="kms-tls")
        self.assertEqual(server.requests, [])

    def test_tls(self):
        server = self.tls(self.authority.issue("good"))
        self.assertTrue(self.ask(server.url, caFile=self.authority.certificate)["ok"])
        self.refused_tls(self.tls(self.authority.issue("unknown")), "caFile",
                         caFile=self.lab.authority("another").certificate)

    def test_not_the_systems_authorities(self):
        """Without caFile the system's count, which do not know ours."""
        server = self.tls(self.authority.issue("private"))
        self.fails(self.ask(server.url, timeout="2s"), "unavailable", "caFile", id="kms-tls")
        self.assertEqual(server.requests, [])

    def test_expired(self):
        self.refused_tls(self.tls(self.authority.issue("old", days=(-10, -1))), "expired", "renew")

    def test_self_signed(self):
        own = self.lab.authority("self")
        self.refused_tls(self.tls((own.certificate, own.key)), "authority")

    def test_wrong_name(self):
        server = self.tls(self.authority.issue("other", names="DNS:vault.example"))
        self.refused_tls(server, "another name")

    def test_old_tls(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            server = self.tls(self.authority.issue("eleven"), version=ssl.TLSVersion.TLSv1_1)
        self.refused_tls(server, "TLS 1.2")

    def test_tls_to_clear_port(self):
        server = self.server(GOOD)
        self.fails(self.ask(server.url.replace("http", "https"), caFile=self.authority.certificate), "unavailable")

    def test_files(self):
        good = self.authority.issue("client")
        text = self.lab.write("text.pem", "no certificate", 0o644)
        for more, option in (({"caFile": "/no/such/file"}, "caFile"), ({"caFile": text}, "caFile"),
                             ({"clientKey": good[1]}, "clientKey"),
                             ({"clientCertificate": good[0], "clientKey": "/no/such"}, "clientKey"),
                             ({"clientCertificate": text, "clientKey": good[1]}, "clientCertificate")):
            with self.subTest(more):
                self.fails(self.ask("https://vault.example", **more), "configuration", option)


class Connections(lab.Case):
    def test_one_connection_for_many_calls(self):
        """Kept open by the server, it is used again."""
        seen = []

        def keep(connection, request, server):
            while request is not None:
                seen.append(request)
                connection.sendall(LOOKUP if b"lookup-self" in request else GOOD)
                request = server.read(connection)

        server = BadServer(keep)
        self.addCleanup(server.close)
        config = self.lab.config({"provider": "vault", "endpoint": server.url, "key": "kek",
                                  "tokenFile": self.lab.write("token", TOKEN)})
        session = self.lab.session(config, "wrap")
        self.addCleanup(session.close)
        for _ in range(5):
            self.assertTrue(session.ask({**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)})["ok"])
        self.assertEqual((len(seen), server.connections), (6, 1))
