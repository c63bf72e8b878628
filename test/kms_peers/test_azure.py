"""test/kms_peers/test_azure.py -- Provider azure against the double of Azure, and with Microsoft's own
client on the other side."""
import base64
import json
import os
import shutil
import socket
import threading
import time
import urllib.request

import lab
from test_azure_double import ALL, Azure

ATTACKER = "https://evil.example.com"


class Case(lab.Case):
    @classmethod
    def start(cls):
        cls.azure = Azure(cls.lab)
        cls.official = cls.azure.official()
        cls.addClassCleanup(cls.official.close)

    def key(self, name, **more):
        """A new key and an entry that names it without its version."""
        made = self.official.must("create", name=name, **more)
        return made, self.entry(f"{self.azure.url}/keys/{name}")

    def entry(self, key, **more):
        entry = {"provider": "azure", "key": key, "vaultSuffix": "localhost", "authority": self.azure.url,
                 "caFile": self.azure.ca, "tenantId": self.azure.ready["tenant"],
                 "clientId": self.azure.ready["client"], "clientSecretFile": self.azure.file("secret")}
        entry.update(more)
        return {name: value for name, value in entry.items() if value is not None}

    @classmethod
    def another_official(cls):
        """After all tokens were revoked: the official client does not fetch another for a 401."""
        cls.official.close()
        cls.official = cls.azure.official()
        cls.addClassCleanup(cls.official.close)

    def order(self, **what):
        return self.azure.order(**what)


class Keys(Case):
    def test_round_trip(self):
        made, entry = self.key("round")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        self.assertEqual(wrapped["key_id"], made["kid"])
        self.assertIn(self.azure.ready["client"], wrapped["credential"])
        self.opens(config, wrapped)
        told = self.lab.describe(config)
        self.assertEqual((told["ok"], told["state"], told["key_id"]), (True, "enabled", made["kid"]))
        self.assertIn(made["version"], told["detail"])

    def test_sizes(self):
        for size in (3072, 4096):
            made, entry = self.key(f"rsa{size}", size=size)
            config = self.lab.config(entry)
            wrapped = self.wrapped(config)
            self.assertEqual(len(base64.b64decode(wrapped["wrapped"])), size // 8)
            self.opens(config, wrapped)

    def test_longest_plaintext(self):
        made, entry = self.key("longest")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config, plaintext=b"x" * 190)
        self.opens(config, wrapped, plaintext=b"x" * 190)

    def test_official_client_opens_ours(self):
        made, entry = self.key("ours")
        wrapped = self.wrapped(self.lab.config(entry))
        answer = self.official.must("unwrap", kid=wrapped["key_id"], value=wrapped["wrapped"])
        self.assertEqual(base64.b64decode(answer["value"]), lab.PLAINTEXT)

    def test_we_open_the_official_clients(self):
        made, entry = self.key("theirs")
        answer = self.official.must("wrap", kid=made["kid"], value=lab.b64(lab.PLAINTEXT))
        self.opens(self.lab.config(entry), {"key_id": answer["kid"], "wrapped": answer["value"]})

    def test_symmetric_key(self):
        made, entry = self.key("hsm", kty="oct-HSM", size=256)
        config = self.lab.config({**entry, "algorithm": "A256KW"})
        for plaintext in (lab.PLAINTEXT, b"x" * 16, b"x" * 17, b"x" * 190):
            wrapped = self.wrapped(config, plaintext=plaintext)
            self.opens(config, wrapped, plaintext=plaintext)
        # The bytes tell which algorithm made them, whatever the entry says today.
        self.opens(self.lab.config(entry), wrapped, plaintext=b"x" * 190)
        answer = self.official.must("unwrap", kid=wrapped["key_id"], value=wrapped["wrapped"], alg="A256KW")
        self.assertEqual(base64.b64decode(answer["value"]), b"x" * 190 + b"\2\2")
        self.fails(self.lab.wrap(self.lab.config(entry)), "configuration", "algorithm: A256KW")

    def test_rotated(self):
        first, entry = self.key("rotated")
        config = self.lab.config(entry)
        old = self.wrapped(config)
        second = self.official.must("rotate", name="rotated")
        new = self.wrapped(config)
        self.assertEqual((old["key_id"], new["key_id"]), (first["kid"], second["kid"]))
        self.opens(config, old)
        self.opens(config, new)
        pinned = self.lab.config({**entry, "key": first["kid"]})
        self.assertEqual(self.wrapped(pinned)["key_id"], first["kid"])
        self.opens(pinned, new)
        # Two versions are two keys.
        self.fails(self.lab.unwrap(config, old, key_id=second["kid"]), "corrupt")

    def test_disabled_and_enabled(self):
        made, entry = self.key("disabled")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        self.official.must("update", name="disabled", enabled=False)
        self.fails(self.lab.unwrap(config, wrapped), "disabled", "KeyDisabled", "enable")
        self.fails(self.lab.wrap(config), "disabled", "disabled")
        self.assertEqual(self.lab.describe(config)["state"], "disabled")
        self.official.must("update", name="disabled", enabled=True)
        self.opens(config, wrapped)
        self.assertTrue(self.lab.wrap(config)["ok"])

    def test_limits_in_time(self):
        made, entry = self.key("times")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        self.official.must("update", name="times", expires_on=int(time.time()) - 3600)
        self.fails(self.lab.wrap(config), "disabled", "expired on")
        self.opens(config, wrapped)
        self.assertIn("expired", self.lab.describe(config)["detail"])
        made, entry = self.key("future")
        config = self.lab.config(entry)
        self.official.must("update", name="future", not_before=int(time.time()) + 3600)
        self.fails(self.lab.wrap(config), "disabled", "before")

    def test_deleted_recovered_purged(self):
        made, entry = self.key("deleted")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        self.official.must("delete", name="deleted")
        self.fails(self.lab.unwrap(config, wrapped), "not found", "recover")
        self.fails(self.lab.wrap(config), "not found")
        told = self.lab.describe(config)
        self.assertEqual((told["ok"], told["state"]), (True, "pending deletion"))
        self.assertIn("recovered until", told["detail"])
        self.official.must("recover", name="deleted")
        self.opens(config, wrapped)
        self.official.must("delete", name="deleted")
        self.official.must("purge", name="deleted")
        self.fails(self.lab.unwrap(config, wrapped), "not found")
        self.fails(self.lab.describe(config), "not found", "KeyNotFound")
        self.fails(self.lab.describe(self.lab.config(self.entry(f"{self.azure.url}/keys/never"))), "not found")

    def test_denied(self):
        made, entry = self.key("denied")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        self.addCleanup(self.order, permissions=ALL, denied_code="ForbiddenByRbac")
        for code, hint in (("ForbiddenByRbac", "role"), ("ForbiddenByPolicy", "policy"),
                           ("ForbiddenByFirewall", "firewall"), ("SomethingNew", "unwrapKey")):
            self.order(permissions=["get"], denied_code=code)
            answer = self.fails(self.lab.unwrap(config, wrapped), "denied", code, hint)
            self.assertNotIn("appid", answer["message"])
        # At run time the database needs to unwrap, and nothing else.
        self.order(permissions=["unwrapKey"])
        self.opens(config, wrapped)
        self.fails(self.lab.wrap(config), "denied")

    def test_key_operations(self):
        made, entry = self.key("operations")
        self.official.must("update", name="operations", ops=["wrapKey"])
        self.fails(self.lab.wrap(self.lab.config(entry)), "denied", "unwrapKey")

    def test_changed_bytes(self):
        made, entry = self.key("changed")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        data = bytearray(base64.b64decode(wrapped["wrapped"]))
        data[7] ^= 1
        self.fails(self.lab.unwrap(config, {**wrapped, "wrapped": lab.b64(data)}), "corrupt")

    def test_attackers_vault(self):
        """A keystore names another vault: neither a token nor anything else goes there."""
        made, entry = self.key("attacked")
        config = self.lab.config(entry)
        wrapped = self.wrapped(config)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        heard = []

        def listen():
            try:
                connection = listener.accept()[0]
                heard.append(connection.recv(1000))
                connection.close()
            except OSError:
                pass

        threading.Thread(target=listen, daemon=True).start()
        port, version = listener.getsockname()[1], made["version"]
        self.order(log=True)
        for url in (f"https://localhost:{port}/keys/attacked/{version}",
                    f"https://127.0.0.1:{self.azure.ready['vault']}/keys/attacked/{version}",
                    f"{self.azure.url}/keys/other/{version}", f"{self.azure.url}.evil.example/keys/attacked/{version}",
                    f"{ATTACKER}/keys/attacked/{version}"):
            self.assertFalse(self.lab.unwrap(config, wrapped, key_id=url)["ok"], url)
        for url in (f"{self.azure.url}/keys/attacked", f"{self.azure.url}/keys/attacked/{version}?x=1",
                    f"https://u@localhost:{port}/keys/attacked/{version}", f"http://evil.example/keys/a/{version}",
                    f"{self.azure.url}/keys/attacked/{version}/unwrapkey", f"{self.azure.url}/keys/../{version}",
                    f"{self.azure.url}/keys/%61ttacked/{version}", f"{self.azure.url}/keys/attacked/{version}#"):
            self.fails(self.lab.unwrap(config, wrapped, key_id=url), "corrupt")
        self.assertEqual(heard, [])
        self.assertEqual(self.order(log=True)["log"], [])

    def test_wrong_vault_in_configuration(self):
        for key, suffix in (("https://v.vault.azure.net.evil.example/keys/k", None),
                            ("https://evilvault.azure.net/keys/k", None), ("https://vault.azure.net/keys/k", None),
                            ("https://a.b.vault.azure.net/keys/k", None),
                            ("https://v.vault.azure.net/keys/k", "vault.azure.cn")):
            entry = self.entry(key, vaultSuffix=suffix)
            answer = self.fails(self.lab.describe(self.lab.config(entry)), "configuration", "vaultSuffix")
            self.assertEqual(answer["id"], "kms-azure-vault")

    def test_endpoint(self):
        """A vault by its public name, reached at a private address: identifiers keep the name."""
        made, entry = self.key("private")
        public = "https://wtkms-test.vault.azure.net"
        config = self.lab.config(self.entry(f"{public}/keys/private", vaultSuffix=None, endpoint=self.azure.url))
        self.addCleanup(self.order, kid_base=None)
        self.fails(self.lab.wrap(config), "bad reply", "another key")
        self.order(kid_base=public)
        wrapped = self.wrapped(config)
        self.assertEqual(wrapped["key_id"], f"{public}/keys/private/{made['version']}")
        self.opens(config, wrapped)

    def test_database(self):
        made, entry = self.key("database")
        config = self.lab.config(entry)
        home = self.lab.check_database(config)
        self.assertIn(made["kid"], self.lab.wtkms("status", home, "--config", config).stdout)
        self.official.must("update", name="database", enabled=False)
        closed = self.lab.engine(home, "dump", "table:t", check=False)
        self.assertNotEqual(closed.returncode, 0)
        self.assertIn(b"KeyDisabled", closed.stdout + closed.stderr)
        self.official.must("update", name="database", enabled=True)
        self.assertEqual(self.lab.rows(home), 1000)
        self.official.must("rotate", name="database")
        self.assertEqual(self.lab.rows(home), 1000)


class Answers(Case):
    """What the vault might answer, and what a proxy before it might."""

    def setUp(self):
        self.addCleanup(self.order, faults=[], change={})
        name = "answers" + str(time.monotonic_ns())
        made, entry = self.key(name)
        self.config = self.lab.config({**entry, "timeout": "5s"})
        self.kept = self.wrapped(self.config)

    def fault(self, status, body="", times=1, **headers):
        self.order(faults=[{"status": status, "body": body, "headers": headers}] * times)

    def test_trouble_that_passes(self):
        for status, headers in ((500, {}), (503, {}), (429, {"Retry-After": "1"})):
            self.fault(status, json.dumps({"error": {"code": "Throttled", "message": "wait"}}), **headers)
            self.opens(self.config, self.kept)

    def test_trouble_that_stays(self):
        self.fault(503, "busy", times=1000)
        started = time.monotonic()
        self.fails(self.lab.unwrap(self.config, self.kept), "unavailable")
        self.assertLess(time.monotonic() - started, 8)

    def test_not_the_vaults_words(self):
        html = "<html><body>Access denied by policy</body></html>"
        for status in (200, 302, 403, 404, 410):
            headers = {"Location": ATTACKER} if status == 302 else {}
            self.fault(status, html, **{"Content-Type": "text/html", **headers})
            answer = self.fails(self.lab.unwrap(self.config, self.kept), "bad reply")
            self.assertNotIn("Access denied", answer["message"])

    def test_wrong_answers(self):
        for change in ({"kid": f"{ATTACKER}/keys/k/0123456789abcdef0123456789abcdef"}, {"kid": None},
                       {"kid": self.kept["key_id"][:-1] + "x"}, {"value": ""}, {"value": "a+b/"},
                       {"value": "a b"}, {"value": None}):
            self.order(change=change)
            self.fails(self.lab.unwrap(self.config, self.kept), "bad reply")

    def test_too_much(self):
        self.fault(200, json.dumps({"kid": self.kept["key_id"], "value": "A" * 100000}))
        self.fails(self.lab.unwrap(self.config, self.kept), "bad reply")


class Credentials(Case):
    def setUp(self):
        self.addCleanup(self.order, lifetime=3600, secret_expired=False, identity=True)
        name = "credentials" + str(time.monotonic_ns())
        self.made, self.base = self.key(name)
        self.kept = self.wrapped(self.lab.config(self.base))

    def works(self, environment=None, **changes):
        config = self.lab.config({**self.bare(), **changes})
        self.opens(config, self.kept, environment=environment)
        return self.wrapped(config, environment=environment)["credential"]

    def bare(self):
        return {k: v for k, v in self.base.items() if k not in ("clientSecretFile",)}

    def nobody(self):
        return {k: v for k, v in self.bare().items() if k not in ("tenantId", "clientId", "authority")}

    def machine(self):
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{self.azure.ready['metadata']}"}

    def service(self, header=None):
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.azure.ready['metadata']}/msi/token",
                "IDENTITY_HEADER": header or self.azure.ready["identity_header"]}

    def test_secret_of_the_environment(self):
        config = self.lab.config(self.nobody())
        environment = {"AZURE_TENANT_ID": self.azure.ready["tenant"], "AZURE_CLIENT_ID": self.azure.ready["client"],
                       "AZURE_CLIENT_SECRET": self.azure.ready["secret"], "AZURE_AUTHORITY_HOST": self.azure.url}
        self.opens(config, self.kept, environment=environment)

    def test_wrong_secret(self):
        path = self.lab.write("wrong-secret", "wrong~secret\n")
        config = self.lab.config({**self.base, "clientSecretFile": path})
        answer = self.fails(self.lab.unwrap(config, self.kept), "unauthenticated", "AADSTS7000215", "secret")
        self.assertNotIn("wrong~secret", json.dumps(answer))
        self.assertNotIn("Trace ID", answer["message"])
        # Replaced while the client is open, as an operator does.
        session = self.lab.session(config, "unwrap")
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "wrapped": self.kept["wrapped"], "key_id": self.kept["key_id"]}
        self.assertFalse(session.ask(request)["ok"])
        self.lab.write("wrong-secret", self.azure.ready["secret"] + "\n")
        self.assertTrue(session.ask(request)["ok"])

    def test_refused_by_entra(self):
        config = self.lab.config(self.base)
        self.order(secret_expired=True)
        self.fails(self.lab.unwrap(config, self.kept), "unauthenticated", "AADSTS7000222", "expired")
        self.order(secret_expired=False)
        for change, code in (({"clientId": "0000"}, "AADSTS700016"), ({"tenantId": "other.example"}, "AADSTS90002")):
            self.fails(self.lab.unwrap(self.lab.config({**self.base, **change}), self.kept), "unauthenticated", code)

    def test_certificate(self):
        for algorithm in ("RS256", "PS256", None):
            more = {"certificateAlgorithm": algorithm} if algorithm else {}
            credential = self.works(certificateFile=self.azure.file("client.pem"), **more)
            self.assertTrue(credential.startswith("certificate"))
        self.works(certificateFile=self.azure.file("client.crt"), certificateKeyFile=self.azure.file("client.key"))

    def test_unknown_certificate(self):
        certificate, key = self.lab.authority("other").issue("other", algorithm="rsa")
        entry = {**self.bare(), "certificateFile": certificate, "certificateKeyFile": key}
        os.chmod(certificate, 0o600)
        self.fails(self.lab.unwrap(self.lab.config(entry), self.kept), "unauthenticated", "AADSTS700027")
        entry["certificateKeyFile"] = self.azure.file("client.key")
        self.fails(self.lab.describe(self.lab.config(entry)), "configuration", id="rsa-pair")

    def test_managed_identity(self):
        config = self.lab.config(self.nobody())
        self.opens(config, self.kept, environment=self.machine())
        self.assertIn("system-assigned", self.wrapped(config, environment=self.machine())["credential"])
        user = self.lab.config({**self.nobody(), "credential": "managedIdentity",
                                "clientId": self.azure.ready["identity"]})
        self.opens(user, self.kept, environment=self.machine())
        other = self.lab.config({**self.nobody(), "credential": "managedIdentity", "clientId": "1234"})
        self.fails(self.lab.unwrap(other, self.kept, environment=self.machine()), "unauthenticated", "identity")
        self.order(identity=False)
        self.fails(self.lab.unwrap(config, self.kept, environment=self.machine()), "unauthenticated", "assign")

    def test_app_service(self):
        config = self.lab.config(self.nobody())
        self.opens(config, self.kept, environment=self.service())
        self.fails(self.lab.unwrap(config, self.kept, environment=self.service("wrong-header")), "bad reply")
        away = {**self.service(), "IDENTITY_ENDPOINT": "http://evil.example/token"}
        self.fails(self.lab.unwrap(config, self.kept, environment=away), "configuration", "clear")

    def test_workload_identity(self):
        self.assertIn("workloadIdentity", self.works(federatedTokenFile=self.azure.file("workload.token")))
        environment = {"AZURE_TENANT_ID": self.azure.ready["tenant"], "AZURE_CLIENT_ID": self.azure.ready["client"],
                       "AZURE_FEDERATED_TOKEN_FILE": self.azure.file("workload.token"),
                       "AZURE_AUTHORITY_HOST": self.azure.url + "/"}
        self.opens(self.lab.config(self.nobody()), self.kept, environment=environment)
        self.order(workload_subject="system:serviceaccount:other:one")
        config = self.lab.config({**self.bare(), "federatedTokenFile": self.azure.file("workload.token")})
        self.fails(self.lab.unwrap(config, self.kept), "unauthenticated", "AADSTS70021", "federated")
        self.order(workload_subject="system:serviceaccount:db:mongod")

    def test_tokens_are_kept_and_refreshed(self):
        session = self.lab.session(self.lab.config(self.base), "unwrap")
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "wrapped": self.kept["wrapped"], "key_id": self.kept["key_id"]}
        before = self.order(served=True)["served"]
        for _ in range(5):
            self.assertTrue(session.ask(request)["ok"])
        self.assertEqual(self.order(served=True)["served"] - before, 1)
        self.addCleanup(self.another_official)
        # Revoked before its time: the vault says 401, another token is fetched once.
        self.order(revoke_tokens=True)
        self.assertTrue(session.ask(request)["ok"])
        self.assertEqual(self.order(served=True)["served"] - before, 2)
        # A short life ends: fetched anew before it does.
        self.order(lifetime=3, revoke_tokens=True)
        self.assertTrue(session.ask(request)["ok"])
        time.sleep(3.2)
        self.order(log=True)
        self.assertTrue(session.ask(request)["ok"])
        self.assertEqual(len(self.order(log=True)["log"]), 2)  # a token, an unwrap, and no 401

    def test_issuer_that_is_not_ours(self):
        """A token of oauth2-mock-server, which the vault checks against that server's keys."""
        there, node = lab.peer("oauth2"), shutil.which("node") or lab.missing("node is not installed")
        tenant, port = self.azure.ready["tenant"], self.lab.port()
        issuer = f"http://127.0.0.1:{port}"
        self.lab.start([node, os.path.join(lab.SOURCE, "test", "peers", "oauth2_server.cjs"), there, str(port),
                        f"/{tenant}/oauth2/v2.0/token"], f"{issuer}/jwks")
        keys = self.lab.path("jwks.json")
        azure = Azure(self.lab, "--jwks", keys)
        official = azure.official()
        self.addCleanup(official.close)
        official.must("create", name="issued")
        entry = self.entry(f"{azure.url}/keys/issued", authority=issuer, caFile=azure.ca)
        self.lab.write("jwks.json", '{"keys": []}')
        config = self.lab.config(entry)
        self.fails(self.lab.wrap(config), "unauthenticated", "Unauthorized")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{issuer}/jwks") as answer:
            self.lab.write("jwks.json", answer.read())
        self.opens(config, self.wrapped(config))

    def test_configuration(self):
        for change, text in (({"tenantId": None}, "tenantId"), ({"clientId": None}, "clientId"),
                             ({"tenantId": "a/b"}, "tenantId"), ({"authority": "http://evil.example"}, "authority"),
                             ({"clientSecretFile": "/nowhere"}, "clientSecretFile"),
                             ({"credential": "certificate"}, "certificateFile"),
                             ({"credential": "workloadIdentity", "clientSecretFile": None}, "federatedTokenFile"),
                             ({"key": "https://localhost/secrets/x"}, "key"), ({"algorithm": "RSA1_5"}, "algorithm")):
            entry = {k: v for k, v in {**self.base, **change}.items() if v is not None}
            self.fails(self.lab.describe(self.lab.config(entry)), "configuration", text)
        loose = self.lab.write("loose", "secret\n", 0o644)
        self.fails(self.lab.describe(self.lab.config({**self.base, "clientSecretFile": loose})), "configuration")
