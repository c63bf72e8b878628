"""test/peers/azure_double.py -- A double of Azure Key Vault, Entra and the platforms' token services.

Held to what the providers document and to their own clients, which test it first
(test/kms_peers/test_azure_double.py). Keys, wrapping, tokens and assertions are real cryptography;
bodies are checked against the models of azure-keyvault-keys, and unknown fields are refused.

    azure_double.py DIR [--jwks FILE]

makes in DIR: ca.pem, client.pem (certificate and key of the application), secret, workload.token,
and ready.json with ports and names once it answers. Three listeners on loopback: the vault and Entra
(TLS), the machine's and App Service's token services (plain http), and one for the tests' orders
(POST / with JSON). --jwks trusts the tokens of another issuer, too.
"""
import base64
import datetime
import hashlib
import http.server
import json
import os
import re
import ssl
import sys
import threading
import time
import urllib.parse
import uuid

from azure.keyvault.keys._generated import models
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "99999999-8888-7777-6666-555555555555"
IDENTITY = "77777777-6666-5555-4444-333333333333"  # user-assigned
WORKLOAD_ISSUER = "https://cluster.example"
WORKLOAD_SUBJECT = "system:serviceaccount:db:mongod"
IDENTITY_HEADER = "app-service-header"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RESOURCES = ("https://vault.azure.net", "https://localhost")
SHA256 = hashes.SHA256()
OAEP = {"RSA-OAEP": padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),
        "RSA-OAEP-256": padding.OAEP(padding.MGF1(SHA256), SHA256, None)}


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Refusal(Exception):
    def __init__(self, status, code, message, inner=None, headers=()):
        super().__init__(message)
        self.status, self.headers = status, dict(headers)
        self.body = {"error": {"code": code, "message": message}}
        if inner:
            self.body["error"]["innererror"] = {"code": inner}


class EntraRefusal(Exception):
    def __init__(self, error, aadsts, text, status=401):
        super().__init__(text)
        self.status, self.headers = status, {}
        self.body = {
            "error": error,
            "error_description": f"AADSTS{aadsts}: {text} Trace ID: {uuid.uuid4()} "
                                 f"Correlation ID: {uuid.uuid4()} Timestamp: now",
            "error_codes": [aadsts], "trace_id": str(uuid.uuid4()),
            "correlation_id": str(uuid.uuid4())}


def fields(model):
    getattr(models, model)()  # a model knows its fields from its first instance on
    return {field._rest_name for field in getattr(models, model)._attr_to_rest_field.values()}


def check_fields(body, model):
    unknown = set(body) - fields(model)
    if unknown:
        raise Refusal(400, "BadParameter", f"Unknown property: {sorted(unknown)[0]}")


# --- JSON Web Tokens

def jwt_make(key, kid, claims):
    text = ".".join(b64(json.dumps(part).encode()) for part in
                    ({"alg": "RS256", "typ": "JWT", "kid": kid}, claims))
    return text + "." + b64(key.sign(text.encode(), padding.PKCS1v15(), SHA256))


def jwt_parts(token):
    head, body, signature = token.split(".")
    return json.loads(unb64(head)), json.loads(unb64(body)), unb64(signature), \
        (head + "." + body).encode()


def jwt_verify(token, public_key_of):
    """The claims of a token whose signature is good, by the key that public_key_of(header) names."""
    header, claims, signature, text = jwt_parts(token)
    key = public_key_of(header)
    if header["alg"] == "RS256":
        key.verify(signature, text, padding.PKCS1v15(), SHA256)
    elif header["alg"] == "PS256":
        key.verify(signature, text, padding.PSS(padding.MGF1(SHA256), 32), SHA256)
    else:
        raise ValueError("algorithm")
    return header, claims


# --- the vault

class Version:
    def __init__(self, kty, size, ops, attributes):
        now = int(time.time())
        self.id, self.kty, self.ops = uuid.uuid4().hex, kty, ops
        self.attributes = {"enabled": True, "created": now, "updated": now, "recoverableDays": 90,
                           "recoveryLevel": "Recoverable+Purgeable", "exportable": False}
        self.attributes.update(attributes)
        if kty.startswith("oct"):
            self.key = os.urandom((size or 256) // 8)
        else:
            self.key = rsa.generate_private_key(65537, size or 2048)

    def jwk(self, kid):
        jwk = {"kid": kid, "kty": self.kty, "key_ops": self.ops}
        if not self.kty.startswith("oct"):
            public = self.key.public_key().public_numbers()
            jwk.update(n=number(public.n), e=number(public.e))
        return jwk

    def wrap(self, algorithm, value):
        if algorithm == "A256KW" and self.kty.startswith("oct"):
            return keywrap.aes_key_wrap(self.key, value)
        return self.key.public_key().encrypt(value, OAEP[algorithm])

    def unwrap(self, algorithm, value):
        if algorithm == "A256KW" and self.kty.startswith("oct"):
            return keywrap.aes_key_unwrap(self.key, value)
        return self.key.decrypt(value, OAEP[algorithm])


class Vault:
    def __init__(self):
        self.keys, self.deleted = {}, {}
        self.permissions = {"create", "get", "update", "delete", "recover", "purge", "wrapKey",
                            "unwrapKey", "encrypt", "decrypt", "rotate", "list"}
        self.denied_code = "ForbiddenByRbac"

    def need(self, permission):
        if permission not in self.permissions:
            raise Refusal(403, "Forbidden", "Caller is not authorized to perform action on resource."
                          f"\r\nCaller: appid={CLIENT};iss=https://sts.windows.net/{TENANT}/",
                          self.denied_code)

    def find(self, name, version=None):
        versions = self.keys.get(name.lower())
        found = None
        if versions:
            found = versions[-1] if not version else next(
                (v for v in versions if v.id == version.lower()), None)
        if not found:
            raise Refusal(404, "KeyNotFound",
                          f"A key with (name/id) {name}{'/' + version if version else ''} was not "
                          "found in this key vault. If you recently deleted this key you may be "
                          "able to recover it using the correct recovery command.")
        return found

    def bundle(self, base, name, version):
        body = {"key": version.jwk(f"{base}/keys/{name}/{version.id}"),
                "attributes": dict(version.attributes)}
        check_fields(body["key"], "JsonWebKey")
        check_fields(body["attributes"], "KeyAttributes")
        return body

    def deleted_bundle(self, base, name):
        if name.lower() not in self.deleted:
            raise Refusal(404, "KeyNotFound", f"A deleted key {name} was not found.")
        versions, when = self.deleted[name.lower()]
        body = self.bundle(base, name, versions[-1])
        body.update(recoveryId=f"{base}/deletedkeys/{name}", deletedDate=when,
                    scheduledPurgeDate=when + 90 * 86400)
        check_fields(body, "DeletedKeyBundle")
        return body

    def create(self, base, name, body):
        self.need("create")
        check_fields(body, "KeyCreateParameters")
        if name.lower() in self.deleted:
            raise Refusal(409, "Conflict", f"Key {name} is currently in a deleted but recoverable "
                          "state, and its name cannot be reused.", "ObjectIsDeletedButRecoverable")
        kty = body.get("kty")
        if kty not in ("RSA", "RSA-HSM", "oct", "oct-HSM"):
            raise Refusal(400, "BadParameter", "Property has invalid value: kty")
        attributes = body.get("attributes") or {}
        check_fields(attributes, "KeyAttributes")
        ops = body.get("key_ops") or ["wrapKey", "unwrapKey", "encrypt", "decrypt"]
        version = Version(kty, body.get("key_size"), ops, attributes)
        self.keys.setdefault(name.lower(), []).append(version)
        return self.bundle(base, name, version)

    def rotate(self, base, name):
        self.need("rotate")
        old = self.find(name)
        size = len(old.key) * 8 if isinstance(old.key, bytes) else old.key.key_size
        self.keys[name.lower()].append(Version(old.kty, size, old.ops, {}))
        return self.bundle(base, name, self.find(name))

    def update(self, base, name, version, body):
        self.need("update")
        check_fields(body, "KeyUpdateParameters")
        found = self.find(name, version)
        check_fields(body.get("attributes") or {}, "KeyAttributes")
        found.attributes.update(body.get("attributes") or {}, updated=int(time.time()))
        found.ops = body.get("key_ops") or found.ops
        return self.bundle(base, name, found)

    def delete(self, base, name):
        self.need("delete")
        self.find(name)
        self.deleted[name.lower()] = (self.keys.pop(name.lower()), int(time.time()))
        return self.deleted_bundle(base, name)

    def recover(self, base, name):
        self.need("recover")
        self.deleted_bundle(base, name)
        self.keys[name.lower()] = self.deleted.pop(name.lower())[0]
        return self.bundle(base, name, self.find(name))

    def operate(self, base, name, version, operation, body):
        permission = {"wrapkey": "wrapKey", "unwrapkey": "unwrapKey"}[operation]
        self.need(permission)
        check_fields(body, "KeyOperationsParameters")
        found = self.find(name, version)
        now, attributes = time.time(), found.attributes
        if permission not in found.ops:
            raise Refusal(403, "Forbidden", f"Operation {permission} is not permitted on this key.",
                          "KeyOperationForbidden")
        # The service lets a disabled or expired key do what needs its public half or opens old data.
        if not attributes["enabled"] and permission == "unwrapKey":
            raise Refusal(403, "Forbidden", f"Operation {permission} is not allowed on a disabled "
                          "key.", "KeyDisabled")
        if attributes.get("nbf") and now < attributes["nbf"]:
            raise Refusal(403, "Forbidden", f"Operation {permission} is not allowed on a key that "
                          "is not yet valid.", "KeyNotYetValid")
        if attributes.get("exp") and now >= attributes["exp"] and permission == "wrapKey":
            raise Refusal(403, "Forbidden", f"Operation {permission} is not allowed on an expired "
                          "key.", "KeyExpired")
        try:
            value = unb64(body["value"])
            action = found.wrap if permission == "wrapKey" else found.unwrap
            result = action(body["alg"], value)
        except Exception:
            raise Refusal(400, "BadParameter", "The parameter is incorrect.") from None
        answer = {"kid": f"{base}/keys/{name}/{found.id}", "value": b64(result)}
        check_fields(answer, "KeyOperationResult")
        return answer


# --- Entra

class Entra:
    def __init__(self, folder, jwks):
        self.key = rsa.generate_private_key(65537, 2048)
        self.kid = uuid.uuid4().hex
        self.secret = b64(os.urandom(24)) + "~+/&="
        self.secret_expired = False
        self.lifetime = 3600
        self.revoked_before = 0
        self.served, self.seen = 0, set()
        self.identity = True  # whether the machine has an identity
        self.jwks = jwks
        self.workload_key = rsa.generate_private_key(65537, 2048)
        self.certificate = client_certificate(folder)
        write(folder, "secret", self.secret + "\n")
        self.write_workload(folder, WORKLOAD_SUBJECT)

    def write_workload(self, folder, subject):
        now = int(time.time())
        write(folder, "workload.token", jwt_make(self.workload_key, "workload", {
            "iss": WORKLOAD_ISSUER, "sub": subject, "aud": "api://AzureADTokenExchange",
            "iat": now, "nbf": now, "exp": now + 3600}), 0o644)

    def token(self, resource, client):
        self.served += 1
        now = time.time()
        return jwt_make(self.key, self.kid, {
            "aud": resource, "iss": f"https://sts.windows.net/{TENANT}/", "tid": TENANT,
            "appid": client, "iat": int(now), "nbf": int(now) - 5, "exp": now + self.lifetime,
            "made": now, "jti": uuid.uuid4().hex})

    def check_bearer(self, header):
        def public_key(head):
            if head["kid"] == self.kid:
                return self.key.public_key()
            for jwk in (json.load(open(self.jwks))["keys"] if self.jwks else []):
                if jwk["kid"] == head["kid"]:
                    return rsa.RSAPublicNumbers(*(int.from_bytes(unb64(jwk[x]), "big") for x in
                                                  ("e", "n"))).public_key()
            raise ValueError("kid")
        try:
            scheme, token = header.split(" ")
            head, claims = jwt_verify(token, public_key)
            own = head["kid"] == self.kid
            good = (scheme == "Bearer" and claims["exp"] > time.time() and
                    (not own or (claims["aud"] in RESOURCES and claims["tid"] == TENANT and
                                 claims["made"] >= self.revoked_before)))
        except (ValueError, KeyError, AttributeError, InvalidSignature):
            good = False
        return good

    def assertion(self, form, url):
        """A certificate's or a workload's."""
        try:
            head, unverified = jwt_parts(form["client_assertion"])[:2]
        except (ValueError, KeyError):
            raise EntraRefusal("invalid_client", 50027, "Invalid JWT token.", 400) from None
        own = unverified.get("iss") == CLIENT
        try:
            key = self.certificate.public_key() if own else self.workload_key.public_key()
            head, claims = jwt_verify(form["client_assertion"], lambda _: key)
        except (ValueError, KeyError, InvalidSignature):
            raise EntraRefusal("invalid_client", 700027, "The certificate with identifier used to "
                               "sign the client assertion is not registered.") from None
        now = time.time()
        if not claims.get("nbf", claims.get("iat", 0)) - 300 <= now < claims["exp"]:
            raise EntraRefusal("invalid_client", 700024,
                               "Client assertion is not within its valid time range.")
        if not own:
            if (claims["iss"], claims["sub"]) != (WORKLOAD_ISSUER, WORKLOAD_SUBJECT):
                raise EntraRefusal("invalid_request", 70021, "No matching federated identity record "
                                   "found for presented assertion.", 400)
            return
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        prints = {"RS256": ("x5t", hashlib.sha1), "PS256": ("x5t#S256", hashlib.sha256)}
        name, digest = prints[head["alg"]]
        if head.get(name, "").rstrip("=") != b64(digest(der).digest()) or head.get("typ") != "JWT":
            raise EntraRefusal("invalid_client", 700027, "The certificate with identifier used to "
                               "sign the client assertion is not registered.")
        if claims["aud"] != url or claims["sub"] != CLIENT or claims["jti"] in self.seen:
            raise EntraRefusal("invalid_client", 50027, "Invalid JWT token.")
        self.seen.add(claims["jti"])

    def client_credentials(self, tenant, form, url):
        if tenant != TENANT:
            raise EntraRefusal("invalid_request", 90002, f"Tenant '{tenant}' not found.", 400)
        if form.get("grant_type") != "client_credentials":
            raise EntraRefusal("unsupported_grant_type", 70003, "Unsupported grant.", 400)
        if form.get("client_id") != CLIENT:
            raise EntraRefusal("unauthorized_client", 700016, f"Application with identifier "
                               f"'{form.get('client_id')}' was not found in the directory.", 400)
        resource, default = form.get("scope", "").rsplit("/", 1)
        if default != ".default" or resource not in RESOURCES:
            raise EntraRefusal("invalid_resource", 500011, "The resource principal named "
                               f"{resource} was not found in the tenant.", 400)
        if form.get("client_assertion_type") == ASSERTION:
            self.assertion(form, url)
        elif form.get("client_secret") != self.secret:
            raise EntraRefusal("invalid_client", 7000215, "Invalid client secret provided.")
        elif self.secret_expired:
            raise EntraRefusal("invalid_client", 7000222, "The provided client secret keys for app "
                               "are expired.")
        return {"token_type": "Bearer", "expires_in": int(self.lifetime),
                "ext_expires_in": int(self.lifetime), "access_token": self.token(resource, CLIENT)}

    def managed(self, query, app_service):
        resource = query.get("resource")
        if resource not in RESOURCES:
            raise EntraRefusal("invalid_resource", 500011, "The resource principal was not found.",
                               400)
        if not self.identity or query.get("client_id", IDENTITY) != IDENTITY:
            refusal = EntraRefusal("invalid_request", 0, "Identity not found", 400)
            refusal.body = {"error": "invalid_request", "error_description": "Identity not found"}
            raise refusal
        answer = {"access_token": self.token(resource, query.get("client_id", IDENTITY)),
                  "expires_on": str(int(time.time() + self.lifetime)), "resource": resource,
                  "token_type": "Bearer"}
        if not app_service:
            answer.update(expires_in=str(int(self.lifetime)), client_id=IDENTITY,
                          not_before=str(int(time.time())), ext_expires_in="0")
        return answer


# --- certificates

def write(folder, name, data, mode=0o600):
    path = os.path.join(folder, name)
    with open(os.open(path + ".new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    os.rename(path + ".new", path)
    return path


def pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def certificate(subject, key, issuer, issuer_key, names=(), authority=False):
    now = datetime.datetime.now(datetime.timezone.utc)
    common = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (subject, issuer)]
    builder = x509.CertificateBuilder().subject_name(common[0]).issuer_name(common[1])
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=2))
    builder = builder.add_extension(x509.BasicConstraints(authority, None), True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(issuer_key, SHA256)


def client_certificate(folder):
    key = rsa.generate_private_key(65537, 2048)
    cert = certificate("client", key, "client", key)
    pem = cert.public_bytes(serialization.Encoding.PEM)
    write(folder, "client.pem", pem + pem_key(key))
    write(folder, "client.crt", pem)
    write(folder, "client.key", pem_key(key))
    return cert


def server_context(folder):
    import ipaddress
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("test authority", ca_key, "test authority", ca_key, authority=True)
    cert = certificate("localhost", key, "test authority", ca_key,
                       [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    write(folder, "ca.pem", ca.public_bytes(serialization.Encoding.PEM), 0o644)
    path = write(folder, "server.pem", cert.public_bytes(serialization.Encoding.PEM) + pem_key(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


# --- listeners

class Double:
    def __init__(self, folder, jwks):
        self.folder = folder
        self.vault, self.entra = Vault(), Entra(folder, jwks)
        self.lock = threading.Lock()
        self.kid_base = None  # instead of the request's own host
        self.faults = []      # of the next vault requests: {"status", "body", "headers"}
        self.change = {}      # of answers of the vault: fields replaced in a 200's body
        self.log = []         # method and path of what came

    def order(self, what):
        """What the tests want; each key is one order."""
        answer = {}
        for name, value in what.items():
            if name in ("kid_base", "faults", "change"):
                setattr(self, name, value)
            elif name in ("permissions", "denied_code"):
                setattr(self.vault, name, set(value) if name == "permissions" else value)
            elif name in ("lifetime", "secret_expired", "identity"):
                setattr(self.entra, name, value)
            elif name == "revoke_tokens":
                self.entra.revoked_before = time.time()
            elif name == "workload_subject":
                self.entra.write_workload(self.folder, value)
            elif name == "log":
                answer["log"], self.log = self.log, []
            elif name == "served":
                answer["served"] = self.entra.served
            else:
                raise ValueError(name)
        return answer


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "double", ""

    def log_message(self, *args):
        pass

    def reply(self, status, body, headers=None):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json; charset=utf-8",
                   "x-ms-request-id": str(uuid.uuid4()), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self):
        double = self.server.double
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            with double.lock:
                answer = self.answer(double, url.path, query, raw)
        except (Refusal, EntraRefusal) as refusal:
            self.reply(refusal.status, refusal.body, refusal.headers)
        else:
            self.reply(*(answer if isinstance(answer, tuple) else (200, answer)))

    do_GET = do_POST = do_PATCH = do_DELETE = handle_request


class VaultHandler(Handler):
    def answer(self, double, path, query, raw):
        double.log.append(f"{self.command} {path}")
        host = self.headers.get("Host")
        match = re.fullmatch(r"/([^/]+)/oauth2/v2.0/token", path)
        if match and self.command == "POST":
            form = dict(urllib.parse.parse_qsl(raw.decode(), strict_parsing=True))
            return double.entra.client_credentials(match.group(1), form, f"https://{host}{path}")
        match = re.fullmatch(r"/([^/]+)/v2.0/.well-known/openid-configuration", path)
        if match:
            base = f"https://{host}/{match.group(1)}"
            return {"issuer": f"{base}/v2.0", "token_endpoint": f"{base}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "jwks_uri": f"{base}/discovery/v2.0/keys"}
        if double.faults:
            fault = double.faults.pop(0)
            return fault["status"], fault.get("body", ""), fault.get("headers")
        if not double.entra.check_bearer(self.headers.get("Authorization")):
            error = 'error="invalid_token", ' if self.headers.get("Authorization") else ""
            raise Refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.",
                          headers={"WWW-Authenticate":
                                   f'Bearer {error}authorization="https://{host}/{TENANT}", '
                                   'resource="https://vault.azure.net"'})
        if query.get("api-version") not in ("7.4", "7.5", "7.6", "2025-07-01"):
            raise Refusal(400, "BadParameter", "The api-version is not supported.")
        answer = self.keys(double, f"https://{host}" if double.kid_base is None else
                           double.kid_base, path, raw)
        if isinstance(answer, dict):
            answer.update(double.change)
        return answer

    def keys(self, double, base, path, raw):
        vault = double.vault
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            raise Refusal(400, "BadParameter", "The body is no JSON.") from None
        match = re.fullmatch(r"/(keys|deletedkeys)/([0-9A-Za-z-]{1,127})"
                             r"(?:/([0-9a-zA-Z]*))?(?:/([a-z]+))?/?", path)
        if not match:
            raise Refusal(404, "NotFound", "There is nothing here.")
        kind, name, version, operation = match.groups()
        command = (kind, self.command, operation or version)
        if command == ("keys", "POST", "create"):
            return vault.create(base, name, body)
        if command == ("keys", "POST", "rotate"):
            return vault.rotate(base, name)
        if kind == "keys" and self.command == "POST" and operation in ("wrapkey", "unwrapkey"):
            return vault.operate(base, name, version, operation, body)
        if kind == "keys" and self.command == "GET" and not operation:
            vault.need("get")
            return vault.bundle(base, name, vault.find(name, version))
        if kind == "keys" and self.command == "PATCH":
            return vault.update(base, name, version, body)
        if command == ("keys", "DELETE", None):
            return vault.delete(base, name)
        if command == ("deletedkeys", "GET", None):
            vault.need("get")
            return vault.deleted_bundle(base, name)
        if command == ("deletedkeys", "POST", "recover"):
            return vault.recover(base, name)
        if command == ("deletedkeys", "DELETE", None):
            vault.need("purge")
            vault.deleted_bundle(base, name)
            del vault.deleted[name.lower()]
            return 204, ""
        raise Refusal(405, "MethodNotAllowed", "The method is not allowed here.")


class MetadataHandler(Handler):
    def answer(self, double, path, query, raw):
        double.log.append(f"{self.command} {path}")
        if path == "/metadata/identity/oauth2/token" and self.command == "GET":
            if self.headers.get("Metadata") != "true" or query.get("api-version") != "2018-02-01":
                return 400, {"error": "bad_request_102",
                             "error_description": "Required metadata header not specified"}
            return double.entra.managed(query, False)
        if path == "/msi/token" and self.command == "GET":
            if self.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER or \
                    query.get("api-version") != "2019-08-01":
                return 403, {"statusCode": 403, "message": "The header is missing or wrong."}
            return double.entra.managed(query, True)
        return 404, {"error": "not_found", "error_description": "nothing is here"}


class OrderHandler(Handler):
    def answer(self, double, path, query, raw):
        return double.order(json.loads(raw))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context = None

    def get_request(self):
        connection, address = super().get_request()
        connection.settimeout(60)
        if self.context:  # the handshake is the handler's thread's
            connection = self.context.wrap_socket(connection, server_side=True,
                                                  do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # else a client that closed
            super().handle_error(request, client_address)


def main(folder, jwks=None):
    double = Double(folder, jwks)
    ready = {"tenant": TENANT, "client": CLIENT, "identity": IDENTITY,
             "identity_header": IDENTITY_HEADER, "secret": double.entra.secret}
    for name, handler in (("vault", VaultHandler), ("metadata", MetadataHandler),
                          ("order", OrderHandler)):
        server = Server(("127.0.0.1", 0), handler)
        server.double = double
        if name == "vault":
            server.context = server_context(folder)
        ready[name] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    write(folder, "ready.json", json.dumps(ready))
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3] if sys.argv[2:3] == ["--jwks"] else None)
