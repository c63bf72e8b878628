#!/usr/bin/env python3
"""test/cli/test_access.py -- Whether customer keys open: `wtkms kms test`, `wtkms status --check`, and what a
database that runs finds by itself and tells in wtkms.state."""
import base64
import contextlib
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from wtkms_lab import BUILD, MODULE, SCRATCH, WT, engine, engine_environment, wtkms  # noqa: E402


HOST = os.path.join(BUILD, "access_host") if os.path.exists(os.path.join(BUILD, "access_host")) else None


class Transit(http.server.BaseHTTPRequestHandler):
    """What provider vault needs of a transit engine: it "encrypts" by base64. mode says how it behaves."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    mode, look_up, calls, hanging, let_go = "ok", "ok", 0, threading.Event(), threading.Event()

    def do_GET(self):
        """How long the token lives: what a client asks first, and can do without. And the key's state."""
        if type(self).mode == "away":
            return self.drop()
        if not self.path.endswith("/lookup-self"):
            return self.answer(200, {"data": {"latest_version": 1, "min_decryption_version": 1}})
        if type(self).look_up == "hang":
            type(self).let_go.wait(60)
        if type(self).look_up != "ok":
            return self.answer(503, {"errors": ["not here"]})
        self.answer(200, {"data": {"ttl": 0, "renewable": False}})

    def drop(self):
        """No answer, and no connection that is kept."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_POST(self):
        cls = type(self)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cls.calls += 1
        if cls.mode == "hang":
            cls.hanging.set()
            cls.let_go.wait(60)
        if cls.mode == "away":
            return self.drop()
        if cls.mode == "sealed":
            return self.answer(503, {"errors": ["Vault is sealed"]})
        if "/encrypt/" in self.path:
            wrapped = base64.b64encode(json.dumps([body["plaintext"], body.get("associated_data")]).encode())
            return self.answer(200, {"data": {"ciphertext": "vault:v1:" + wrapped.decode(), "key_version": 1}})
        plaintext, data = json.loads(base64.b64decode(body["ciphertext"].split(":")[2]))
        assert data == body.get("associated_data")
        return self.answer(200, {"data": {"plaintext": plaintext}})

    def answer(self, code, reply):
        text = json.dumps(reply).encode()
        try:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            pass  # the client was called off

    def log_message(self, *args):
        pass


class Access(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(dir=SCRATCH)
        self.addCleanup(self.scratch.cleanup)
        for name in ("a", "b"):
            self.assertEqual(wtkms("keygen", self.path(name)).code, 0)
        self.home = self.path("home")
        os.mkdir(self.home)
        self.config = self.configure()

    def path(self, *names):
        return os.path.join(self.scratch.name, *names)

    def configure(self, name="conf", keys=("a", "b"), extra=""):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("node: n\nkms:\n")
            for key in keys:
                file.write(f"  - {{provider: local, keyFile: {self.path(key)}}}\n")
            file.write(extra)
        return path

    def init(self):
        result = wtkms("init", self.home, "--config", self.config, "--module", MODULE)
        self.assertEqual(result.code, 0, result.err)

    def status(self, *args):
        return wtkms("status", self.home, "--format", "json", *args)

    def forget_state(self):
        """What is found from now on was not found by a host before."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.home, "wtkms.state"))

    def test_kms_test(self):
        result = wtkms("kms", "test", "--config", self.config)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.out.count("ok, "), 4)
        report = wtkms("kms", "test", "--config", self.config, "--format", "json").json()
        self.assertTrue(report["works"])
        self.assertEqual([r["unwrap"]["class"] for r in report["recipients"]], ["ok", "ok"])

    def test_kms_test_says_what_is_wrong(self):
        config = self.configure("other", ("a", "missing"), "keys: {t: {kms: [{provider: local, keyFile: "
                                + self.path("b") + "}]}}\n")
        result = wtkms("kms", "test", "--config", config)
        self.assertEqual(result.code, 1)
        self.assertIn("missing cannot open: ", result.out)
        self.assertIn("bring the key file back", result.out)
        result = wtkms("kms", "test", "--config", config, "--format", "json")
        self.assertEqual(result.code, 1)
        report = result.json()
        self.assertFalse(report["works"])
        self.assertEqual([r["works"] for r in report["recipients"]], [True, False, True])
        self.assertEqual([r["scope"] for r in report["recipients"]], ["default", "default", "t"])
        self.assertEqual(report["recipients"][1]["open"]["class"], "configuration")
        self.assertEqual(wtkms("kms", "test", "--config", self.path("nothing")).code, 1)
        self.assertEqual(wtkms("kms", "test", self.home).code, 2)

    def test_kms_test_of_an_offline_key(self):
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out",
                        self.path("private")], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.path("private"), "-pubout", "-out", self.path("public")],
                       check=True, capture_output=True)
        config = self.configure("offline", ("a",), f"  - {{provider: publickey, publicKeyFile: {self.path('public')}}}\n")
        result = wtkms("kms", "test", "--config", config, "--format", "json")
        self.assertEqual(result.code, 0, result.out + result.err)
        offline = result.json()["recipients"][1]
        self.assertTrue(offline["wrapsOnly"])
        self.assertEqual(offline["wrap"]["class"], "ok")
        self.assertIsNone(offline["unwrap"]["class"])

    def test_create_key_names_the_providers_own_command(self):
        result = wtkms("kms", "create-key", "--config", self.config)
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("create-key-provider", result.err)
        self.assertIn("wtkms keygen FILE", result.err)
        for provider, says in (("aws", "aws kms create-key"), ("azure", "az keyvault key create"),
                               ("gcp", "gcloud kms keys create"), ("vault", "transit/keys/NAME"),
                               ("publickey", "openssl genpkey")):
            with open(self.path("one"), "w", encoding="utf-8") as file:
                file.write(f"node: n\nkms: [{{provider: {provider}, key: k}}]\n")
            self.assertIn(says, wtkms("kms", "create-key", "--config", self.path("one")).err)

    def test_status_check(self):
        self.init()
        result = self.status("--config", self.config)
        self.assertEqual(result.json()["access"], [])  # nothing was asked, no host ran
        result = self.status("--check", "--config", self.config)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual([(a["class"], a["by"]) for a in result.json()["access"]], [("ok", "check")] * 2)
        os.rename(self.path("b"), self.path("b.away"))
        result = self.status("--check", "--config", self.config)
        self.assertEqual(result.code, 1)
        report = result.json()
        self.assertEqual([a["class"] for a in report["access"]], ["ok", "configuration"])
        self.assertTrue(any(self.path("b") in w and "bring the key file back" in w for w in report["warnings"]))
        table = wtkms("status", self.home, "--check", "--config", self.config).out
        self.assertIn("ACCESS", table)
        self.assertIn("ok, ", table)
        self.assertIn("configuration, ", table)
        text = wtkms("status", self.home, "--check", "--config", self.config, "--format", "prometheus").out
        self.assertIn("wtkms_recipient_access{", text)

    def test_trust_key(self):
        self.init()
        recorded = self.status().json()["masterKeys"][0]["recipients"]
        only_a = self.configure("only-a", ("a",))
        result = self.status("--check", "--config", only_a)
        self.assertEqual(len(result.json()["access"]), 1)  # what is not configured is not contacted
        # A local key is a file, which its identifier does not name.
        result = self.status("--check", "--config", only_a, "--trust-key", recorded[1]["encryptionKeyId"])
        self.assertEqual(result.code, 1)
        self.assertIn("trust-key-provider", result.err)
        result = self.status("--check", "--config", only_a, "--trust-key", "https://attacker.example/keys/k/1")
        self.assertEqual(result.code, 1)
        self.assertIn("trust-key-unknown", result.err)
        self.assertEqual(self.status("--trust-key", "x").code, 2)

    @unittest.skipUnless(WT, "no wt")
    def test_a_running_database_finds_out(self):
        """A key file goes away and comes back under a database that runs: it goes on, and status tells."""
        self.config = self.configure(extra="access: {checkInterval: 1s}\n")
        self.init()
        engine(self.home, "create", "-c", "key_format=S,value_format=S", "table:t")
        self.forget_state()
        feeder = subprocess.Popen([WT, "-h", self.home, "loadtext", "table:t"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=engine_environment())
        try:
            self.wait_for(lambda access: [a["class"] for a in access] == ["ok", "ok"])
            os.rename(self.path("b"), self.path("b.away"))
            access = self.wait_for(lambda access: "configuration" in [a["class"] for a in access])
            self.assertEqual(sorted(a["class"] for a in access), ["configuration", "ok"])
            self.assertTrue(all(a["by"] == "host" for a in access))
            os.rename(self.path("b.away"), self.path("b"))
            self.wait_for(lambda access: [a["class"] for a in access] == ["ok", "ok"])
            out, err = feeder.communicate(b"".join(b"key%d\nvalue\n" % i for i in range(5000)), timeout=60)
            self.assertEqual(feeder.returncode, 0, err)
        finally:
            if feeder.poll() is None:
                feeder.kill()
                feeder.communicate()
        # Said once, however often it was found. (That it opens again is information, which wt is spared.)
        self.assertEqual((out + err).decode().count("access check: local local:"), 1, err)
        self.assertEqual(engine(self.home, "list", "table:t").returncode, 0)

    def serve(self, access, timeout="2s"):
        """A home whose key is at a key service on loopback."""
        Transit.mode, Transit.look_up, Transit.calls = "ok", "ok", 0
        Transit.hanging.clear()
        Transit.let_go.clear()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Transit)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(Transit.let_go.set)
        with open(self.path("token"), "w", encoding="utf-8") as file:
            file.write("token-of-a-test")
        os.chmod(self.path("token"), 0o600)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""node: n
kms:
  - provider: vault
    key: kek
    endpoint: http://127.0.0.1:{server.server_port}
    tokenFile: {self.path('token')}
    timeout: {timeout}
access: {{{access}}}
""")
        self.init()

    def run_host(self, command):
        """An engine that has the home open until its input ends."""
        self.forget_state()
        with open(self.path("out"), "wb") as out:
            environment = engine_environment()
            if command[0] == HOST:  # built with the module, so with its sanitizer too
                environment.pop("LD_PRELOAD", None)
            host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT,
                                    env=environment)

        def end():
            if host.poll() is None:
                host.kill()
                host.wait()
            host.stdin.close()
        self.addCleanup(end)
        return host

    def said(self):
        if not os.path.exists(self.path("out")):
            return ""
        with open(self.path("out"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_said(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.said() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertIn(text, self.said())

    def finish(self, host):
        """Let it close. How long that took, by its own clock, in milliseconds."""
        host.stdin.close()
        host.wait(60)
        self.assertEqual(host.returncode, 0, self.said())
        return int(re.search(r"closed in (\d+) ms", self.said()).group(1))

    def test_a_look_up_that_does_not_answer(self):
        """The token's life is good to know. Not to learn it must not cost the call that the token is for."""
        self.serve("", "8s")
        for how in ("hang", "refuse"):
            Transit.look_up = how
            start = time.monotonic()
            result = wtkms("kms", "test", "--config", self.config)
            self.assertEqual(result.code, 0, result.out + result.err)
            self.assertLess(time.monotonic() - start, 7)

    @unittest.skipUnless(WT, "no wt")
    def test_a_key_service_away_and_back(self):
        self.serve("checkInterval: 1s")
        engine(self.home, "create", "-c", "key_format=S,value_format=S", "table:t")
        feeder = self.run_host([WT, "-h", self.home, "loadtext", "table:t"])
        self.wait_for(lambda access: [a["class"] for a in access] == ["ok"])
        Transit.mode = "sealed"
        # It retries within its timeout, so that an outage of seconds is none.
        self.wait_for(lambda access: [a["class"] for a in access] == ["unavailable"], 60)
        self.assertIsNone(feeder.poll())
        Transit.mode = "ok"
        self.wait_for(lambda access: [a["class"] for a in access] == ["ok"], 60)
        feeder.communicate(b"".join(b"key%d\nvalue\n" % i for i in range(5000)), timeout=60)
        self.assertEqual(feeder.returncode, 0, self.said())
        self.assertEqual(self.said().count("unavailable"), 2)  # the recipient, and that none opens

    @unittest.skipUnless(HOST, "no access_host")
    def test_close_while_a_call_hangs(self):
        self.serve("checkInterval: 1s", "30s")
        host = self.run_host([HOST, self.home])
        self.wait_for(lambda access: [a["class"] for a in access] == ["ok"])
        Transit.mode = "hang"
        self.assertTrue(Transit.hanging.wait(60))
        self.assertLess(self.finish(host), 3000)  # the call may take 30 s
        self.assertNotIn("unavailable", self.said())  # what was called off is no finding

    @unittest.skipUnless(HOST, "no access_host")
    def test_stopped_by_signal(self):
        """maxUnreachable, the one rule without ten minutes: SIGTERM, once, and the home opens again afterwards."""
        self.serve("checkInterval: 1s, maxUnreachable: 2s")
        host = self.run_host([HOST, self.home])
        self.wait_for(lambda access: [a["class"] for a in access] == ["ok"])
        Transit.mode = "away"
        self.wait_said("SIGTERM\n")
        for _ in range(2):  # a host that takes its time is not asked twice
            last = self.status().json()["access"][0]["time"]
            self.wait_for(lambda access, last=last: access[0]["time"] != last)
        self.assertEqual(self.said().count("SIGTERM\n"), 1, self.said())
        self.assertEqual(self.said().count("(SIGTERM) as access.maxUnreachable says"), 1, self.said())
        self.assertLess(self.finish(host), 3000)
        self.assertEqual(self.status().json()["access"][0]["class"], "unavailable")
        Transit.mode = "ok"
        self.assertEqual(engine(self.home, "list", "table:host").returncode, 0)

    def wait_for(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            access = self.status().json().get("access", [])  # none: the host has not told anything yet
            if access and condition(access):
                return access
            time.sleep(0.2)
        self.fail(json.dumps(access) + self.said())


if __name__ == "__main__":
    unittest.main()
