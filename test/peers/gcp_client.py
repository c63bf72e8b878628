#!/usr/bin/env python3
"""test/peers/gcp_client.py -- Google's own client of Cloud KMS, driven by JSON lines on stdin.

    gcp_client.py --endpoint URL

A line {"op": ..., "credentials": ..., ...} is answered by {"ok": true, ...} or by {"ok": false} with the
name of the exception that the client raised and what it carries. credentials: the path of a file, "metadata",
or "token:TEXT" for a token that is not refreshed.
"""
import argparse
import base64
import json
import sys

import google.auth.compute_engine
import google.auth.credentials
import google.auth.exceptions
import google.auth.identity_pool
import google.auth.impersonated_credentials
import google.auth.transport.requests
import google.oauth2.service_account
from google.api_core import exceptions
from google.cloud import kms_v1

SCOPE = "https://www.googleapis.com/auth/cloudkms"


class FixedToken(google.auth.credentials.Credentials):
    def __init__(self, token):
        super().__init__()
        self.token = token

    def refresh(self, request):
        pass


class Clients:
    def __init__(self, endpoint):
        self.endpoint, self.clients, self.credentials = endpoint, {}, {}

    def of(self, name):
        if name not in self.clients:
            if name == "metadata":
                credentials = google.auth.compute_engine.Credentials()
            elif name.startswith("token:"):
                credentials = FixedToken(name[6:])
            else:
                credentials = of_file(name, [SCOPE])
            transport = kms_v1.KeyManagementServiceClient.get_transport_class("rest")
            self.credentials[name] = credentials
            self.clients[name] = kms_v1.KeyManagementServiceClient(
                transport=transport(host=self.endpoint, credentials=credentials))
        return self.clients[name]


def of_file(path, scopes):
    """google.auth.load_credentials_from_file would ask the Internet for the project's name."""
    with open(path, encoding="utf-8") as file:
        federated = json.load(file)["type"] == "external_account"
    kind = google.auth.identity_pool if federated else google.oauth2.service_account
    if federated:
        return kind.Credentials.from_file(path, scopes=scopes)
    return kind.Credentials.from_service_account_file(path, scopes=scopes)


def data(request, name):
    return base64.b64decode(request.get(name, ""))


def shown(message):
    return json.loads(type(message).to_json(message, use_integers_for_enums=False))


def do(clients, request):
    client = clients.of(request["credentials"])
    name, op = request.get("name"), request["op"]
    call = {"retry": None, "timeout": 20}
    if op == "create_ring":
        return shown(client.create_key_ring(parent=request["parent"], key_ring_id=request["id"], key_ring={},
                                            **call))
    if op == "create_key":
        return shown(client.create_crypto_key(parent=request["parent"], crypto_key_id=request["id"],
                                              crypto_key={"purpose": "ENCRYPT_DECRYPT"}, **call))
    if op == "create_version":
        return shown(client.create_crypto_key_version(parent=name, crypto_key_version={}, **call))
    if op == "set_primary":
        return shown(client.update_crypto_key_primary_version(
            name=name, crypto_key_version_id=request["version"], **call))
    if op == "set_state":
        return shown(client.update_crypto_key_version(
            crypto_key_version={"name": name, "state": request["state"]},
            update_mask={"paths": ["state"]}, **call))
    if op == "destroy":
        return shown(client.destroy_crypto_key_version(name=name, **call))
    if op == "restore":
        return shown(client.restore_crypto_key_version(name=name, **call))
    if op == "get_version":
        return shown(client.get_crypto_key_version(name=name, **call))
    if op == "get_key":
        return shown(client.get_crypto_key(name=name, **call))
    if op == "encrypt":
        return shown(client.encrypt(request={
            "name": name, "plaintext": data(request, "plaintext"),
            "plaintext_crc32c": request.get("crc"),
            "additional_authenticated_data": data(request, "aad"),
            "additional_authenticated_data_crc32c": request.get("aad_crc")}, **call))
    if op == "decrypt":
        return shown(client.decrypt(request={
            "name": name, "ciphertext": data(request, "ciphertext"),
            "ciphertext_crc32c": request.get("crc"),
            "additional_authenticated_data": data(request, "aad")}, **call))
    if op == "token":
        clients.credentials[request["credentials"]].refresh(google.auth.transport.requests.Request())
        return {"token": clients.credentials[request["credentials"]].token}
    if op == "impersonate":
        source = of_file(request["credentials"], ["https://www.googleapis.com/auth/cloud-platform"])
        target = google.auth.impersonated_credentials.Credentials(
            source, request["target"], [SCOPE], iam_endpoint_override=request["endpoint"])
        target.refresh(google.auth.transport.requests.Request())
        return {"token": target.token}
    raise ValueError(op)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    clients = Clients(parser.parse_args().endpoint)
    for line in sys.stdin:
        try:
            answer = {"ok": True, **do(clients, json.loads(line))}
        except exceptions.GoogleAPICallError as error:
            answer = {"ok": False, "exception": type(error).__name__, "message": error.message,
                      "status": error.response.json()["error"]["status"], "reason": error.reason,
                      "violations": [v["type"] for detail in error.details if isinstance(detail, dict)
                                     for v in detail.get("violations", [])]}
        except google.auth.exceptions.GoogleAuthError as error:
            answer = {"ok": False, "exception": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
