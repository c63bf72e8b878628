"""test/kms_peers/test_vault.py -- Provider vault with a real OpenBao server, and with hvac."""
import base64
import json
import os
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import lab
from bad_server import BadServer, reply

ROOT = "root-token-of-a-test"
RUNTIME = """
path "transit/encrypt/kek" { capabilities = ["update"] }
path "transit/decrypt/kek" { capabilities = ["update"] }
"""


class Bao:
    """A dev server, in clear on one port and with TLS, which asks for client certificates, on another."""

    def __init__(self, where, made):
        self.bin = where
        self.port, self.tls_port, self.cluster = lab.free_port(), lab.free_port(), lab.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.authority = made.authority("bao")
        certificate, key = self.authority.issue("server")
        config = made.write("bao.hcl", f'''
listener "tcp" {{ address = "127.0.0.1:{self.tls_port}"
  cluster_address = "127.0.0.1:{self.cluster}"
  tls_cert_file = "{certificate}" tls_key_file = "{key}" }}
'''.replace('" tls_key_file', '"\n  tls_key_file'))
        self.server = made.start(
            [os.path.join(where, "bao"), "server", "-dev", f"-dev-root-token-id={ROOT}", "-dev-no-store-token",
             f"-dev-listen-address=127.0.0.1:{self.port}", f"-config={config}"],
            self.url + "/v1/sys/health", environment={"HOME": made.dir})

    def call(self, method, path, body=None, namespace=None, token=ROOT):
        request = urllib.request.Request(f"{self.url}/v1/{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("X-Vault-Token", token)
        if namespace:
            request.add_header("X-Vault-Namespace", namespace)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def key(self, name, mount="transit", **kwargs):
        self.call("POST", f"{mount}/keys/{name}", {}, **kwargs)

    def token(self, policies=("runtime",), **more):
        return self.call("POST", "auth/token/create", {"policies": list(policies), **more})["auth"]["client_token"]


class Vault(lab.Case):
    @classmethod
    def start(cls):
        cls.where = lab.peer("openbao")
        cls.bao = Bao(cls.where, cls.lab)
        cls.bao.call("POST", "sys/mounts/transit", {"type": "transit"})
        cls.bao.key("kek")
        cls.bao.call("PUT", "sys/policies/acl/runtime", {"policy": RUNTIME})
        cls.bao.call("PUT", "sys/policies/acl/all", {"policy": 'path "*" { capabilities = '
                                                     '["create","read","update","delete","list"] }'})
        cls.config = cls.entry(tokenFile=cls.token_file(cls.bao.token()))

    @classmethod
    def token_file(cls, token):
        cls.lab.counter += 1
        return cls.lab.write(f"token-{cls.lab.counter}", token + "\n")

    @classmethod
    def entry(cls, **more):
        return cls.lab.config({"provider": "vault", "endpoint": cls.bao.url, "key": "kek", "timeout": "5s", **more})

    def powerful(self, **more):
        return self.entry(tokenFile=self.token_file(self.bao.token(["all"])), **more)

    # --- keys

    def test_round_trip(self):
        wrapped = self.wrapped(self.config)
        self.assertRegex(wrapped["key_id"], r"^vault:transit/kek@v[1-9]\d*$")
        self.assertTrue(base64.b64decode(wrapped["wrapped"]).startswith(b"vault:v"))
        self.assertTrue(wrapped["credential"].startswith("token:/"))
        self.opens(self.config, wrapped)

    def test_wrong_context(self):
        wrapped = self.wrapped(self.config)
        for context in ({"scope": "other"}, {"master_key_id": 1}, {"uuid": "ff" * 16}):
            self.fails(self.lab.unwrap(self.config, wrapped, context=context), "corrupt", id="kms-wrapped-tag")

    def test_changed_ciphertext(self):
        wrapped = self.wrapped(self.config)
        text = base64.b64decode(wrapped["wrapped"])
        body = bytearray(base64.b64decode(text.split(b":")[2]))
        body[-1] ^= 1
        wrapped["wrapped"] = lab.b64(text.rsplit(b":", 1)[0] + b":" + base64.b64encode(body))
        self.fails(self.lab.unwrap(self.config, wrapped), "corrupt", id="kms-wrapped-tag")

    def test_rotated_and_too_old(self):
        self.bao.key("turning")
        config = self.powerful(key="turning")
        old = self.wrapped(config)
        self.bao.call("POST", "transit/keys/turning/rotate", {})
        new = self.wrapped(config)
        self.assertEqual((old["key_id"][-3:], new["key_id"][-3:]), ("@v1", "@v2"))
        self.opens(config, old)
        self.opens(config, new)
        self.assertEqual(self.lab.describe(config)["key_id"], "vault:transit/turning@v2")
        self.bao.call("POST", "transit/keys/turning/config", {"min_decryption_version": 2})
        self.fails(self.lab.unwrap(config, old), "disabled", "too old", id="kms-key-disabled")
        self.assertEqual(self.lab.describe(config, old["key_id"])["state"], "disabled")
        self.assertEqual(self.lab.describe(config, new["key_id"])["state"], "enabled")
        self.bao.call("POST", "transit/keys/turning/config", {"min_decryption_version": 1})
        self.opens(config, old)

    def test_other_version_than_recorded(self):
        wrapped = self.wrapped(self.config)
        self.fails(self.lab.unwrap(self.config, wrapped, key_id="vault:transit/kek@v7"), "corrupt")
        self.fails(self.lab.unwrap(self.config, wrapped, key_id="vault:transit/other@v1"), "refused")
        self.fails(self.lab.unwrap(self.config, wrapped, key_id="vault:../kek@v1"), "corrupt")

    def test_deleted(self):
        self.bao.key("gone")
        config = self.powerful(key="gone")
        wrapped = self.wrapped(config)
        self.bao.call("POST", "transit/keys/gone/config", {"deletion_allowed": True})
        self.bao.call("DELETE", "transit/keys/gone")
        self.fails(self.lab.unwrap(config, wrapped), "not found", id="kms-key-not-found")
        self.fails(self.lab.describe(config), "not found", id="kms-key-not-found")

    def test_wrap_makes_no_key(self):
        """Not even with a token that may create."""
        config = self.powerful(key="never-made")
        self.fails(self.lab.wrap(config), "not found", id="kms-key-not-found")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.bao.call("GET", "transit/keys/never-made")
        self.assertEqual(caught.exception.code, 404)

    def test_wrong_mount(self):
        self.fails(self.lab.wrap(self.powerful(mount="elsewhere")), "bad reply", "mount", id="kms-vault-path")

    # --- policies and tokens

    def test_denied(self):
        config = self.entry(tokenFile=self.token_file(self.bao.token(["default"])))
        self.fails(self.lab.wrap(config), "denied", "permission denied", 'path "transit/encrypt/kek"', "HTTP 403")
        self.assertEqual(self.lab.describe(self.config)["state"], "unknown")

    def test_wrong_token(self):
        answer = self.lab.wrap(self.entry(tokenFile=self.token_file("s.no-such-token")))
        self.fails(answer, "unauthenticated", "tokenFile", id="kms-token")
        self.assertNotIn("no-such-token", json.dumps(answer))

    def test_revoked_and_replaced_token(self):
        path, token = self.lab.path("replaced"), self.bao.token()
        self.lab.write("replaced", token)
        session = self.lab.session(self.entry(tokenFile=path), "wrap")
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)}
        self.assertTrue(session.ask(request)["ok"])
        self.bao.call("POST", "auth/token/revoke", {"token": token})
        self.fails(session.ask(request), "unauthenticated", id="kms-token")
        self.lab.write("replaced", self.bao.token())
        self.assertTrue(session.ask(request)["ok"])

    def test_expired_token(self):
        config = self.entry(tokenFile=self.token_file(self.bao.token(ttl="1s", renewable=False)))
        time.sleep(2)
        self.fails(self.lab.wrap(config), "unauthenticated", id="kms-token")

    def session_later(self, config, seconds):
        """A client wraps, so much of its time passes, and it wraps again."""
        clock = lab.Clock(self.lab)
        session = self.lab.session(config, "wrap", environment=clock.environment)
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)}
        self.assertTrue(session.ask(request)["ok"])
        clock.move(seconds)
        answer = session.ask(request)
        self.assertTrue(answer["ok"], answer)

    def renewals(self, token):
        data = self.bao.call("POST", "auth/token/lookup", {"token": token})["data"]
        return data.get("last_renewal_time")

    def test_token_of_a_file_is_renewed_in_time(self):
        for seconds, ttl, renewed in ((10, "100s", False), (85, "100s", True), (85, "30m", False)):
            with self.subTest(seconds=seconds, ttl=ttl):
                token = self.bao.token(ttl=ttl, renewable=True)
                self.session_later(self.entry(tokenFile=self.token_file(token)), seconds)
                self.assertEqual(self.renewals(token) is not None, renewed)
        token = self.bao.token(ttl="100s", renewable=False)
        self.session_later(self.entry(tokenFile=self.token_file(token)), 85)
        self.assertIsNone(self.renewals(token))

    def test_token_of_a_login_is_renewed_before_another_login(self):
        config, _ = self.approle(token_ttl="100s")
        for seconds, tokens in ((85, 1), (3600, 2)):  # past its life only a login helps
            before = len(self.bao.call("LIST", "auth/token/accessors")["data"]["keys"])
            self.session_later(config, seconds)
            self.assertEqual(len(self.bao.call("LIST", "auth/token/accessors")["data"]["keys"]) - before, tokens)

    def test_token_file_is_secret(self):
        path = self.token_file("token")
        os.chmod(path, 0o644)
        self.fails(self.lab.wrap(self.entry(tokenFile=path)), "configuration", "tokenFile")

    def approle(self, **role):
        try:
            self.bao.call("POST", "sys/auth/approle", {"type": "approle"})
        except urllib.error.HTTPError:
            pass  # another test did
        self.bao.call("POST", "auth/approle/role/db", {"token_policies": ["runtime"], **role})
        role_id = self.bao.call("GET", "auth/approle/role/db/role-id")["data"]["role_id"]
        secret = self.bao.call("POST", "auth/approle/role/db/secret-id", {})["data"]["secret_id"]
        return self.entry(auth="approle", roleId=role_id, secretIdFile=self.token_file(secret)), role_id

    def test_approle(self):
        config, role_id = self.approle(token_ttl="1h")
        wrapped = self.wrapped(config)
        self.assertEqual(wrapped["credential"], "approle:" + role_id)
        self.opens(config, wrapped)
        bad = self.entry(auth="approle", roleId=role_id, secretIdFile=self.token_file("wrong-secret-id"))
        answer = self.fails(self.lab.wrap(bad), "unauthenticated", "secretIdFile", id="kms-login")
        self.assertNotIn("wrong-secret-id", json.dumps(answer))

    def test_approle_token_ends(self):
        """The client logs in again when its token has ended, and when it was revoked."""
        config, _ = self.approle(token_ttl="2s", token_max_ttl="2s")
        session = self.lab.session(config, "wrap")
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)}
        self.assertTrue(session.ask(request)["ok"])
        time.sleep(3)
        self.assertTrue(session.ask(request)["ok"])
        self.approle(token_ttl="1h", token_max_ttl="2h")
        time.sleep(2.1)
        self.assertTrue(session.ask(request)["ok"])
        for accessor in self.bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
            try:
                found = self.bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
                if found["path"] == "auth/approle/login":
                    self.bao.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})
            except urllib.error.HTTPError:
                pass  # it ended meanwhile
        self.assertTrue(session.ask(request)["ok"])

    def test_certificate_login(self):
        certificate, key = self.bao.authority.issue("database")
        other = self.lab.authority("stranger").issue("stranger")
        self.bao.call("POST", "sys/auth/cert", {"type": "cert"})
        with open(certificate) as file:
            self.bao.call("POST", "auth/cert/certs/db", {"certificate": file.read(), "token_policies": ["runtime"]})
        options = {"endpoint": self.bao.tls_url, "auth": "cert", "caFile": self.bao.authority.certificate}
        config = self.entry(**options, clientCertificate=certificate, clientKey=key)
        wrapped = self.wrapped(config)
        self.opens(config, wrapped)
        self.opens(self.config, wrapped)
        self.fails(self.lab.wrap(self.entry(**options, clientCertificate=other[0], clientKey=other[1])),
                   "unauthenticated", id="kms-login")

    def test_kubernetes_login(self):
        """OpenBao asks the cluster whether a service account's token is good; the cluster is played here."""
        def part(data):
            return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")

        account = "system:serviceaccount:data:mongod"
        jwt = ".".join([part({"alg": "RS256", "typ": "JWT"}),
                        part({"sub": account, "iss": "kubernetes/serviceaccount", "iat": int(time.time()) - 60,
                              "nbf": int(time.time()) - 60, "exp": int(time.time()) + 600,
                              "kubernetes.io/serviceaccount/namespace": "data",
                              "kubernetes.io/serviceaccount/service-account.name": "mongod",
                              "kubernetes.io/serviceaccount/service-account.uid": "u-1"}), "c2lnbmF0dXJl"])
        seen = []

        def review(connection, request, _server):
            seen.append(request)
            good = jwt.encode() in request
            connection.sendall(reply(201, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": {
                "authenticated": good, "user": {"username": account, "uid": "u-1"} if good else {}}}))

        cluster = BadServer(review)
        self.addCleanup(cluster.close)
        self.bao.call("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        with open(self.bao.authority.certificate) as file:
            self.bao.call("POST", "auth/kubernetes/config", {
                "kubernetes_host": cluster.url, "kubernetes_ca_cert": file.read(), "disable_local_ca_jwt": True})
        self.bao.call("POST", "auth/kubernetes/role/db", {
            "bound_service_account_names": ["mongod"], "bound_service_account_namespaces": ["data"],
            "token_policies": ["runtime"], "token_ttl": "1h"})
        path = self.lab.write("jwt", jwt, 0o644)  # as Kubernetes mounts it
        config = self.entry(auth="kubernetes", role="db", jwtFile=path)
        wrapped = self.wrapped(config)
        self.assertEqual(wrapped["credential"], "kubernetes:db")
        self.opens(config, wrapped)
        self.assertTrue(seen)
        self.lab.write("jwt", jwt[:-4] + "AAAA", 0o644)
        self.fails(self.lab.wrap(config), "unauthenticated", id="kms-login")

    def test_namespace(self):
        self.bao.call("POST", "sys/namespaces/team", {})
        self.bao.call("POST", "sys/mounts/keys/transit", {"type": "transit"}, namespace="team")
        self.bao.key("kek", mount="keys/transit", namespace="team")
        config = self.entry(tokenFile=self.token_file(ROOT), namespace="team", mount="keys/transit")
        wrapped = self.wrapped(config)
        self.assertEqual(wrapped["key_id"], "vault:team/keys/transit/kek@v1")
        self.opens(config, wrapped)
        self.fails(self.lab.unwrap(self.powerful(), wrapped), "refused", id="kms-not-configured")

    # --- others

    def hvac(self, script, *args):
        out = subprocess.run([os.path.join(self.where, "python"), "-c", script, self.bao.url, ROOT, *args],
                             capture_output=True, text=True, timeout=60, env=lab.clean_environment())
        self.assertEqual(out.returncode, 0, out.stderr)
        return out.stdout.strip()

    def test_hvac_opens_ours_and_we_its(self):
        context = lab.b64(("wtkms/1/%s/%016x/%s" % (lab.CONTEXT["uuid"], lab.CONTEXT["master_key_id"],
                                                   lab.CONTEXT["scope"])).encode())
        ours = base64.b64decode(self.wrapped(self.config)["wrapped"]).decode()
        start = "import hvac,sys; t=hvac.Client(url=sys.argv[1],token=sys.argv[2]).secrets.transit; "
        self.assertEqual(self.hvac(start + "print(t.decrypt_data('kek',ciphertext=sys.argv[3],associated_data="
                                   "sys.argv[4])['data']['plaintext'])", ours, context), lab.b64(lab.PLAINTEXT))
        its = self.hvac(start + "print(t.encrypt_data('kek',plaintext=sys.argv[3],associated_data=sys.argv[4])"
                        "['data']['ciphertext'])", lab.b64(lab.PLAINTEXT), context)
        self.opens(self.config, {"wrapped": lab.b64(its.encode()), "key_id": "vault:transit/kek@v1"})

    def test_database(self):
        home = self.lab.check_database(self.config)
        self.assertIn("vault:transit/kek@v1", self.lab.wtkms("status", home, "--config", self.config).stdout)


class Sealed(lab.Case):
    @classmethod
    def start(cls):
        cls.bao = Bao(lab.peer("openbao"), cls.lab)

    def test_sealed_is_unavailable(self):
        self.bao.call("POST", "sys/mounts/transit", {"type": "transit"})
        self.bao.key("kek")
        config = self.lab.config({"provider": "vault", "endpoint": self.bao.url, "key": "kek", "timeout": "1s",
                                  "tokenFile": self.lab.write("token", ROOT)})
        wrapped = self.wrapped(config)
        self.bao.call("PUT", "sys/seal", {})
        self.fails(self.lab.unwrap(config, wrapped), "unavailable", "sealed", "unseal", id="kms-unavailable")


if __name__ == "__main__":
    unittest.main()
