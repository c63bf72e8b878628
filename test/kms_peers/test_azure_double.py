"""test/kms_peers/test_azure_double.py -- The double of Azure, tried by Microsoft's own clients before
anything of ours is tried against it."""
import json
import os
import subprocess
import time
import urllib.request

import lab

PEERS = os.path.join(lab.SOURCE, "test", "peers")


class Azure:
    """A running double in a lab, and the official clients."""

    def __init__(self, the_lab, *args):
        self.lab = the_lab
        self.python = lab.peer("azure")
        the_lab.counter += 1
        self.dir = the_lab.path(f"azure-{the_lab.counter}")
        os.mkdir(self.dir, 0o700)
        path = os.path.join(self.dir, "ready.json")
        self.server = the_lab.start([self.python, os.path.join(PEERS, "azure_double.py"), self.dir, *args],
                                    lambda: os.path.exists(path))
        with open(path) as file:
            self.ready = json.load(file)
        self.url = f"https://localhost:{self.ready['vault']}"
        self.ca = os.path.join(self.dir, "ca.pem")

    def order(self, **what):
        request = urllib.request.Request(f"http://127.0.0.1:{self.ready['order']}/",
                                         json.dumps(what).encode(), method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)

    def file(self, name):
        return os.path.join(self.dir, name)

    def official(self, credential="secret"):
        return Official(self, credential)


class Official(lab.Session):
    def __init__(self, azure, credential):
        super().__init__([azure.python, os.path.join(PEERS, "azure_official.py"), azure.dir, credential],
                         lab.clean_environment())

    def do(self, op, **more):
        return self.ask({"op": op, **more})

    def must(self, op, **more):
        answer = self.do(op, **more)
        if not answer["ok"]:
            raise AssertionError(f"{op} {more}: {answer}")
        return answer


ALL = ["create", "get", "update", "delete", "recover", "purge", "wrapKey", "unwrapKey", "rotate"]
SECRET = lab.b64(b"0123456789abcdef0123456789abcdef")


class Double(lab.Case):
    seconds = 20

    @classmethod
    def start(cls):
        cls.azure = Azure(cls.lab)

    def setUp(self):
        self.client = self.azure.official()
        self.addCleanup(self.client.close)

    def refused(self, answer, kind, status, code=None, inner=None):
        self.assertEqual((answer["ok"], answer.get("type"), answer.get("status")), (False, kind, status), answer)
        if code:
            self.assertEqual(answer["code"], code)
        if inner:
            self.assertEqual(answer["inner"], inner)

    def test_versions(self):
        first = self.client.must("create", name="versions")
        wrapped = self.client.must("wrap", kid=first["kid"], value=SECRET)
        second = self.client.must("rotate", name="versions")
        self.assertNotEqual(first["version"], second["version"])
        self.assertEqual(self.client.must("get", name="versions")["version"], second["version"])
        self.assertEqual(self.client.must("get", name="VERSIONS", version=first["version"])["version"],
                         first["version"])
        self.assertEqual(self.client.must("unwrap", kid=first["kid"], value=wrapped["value"])["value"], SECRET)
        answer = self.client.do("unwrap", kid=second["kid"], value=wrapped["value"])
        self.refused(answer, "HttpResponseError", 400, "BadParameter")

    def test_disable_and_enable(self):
        key = self.client.must("create", name="disabled")
        wrapped = self.client.must("wrap", kid=key["kid"], value=SECRET)
        self.assertFalse(self.client.must("update", name="disabled", enabled=False)["enabled"])
        answer = self.client.do("unwrap", kid=key["kid"], value=wrapped["value"])
        self.refused(answer, "HttpResponseError", 403, "Forbidden", "KeyDisabled")
        # Without leave to read the key the official client wraps in the vault: a disabled key does.
        self.azure.order(permissions=[p for p in ALL if p != "get"])
        self.addCleanup(self.azure.order, permissions=ALL)
        again = self.client.must("wrap", kid=key["kid"], value=SECRET)
        self.azure.order(permissions=ALL)
        self.client.must("update", name="disabled", enabled=True)
        for value in (wrapped["value"], again["value"]):
            self.assertEqual(self.client.must("unwrap", kid=key["kid"], value=value)["value"], SECRET)

    def test_delete_recover_purge(self):
        key = self.client.must("create", name="deleted")
        wrapped = self.client.must("wrap", kid=key["kid"], value=SECRET)
        self.assertIn("/deletedkeys/deleted", self.client.must("delete", name="deleted")["recovery_id"])
        self.refused(self.client.do("get", name="deleted"), "ResourceNotFoundError", 404, "KeyNotFound")
        answer = self.client.do("unwrap", kid=key["kid"], value=wrapped["value"])
        self.assertFalse(answer["ok"])
        self.refused(self.client.do("create", name="deleted"), "ResourceExistsError", 409, "Conflict",
                     "ObjectIsDeletedButRecoverable")
        self.client.must("get_deleted", name="deleted")
        self.assertEqual(self.client.must("recover", name="deleted")["version"], key["version"])
        self.assertEqual(self.client.must("unwrap", kid=key["kid"], value=wrapped["value"])["value"], SECRET)
        self.client.must("delete", name="deleted")
        self.client.must("purge", name="deleted")
        self.refused(self.client.do("get_deleted", name="deleted"), "ResourceNotFoundError", 404)
        self.assertNotEqual(self.client.must("create", name="deleted")["version"], key["version"])

    def test_limits_in_time(self):
        key = self.client.must("create", name="times")
        wrapped = self.client.must("wrap", kid=key["kid"], value=SECRET)
        self.client.must("update", name="times", expires_on=int(time.time()) - 100)
        self.assertEqual(self.client.must("unwrap", kid=key["kid"], value=wrapped["value"])["value"], SECRET)

    def test_symmetric(self):
        key = self.client.must("create", name="symmetric", kty="oct-HSM", size=256)
        # Without leave to read the key the official client wraps in the vault.
        self.azure.order(permissions=[p for p in ALL if p != "get"])
        self.addCleanup(self.azure.order, permissions=ALL)
        wrapped = self.client.must("wrap", kid=key["kid"], value=SECRET, alg="A256KW")
        self.assertEqual(len(wrapped["value"]), 56)
        self.assertEqual(
            self.client.must("unwrap", kid=key["kid"], value=wrapped["value"], alg="A256KW")["value"], SECRET)

    def test_policy(self):
        self.client.must("create", name="policy")
        self.addCleanup(self.azure.order, permissions=ALL)
        self.azure.order(permissions=["unwrapKey"])
        self.refused(self.client.do("get", name="policy"), "HttpResponseError", 403, "Forbidden",
                     "ForbiddenByRbac")

    def test_expired_token(self):
        self.client.must("create", name="tokens")
        self.azure.order(revoke_tokens=True)
        # The client asks for a new one only when its own has run out: it is told 401.
        self.refused(self.client.do("get", name="tokens"), "ClientAuthenticationError", 401, "Unauthorized")
        fresh = self.azure.official()
        self.addCleanup(fresh.close)
        fresh.must("get", name="tokens")

    def test_credentials(self):
        self.client.must("create", name="credentials")
        for kind in ("certificate", "managed", "workload"):
            with self.subTest(kind):
                other = self.azure.official(kind)
                self.addCleanup(other.close)
                other.must("get", name="credentials")
        other = self.azure.official("wrong")
        self.addCleanup(other.close)
        answer = other.do("get", name="credentials")
        self.assertEqual((answer["ok"], answer["type"]), (False, "ClientAuthenticationError"))
        self.assertIn("AADSTS7000215", answer["message"])
