#!/usr/bin/env python3
"""test/peers/gcp_double.py -- A double of Google Cloud KMS (v1, REST), of the token endpoints and of the
metadata server, for the tests: there is no server of it that could be installed.

It is written on the message types of google-cloud-kms, read and written with json_format, which
refuses unknown fields; it takes only bearer tokens that it issued, against a signed assertion, a
federated token, or at the metadata address; it encrypts for real (AES-256-GCM), keeps versions and
their states, and answers errors in google.rpc's envelope. test_gcp_double.py drives Google's own client
through all of it first.

    gcp_double.py --port PORT --dir DIR

DIR receives the credential files. /_double/state and /_double/log are for the tests: the clock, token
lifetimes, permissions, and one-time faults of answers.
"""
import argparse
import base64
import datetime
import http.server
import json
import os
import re
import secrets
import threading
import time
import urllib.parse

import google_crc32c
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.cloud.kms_v1.types import resources, service
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2

PROJECT = "wtkms-test"
ACCOUNT = f"database@{PROJECT}.iam.gserviceaccount.com"
TARGET = f"keys@{PROJECT}.iam.gserviceaccount.com"
MACHINE = f"machine@{PROJECT}.iam.gserviceaccount.com"
POOL = ("//iam.googleapis.com/projects/1234567890/locations/global/workloadIdentityPools/pool"
        "/providers/cluster")
FEDERATED = "principal://iam.googleapis.com/projects/1234567890/locations/global/" \
            "workloadIdentityPools/pool/subject/database"
KMS_SCOPES = {"https://www.googleapis.com/auth/cloudkms",
              "https://www.googleapis.com/auth/cloud-platform"}
PLATFORM_SCOPES = {"https://www.googleapis.com/auth/cloud-platform",
                   "https://www.googleapis.com/auth/iam"}
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TYPE = "urn:ietf:params:oauth:token-type:access_token"
LIMIT = 64 * 1024

State = resources.CryptoKeyVersion.CryptoKeyVersionState
HTTP_OF = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
           "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
           "ALREADY_EXISTS": 409, "ABORTED": 409, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500,
           "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504}


class Fail(Exception):
    """An error of google.rpc."""

    def __init__(self, status, message, *details):
        super().__init__(message)
        self.status, self.message, self.details = status, message, details

    def body(self):
        details = []
        for detail in self.details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            details.append(json_format.MessageToDict(packed))
        error = {"code": HTTP_OF[self.status], "message": self.message, "status": self.status}
        if details:
            error["details"] = details
        return {"error": error}


class OAuthFail(Exception):
    """An error of a token endpoint (RFC 6749, 5.2)."""

    def __init__(self, error, description, code=400):
        super().__init__(description)
        self.code, self.content = code, {"error": error, "error_description": description}


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign_jwt(key, claims):
    head = base64url(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
    text = head + "." + base64url(json.dumps(claims).encode())
    return text + "." + base64url(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))


def check_jwt(token, public_key, fail):
    """The claims of a token with a good signature."""
    try:
        head, body, signature = token.split(".")
        if json.loads(unbase64url(head))["alg"] != "RS256":
            raise fail("Invalid JWT: Failed audience or algorithm check.")
        public_key.verify(unbase64url(signature), f"{head}.{body}".encode(), padding.PKCS1v15(),
                          hashes.SHA256())
        return json.loads(unbase64url(body))
    except InvalidSignature:
        raise fail("Invalid JWT Signature.") from None
    except (ValueError, KeyError, TypeError):
        raise fail("Invalid JWT.") from None


class Version:
    def __init__(self, name, now):
        self.key = secrets.token_bytes(32)
        self.pb = resources.CryptoKeyVersion(
            name=name, state=State.ENABLED, protection_level=resources.ProtectionLevel.SOFTWARE,
            algorithm=resources.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION,
            create_time=now, generate_time=now)


class Key:
    def __init__(self, name, pb):
        self.name, self.pb, self.versions, self.primary = name, pb, {}, None


class Double:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        self.lock = threading.RLock()
        self.rings, self.keys, self.tokens, self.log = set(), {}, {}, []
        self.issuer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.accounts = {ACCOUNT: rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.state = {
            "clock": 0,             # seconds that this server's clock is ahead
            "tokenLifetime": 3600,  # seconds
            "faults": [],           # [{"method": "encrypt", "kind": ...}], each used once
            # member, resource prefix, permissions
            "bindings": [[ACCOUNT, f"projects/{PROJECT}", ["*"]],
                         [TARGET, f"projects/{PROJECT}", ["*"]],
                         [MACHINE, f"projects/{PROJECT}", ["*"]],
                         [FEDERATED, f"projects/{PROJECT}", ["*"]],
                         [ACCOUNT, f"accounts/{TARGET}", ["iam.serviceAccounts.getAccessToken"]],
                         [MACHINE, f"accounts/{TARGET}", ["iam.serviceAccounts.getAccessToken"]],
                         [FEDERATED, f"accounts/{TARGET}", ["iam.serviceAccounts.getAccessToken"]]],
        }

    # --- credentials

    def write_files(self, folder):
        key = self.accounts[ACCOUNT]
        put = lambda name, text: write_private(os.path.join(folder, name), text)
        account = {
            "type": "service_account", "project_id": PROJECT, "private_key_id": "one",
            "private_key": pem_of(key), "client_email": ACCOUNT, "client_id": "1",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": self.base + "/token", "universe_domain": "googleapis.com"}
        put("account.json", json.dumps(account))
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        put("wrong_key.json", json.dumps({**account, "private_key": pem_of(other)}))
        external = {"type": "external_account", "audience": POOL, "subject_token_type": JWT_TYPE,
                    "token_url": self.base + "/v1/token",
                    "credential_source": {"file": os.path.join(folder, "subject")}}
        put("external.json", json.dumps(external))
        put("external_json.json", json.dumps({**external, "credential_source": {
            "file": os.path.join(folder, "subject.json"),
            "format": {"type": "json", "subject_token_field_name": "id_token"}}}))
        put("external_target.json", json.dumps({**external, "service_account_impersonation_url":
            f"{self.base}/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken"}))
        self.write_subject(folder, 3600)

    def write_subject(self, folder, lifetime):
        now = int(self.now())
        token = sign_jwt(self.issuer, {"iss": "https://cluster.test", "sub": "database", "aud": POOL,
                                       "iat": now, "exp": now + lifetime})
        write_private(os.path.join(folder, "subject"), token)
        write_private(os.path.join(folder, "subject.json"), json.dumps({"id_token": token}))

    def now(self):
        return time.time() + self.state["clock"]

    def now_utc(self):
        return datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc)

    def issue(self, principal, scopes, lifetime=None):
        lifetime = lifetime or self.state["tokenLifetime"]
        token = "ya29.double." + secrets.token_urlsafe(48)
        self.tokens[token] = (principal, set(scopes), self.now() + lifetime)
        return token, lifetime

    def form(self, body):
        fields = urllib.parse.parse_qs(body.decode(), strict_parsing=True)
        if any(len(values) != 1 for values in fields.values()):
            raise OAuthFail("invalid_request", "Repeated parameter.")
        return {name: values[0] for name, values in fields.items()}

    def oauth_token(self, body):
        fields = self.form(body)
        grant = lambda text: OAuthFail("invalid_grant", text)
        if fields.get("grant_type") != ASSERTION:
            raise OAuthFail("unsupported_grant_type", "Invalid grant_type: " +
                            fields.get("grant_type", ""))
        try:
            issuer = json.loads(unbase64url(fields["assertion"].split(".")[1]))["iss"]
        except (KeyError, ValueError, IndexError):
            raise grant("Invalid JWT.") from None
        if issuer not in self.accounts:
            raise grant("Invalid grant: account not found")
        claims = check_jwt(fields["assertion"], self.accounts[issuer].public_key(), grant)
        if claims.get("aud") != "https://oauth2.googleapis.com/token":
            raise grant("Invalid JWT: Failed audience check.")
        now = self.now()
        if not (isinstance(claims.get("iat"), int) and isinstance(claims.get("exp"), int) and
                claims["exp"] - claims["iat"] <= 3600 and claims["iat"] - 300 <= now < claims["exp"]):
            raise grant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                        "reasonable timeframe. Check your iat and exp values in the JWT claim.")
        scopes = claims.get("scope", "").split()
        if not scopes:
            raise OAuthFail("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        token, lifetime = self.issue(issuer, scopes)
        return {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"}

    def sts_token(self, body):
        fields = self.form(body)
        if fields.get("grant_type") != EXCHANGE or \
                fields.get("requested_token_type") != ACCESS_TYPE:
            raise OAuthFail("invalid_request", "Invalid grant_type or requested_token_type.")
        if fields.get("audience") != POOL or fields.get("subject_token_type") != JWT_TYPE:
            raise OAuthFail("invalid_target", "The target service indicated by the \"audience\" "
                            "parameters is invalid.")
        claims = check_jwt(fields.get("subject_token", ""), self.issuer.public_key(),
                           lambda text: OAuthFail("invalid_grant", text))
        if claims.get("aud") != POOL:
            raise OAuthFail("invalid_grant", "The audience in ID Token does not match.")
        if claims.get("exp", 0) <= self.now():
            raise OAuthFail("invalid_grant", "ID Token is stale to sign-in.")
        if not fields.get("scope"):
            raise OAuthFail("invalid_scope", "Scope is missing.")
        token, lifetime = self.issue(FEDERATED, fields["scope"].split())
        return {"access_token": token, "issued_token_type": ACCESS_TYPE, "token_type": "Bearer",
                "expires_in": lifetime}

    def impersonate(self, authorization, account, body):
        principal = self.principal(authorization, PLATFORM_SCOPES)
        try:
            fields = json.loads(body)
        except ValueError:
            raise Fail("INVALID_ARGUMENT", "Invalid JSON payload received.") from None
        unknown = set(fields) - {"delegates", "scope", "lifetime"}
        if unknown:
            raise Fail("INVALID_ARGUMENT", f'Invalid JSON payload received. Unknown name '
                       f'"{unknown.pop()}": Cannot find field.')
        if not fields.get("scope"):
            raise Fail("INVALID_ARGUMENT", "scope is required")
        match = re.fullmatch(r"(\d+)s", fields.get("lifetime", "3600s"))
        if not match or not 0 < int(match.group(1)) <= 3600:
            raise Fail("INVALID_ARGUMENT", "lifetime is invalid")
        self.permit(principal, f"accounts/{account}", "iam.serviceAccounts.getAccessToken", True)
        token, lifetime = self.issue(account, fields["scope"], min(int(match.group(1)),
                                                                  self.state["tokenLifetime"]))
        end = self.now_utc() + datetime.timedelta(seconds=lifetime)
        return {"accessToken": token, "expireTime": end.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def metadata(self, path, headers):
        """(HTTP status, content type, text)"""
        if headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in headers:
            return 403, "text/html", "Missing Metadata-Flavor:Google header."
        parts = urllib.parse.urlsplit(path)
        name = parts.path.removeprefix("/computeMetadata/v1/")
        account = "instance/service-accounts/"
        if parts.path == "/":
            return 200, "text/plain", "computeMetadata/\n"
        if name in (account + "default/", account + MACHINE + "/") and "recursive=true" in parts.query:
            return 200, "application/json", json.dumps(
                {"aliases": ["default"], "email": MACHINE, "scopes": sorted(KMS_SCOPES)})
        if name in (account + "default/email", account + MACHINE + "/email"):
            return 200, "application/text", MACHINE
        if name in (account + "default/token", account + MACHINE + "/token"):
            token, lifetime = self.issue(MACHINE, KMS_SCOPES)
            return 200, "application/json", json.dumps(
                {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})
        if name == "project/project-id":
            return 200, "application/text", PROJECT
        if name == "universe/universe-domain":
            return 200, "application/text", "googleapis.com"
        return 404, "text/html; charset=UTF-8", "<!DOCTYPE html><title>Error 404 (Not Found)</title>"

    def principal(self, authorization, scopes):
        info = lambda reason: error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com",
                                                          metadata={"service": "cloudkms.googleapis.com"})
        kind, _, token = (authorization or "").partition(" ")
        if not token or kind.lower() != "bearer":
            raise Fail("UNAUTHENTICATED", "Request is missing required authentication credential. "
                       "Expected OAuth 2 access token, login cookie or other valid authentication "
                       "credential.", info("CREDENTIALS_MISSING"))
        found = self.tokens.get(token)
        if found is None or found[2] <= self.now():
            raise Fail("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected "
                       "OAuth 2 access token, login cookie or other valid authentication credential.",
                       info("ACCESS_TOKEN_EXPIRED" if found else "ACCESS_TOKEN_TYPE_UNSUPPORTED"))
        if not found[1] & scopes:
            raise Fail("PERMISSION_DENIED", "Request had insufficient authentication scopes.",
                       info("ACCESS_TOKEN_SCOPE_INSUFFICIENT"))
        return found[0]

    def permit(self, principal, resource, permission, exists):
        """Google does not tell who may not see it whether something exists."""
        for member, prefix, permissions in self.state["bindings"]:
            if member == principal and (resource + "/").startswith(prefix + "/") and \
                    ("*" in permissions or permission in permissions):
                if not exists:
                    kind = {"keyRings": "KeyRing", "cryptoKeys": "CryptoKey",
                            "cryptoKeyVersions": "CryptoKeyVersion"}[resource.split("/")[-2]]
                    raise Fail("NOT_FOUND", f"{kind} {resource} not found.")
                return
        raise Fail("PERMISSION_DENIED", f"Permission '{permission}' denied on resource '{resource}' "
                   "(or it may not exist).", error_details_pb2.ErrorInfo(
                       reason="IAM_PERMISSION_DENIED", domain="cloudkms.googleapis.com",
                       metadata={"permission": permission, "resource": resource}))

    # --- the key service

    def age(self):
        """What was scheduled for destruction is destroyed when its time has come."""
        for key in self.keys.values():
            for version in key.versions.values():
                if version.pb.state == State.DESTROY_SCHEDULED and \
                        version.pb.destroy_time.timestamp() <= self.now():
                    version.pb.state = State.DESTROYED
                    version.pb.destroy_event_time = version.pb.destroy_time
                    del version.pb.destroy_time
                    version.key = None

    def fault(self, method):
        for fault in self.state["faults"]:
            if fault["method"] == method:
                self.state["faults"].remove(fault)
                return fault["kind"]
        return None

    def key_of(self, principal, name, permission):
        self.permit(principal, name, permission, name in self.keys)
        return self.keys[name]

    def version_of(self, principal, name, permission):
        key_name, _, number = name.partition("/cryptoKeyVersions/")
        key = self.keys.get(key_name)
        self.permit(principal, name, permission, key is not None and number in key.versions)
        return key, key.versions[number]

    def view(self, key):
        shown = resources.CryptoKey(key.pb)
        if key.primary is not None:
            shown.primary = key.versions[key.primary].pb
        return shown

    def create_ring(self, principal, parent, query, body):
        name = f"{parent}/keyRings/{query['keyRingId']}"
        ring = parse(body, resources.KeyRing)
        self.permit(principal, parent, "cloudkms.keyRings.create", True)
        if name in self.rings:
            raise Fail("ALREADY_EXISTS", f"KeyRing {name} already exists.")
        self.rings.add(name)
        ring.name, ring.create_time = name, self.now_utc()
        return ring

    def create_key(self, principal, parent, query, body):
        name = f"{parent}/cryptoKeys/{query['cryptoKeyId']}"
        pb = parse(body, resources.CryptoKey)
        self.permit(principal, parent, "cloudkms.cryptoKeys.create", parent in self.rings)
        if name in self.keys:
            raise Fail("ALREADY_EXISTS", f"CryptoKey {name} already exists.")
        if pb.purpose != resources.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT:
            raise Fail("INVALID_ARGUMENT", "This double has keys of purpose ENCRYPT_DECRYPT.")
        pb.name, pb.create_time = name, self.now_utc()
        if not pb.destroy_scheduled_duration:
            pb.destroy_scheduled_duration = datetime.timedelta(days=30)
        self.keys[name] = key = Key(name, pb)
        if query.get("skipInitialVersionCreation", "").lower() != "true":
            self.add_version(key)
            key.primary = "1"
        return self.view(key)

    def add_version(self, key):
        number = str(len(key.versions) + 1)
        key.versions[number] = Version(f"{key.name}/cryptoKeyVersions/{number}", self.now_utc())
        return key.versions[number].pb

    def create_version(self, principal, parent, query, body):
        parse(body, resources.CryptoKeyVersion)
        return self.add_version(self.key_of(principal, parent, "cloudkms.cryptoKeyVersions.create"))

    def update_primary(self, principal, name, query, body):
        key = self.key_of(principal, name, "cloudkms.cryptoKeys.update")
        number = parse(body, service.UpdateCryptoKeyPrimaryVersionRequest).crypto_key_version_id
        if number not in key.versions:
            raise Fail("NOT_FOUND", f"CryptoKeyVersion {name}/cryptoKeyVersions/{number} not found.")
        require(key.versions[number])
        key.primary = number
        return self.view(key)

    def update_version(self, principal, name, query, body):
        _, version = self.version_of(principal, name, "cloudkms.cryptoKeyVersions.update")
        wanted = parse(body, resources.CryptoKeyVersion)
        if query.get("updateMask") != "state" or wanted.state not in (State.ENABLED, State.DISABLED):
            raise Fail("INVALID_ARGUMENT", "Only state can be updated, to ENABLED or DISABLED.")
        if version.pb.state not in (State.ENABLED, State.DISABLED):
            raise precondition(version)
        version.pb.state = wanted.state
        return version.pb

    def destroy(self, principal, name, query, body):
        parse(body, service.DestroyCryptoKeyVersionRequest)
        key, version = self.version_of(principal, name, "cloudkms.cryptoKeyVersions.destroy")
        if version.pb.state not in (State.ENABLED, State.DISABLED):
            raise precondition(version)
        version.pb.state = State.DESTROY_SCHEDULED
        version.pb.destroy_time = self.now_utc() + key.pb.destroy_scheduled_duration
        return version.pb

    def restore(self, principal, name, query, body):
        parse(body, service.RestoreCryptoKeyVersionRequest)
        _, version = self.version_of(principal, name, "cloudkms.cryptoKeyVersions.restore")
        if version.pb.state != State.DESTROY_SCHEDULED:
            raise precondition(version)
        version.pb.state = State.DISABLED
        del version.pb.destroy_time
        return version.pb

    def encrypt(self, principal, name, query, body):
        request = parse(body, service.EncryptRequest)
        key_name, _, number = name.partition("/cryptoKeyVersions/")
        key = self.key_of(principal, key_name, "cloudkms.cryptoKeyVersions.useToEncrypt")
        number = number or key.primary
        if number is None:
            raise Fail("FAILED_PRECONDITION", f"{name} has no primary version.")
        if number not in key.versions:
            raise Fail("NOT_FOUND", f"CryptoKeyVersion {name} not found.")
        version = key.versions[number]
        for field in ("plaintext", "additional_authenticated_data"):
            check_crc(request, field)
            if len(getattr(request, field)) > LIMIT:
                raise Fail("INVALID_ARGUMENT", f"{field} is too long.")
        if not request.plaintext:
            raise Fail("INVALID_ARGUMENT", "plaintext is empty.")
        require(version)
        nonce = secrets.token_bytes(12)
        head = b"\x0a\x24" + int(number).to_bytes(4, "big")
        ciphertext = head + nonce + AESGCM(version.key).encrypt(
            nonce, bytes(request.plaintext), bytes(request.additional_authenticated_data) + head)
        answer = service.EncryptResponse(
            name=version.pb.name, ciphertext=ciphertext,
            ciphertext_crc32c=google_crc32c.value(ciphertext),
            verified_plaintext_crc32c=request.plaintext_crc32c is not None,
            verified_additional_authenticated_data_crc32c=
            request.additional_authenticated_data_crc32c is not None,
            protection_level=version.pb.protection_level)
        kind = self.fault("encrypt")
        if kind == "crc":
            answer.ciphertext_crc32c = google_crc32c.value(ciphertext) ^ 1
        elif kind == "ciphertext":
            answer.ciphertext = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
        elif kind == "name":
            answer.name = version.pb.name.replace("/cryptoKeys/", "/cryptoKeys/not-")
        elif kind == "unverified":
            answer.verified_plaintext_crc32c = False
        elif kind == "unverified-aad":
            answer.verified_additional_authenticated_data_crc32c = False
        elif kind:
            raise Fail(kind, "The service said so for a test.")
        return answer

    def decrypt(self, principal, name, query, body):
        request = parse(body, service.DecryptRequest)
        key = self.key_of(principal, name, "cloudkms.cryptoKeyVersions.useToDecrypt")
        for field in ("ciphertext", "additional_authenticated_data"):
            check_crc(request, field)
        data = bytes(request.ciphertext)
        failed = Fail("INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the "
                      "correct CryptoKey.")
        number = str(int.from_bytes(data[2:6], "big"))
        if len(data) < 34 or data[:2] != b"\x0a\x24" or number not in key.versions:
            raise failed
        version = key.versions[number]
        require(version)
        try:
            plaintext = AESGCM(version.key).decrypt(
                data[6:18], data[18:], bytes(request.additional_authenticated_data) + data[:6])
        except InvalidTag:
            raise Fail("INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the "
                       "correct CryptoKey, and that 'additional_authenticated_data' matches.") \
                from None
        answer = service.DecryptResponse(
            plaintext=plaintext, plaintext_crc32c=google_crc32c.value(plaintext),
            used_primary=number == key.primary, protection_level=version.pb.protection_level)
        kind = self.fault("decrypt")
        if kind == "crc":
            answer.plaintext_crc32c = google_crc32c.value(plaintext) ^ 1
        elif kind == "plaintext":
            answer.plaintext = plaintext[:-1] + bytes([plaintext[-1] ^ 1])
        elif kind:
            raise Fail(kind, "The service said so for a test.")
        return answer

    def get_key(self, principal, name, query, body):
        return self.view(self.key_of(principal, name, "cloudkms.cryptoKeys.get"))

    def get_version(self, principal, name, query, body):
        return self.version_of(principal, name, "cloudkms.cryptoKeyVersions.get")[1].pb


def write_private(path, text):
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)


def pem_of(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def parse(body, kind):
    try:
        return kind(json_format.Parse(body or b"{}", kind.pb(kind())))
    except json_format.ParseError as error:
        raise Fail("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}",
                   error_details_pb2.BadRequest(field_violations=[
                       error_details_pb2.BadRequest.FieldViolation(description=str(error))])) from None


def check_crc(request, field):
    said = getattr(request, field + "_crc32c")
    if said is not None and said != google_crc32c.value(bytes(getattr(request, field))):
        raise Fail("INVALID_ARGUMENT", f"The checksum in field {field}_crc32c did not match the data "
                   f"in field {field}.")


def precondition(version):
    state = State(version.pb.state).name
    return Fail("FAILED_PRECONDITION", f"{version.pb.name} is not enabled, current state is: {state}.",
                error_details_pb2.PreconditionFailure(violations=[
                    error_details_pb2.PreconditionFailure.Violation(
                        type=f"KEY_{state}", subject=version.pb.name)]))


def require(version):
    if version.pb.state != State.ENABLED:
        raise precondition(version)


LOCATION = r"projects/[^/]+/locations/[^/]+"
KEY = LOCATION + r"/keyRings/[^/]+/cryptoKeys/[^/:]+"
VERSION = KEY + r"/cryptoKeyVersions/[^/:]+"
ROUTES = [
    ("POST", rf"({LOCATION})/keyRings", Double.create_ring),
    ("POST", rf"({LOCATION}/keyRings/[^/]+)/cryptoKeys", Double.create_key),
    ("POST", rf"({KEY})/cryptoKeyVersions", Double.create_version),
    ("POST", rf"({KEY}):updatePrimaryVersion", Double.update_primary),
    ("POST", rf"({KEY}(?:/cryptoKeyVersions/[^/:]+)?):encrypt", Double.encrypt),
    ("POST", rf"({KEY}):decrypt", Double.decrypt),
    ("POST", rf"({VERSION}):destroy", Double.destroy),
    ("POST", rf"({VERSION}):restore", Double.restore),
    ("PATCH", rf"({VERSION})", Double.update_version),
    ("GET", rf"({KEY})", Double.get_key),
    ("GET", rf"({VERSION})", Double.get_version),
]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double = folder = None

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.double.now() if timestamp is None else timestamp)

    def answer(self, code, content, kind="application/json; charset=UTF-8", headers=()):
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urllib.parse.urlsplit(self.path).path
        with self.double.lock:
            self.double.age()
            if path.startswith("/_double/"):
                return self.control(path, body)
            self.double.log.append(f"{self.command} {path}")
            if path == "/" or path.startswith("/computeMetadata/"):
                code, kind, text = self.double.metadata(self.path, self.headers)
                return self.answer(code, text, kind, [("Metadata-Flavor", "Google")])
            try:
                return self.answer(200, self.dispatch(path, body))
            except OAuthFail as error:
                return self.answer(error.code, error.content)
            except Fail as error:
                return self.answer(HTTP_OF[error.status], error.body())

    do_GET = do_POST = do_PATCH = serve

    def dispatch(self, path, body):
        double = self.double
        authorization = self.headers.get("Authorization")
        if self.command == "POST" and path in ("/token", "/v1/token"):
            if self.headers.get("Content-Type") != "application/x-www-form-urlencoded":
                raise OAuthFail("invalid_request", "Bad Request")
            return double.oauth_token(body) if path == "/token" else double.sts_token(body)
        match = re.fullmatch(r"/v1/projects/-/serviceAccounts/([^/]+):generateAccessToken", path)
        if self.command == "POST" and match:
            return double.impersonate(authorization, match.group(1), body)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        for method, pattern, function in ROUTES:
            match = re.fullmatch("/v1/" + pattern, urllib.parse.unquote(path))
            if match and method == self.command:
                principal = double.principal(authorization, KMS_SCOPES)
                message = function(double, principal, match.group(1), query, body)
                return json_format.MessageToDict(type(message).pb(message))
        raise Fail("NOT_FOUND", "Method not found.")

    def control(self, path, body):
        double = self.double
        if path == "/_double/state" and self.command == "POST":
            double.state.update(json.loads(body))
        elif path == "/_double/revoke":
            double.tokens.clear()
        elif path == "/_double/subject":
            double.write_subject(self.folder, json.loads(body)["lifetime"])
        elif path == "/_double/log":
            log, double.log = double.log, []
            return self.answer(200, log)
        return self.answer(200, double.state)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", required=True)
    options = parser.parse_args()
    Handler.double, Handler.folder = Double(options.port), options.dir
    Handler.double.write_files(options.dir)
    http.server.ThreadingHTTPServer.daemon_threads = True
    http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
