"""test/peers/azure_official.py -- Microsoft's own clients, azure-keyvault-keys and azure-identity, driven by
JSON lines: the test of the double, and the other side of interoperation.

    azure_official.py DIR CREDENTIAL

DIR is the double's (azure_double.py). Each line {"op": ..., ...} is answered by one line.
"""
import base64
import datetime
import json
import os
import sys

folder, kind = sys.argv[1:3]
ready = json.load(open(os.path.join(folder, "ready.json")))
os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = f"http://127.0.0.1:{ready['metadata']}"

from azure.core.exceptions import AzureError, HttpResponseError  # noqa: E402
from azure.identity import (CertificateCredential, ClientSecretCredential,  # noqa: E402
                            ManagedIdentityCredential, WorkloadIdentityCredential)
from azure.keyvault.keys import KeyClient  # noqa: E402
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm  # noqa: E402

URL = f"https://localhost:{ready['vault']}"
common = {"connection_verify": os.path.join(folder, "ca.pem"), "retry_total": 0}
entra = {"authority": URL, "disable_instance_discovery": True, **common}
who = (ready["tenant"], ready["client"])
credential = {
    "secret": lambda: ClientSecretCredential(*who, ready["secret"], **entra),
    "wrong": lambda: ClientSecretCredential(*who, "wrong", **entra),
    "certificate": lambda: CertificateCredential(*who, os.path.join(folder, "client.pem"), **entra),
    "managed": lambda: ManagedIdentityCredential(**common),
    "workload": lambda: WorkloadIdentityCredential(
        tenant_id=who[0], client_id=who[1], token_file_path=os.path.join(folder, "workload.token"),
        **entra),
}[kind]()
common["verify_challenge_resource"] = False
keys = KeyClient(URL, credential, **common)


def shown(key):
    p = key.properties
    return {"kid": key.id, "kty": str(key.key_type.value), "enabled": p.enabled,
            "version": p.version, "ops": key.key_operations}


def crypto(request):
    return CryptographyClient(request["kid"], credential, **common), \
        KeyWrapAlgorithm(request.get("alg", "RSA-OAEP-256"))


def answer(request):
    op, name = request["op"], request.get("name")
    if op == "create":
        more = {"hardware_protected": True} if request.get("kty") == "oct-HSM" else {}
        make = keys.create_oct_key if more else keys.create_rsa_key
        return shown(make(name, size=request.get("size"), **more))
    if op == "rotate":
        return shown(keys.rotate_key(name))
    if op == "get":
        return shown(keys.get_key(name, request.get("version")))
    if op == "update":
        times = {x: datetime.datetime.fromtimestamp(request[x], datetime.timezone.utc)
                 for x in ("expires_on", "not_before") if x in request}
        return shown(keys.update_key_properties(name, request.get("version"),
                                                enabled=request.get("enabled"),
                                                key_operations=request.get("ops"), **times))
    if op == "delete":
        deleted = keys.begin_delete_key(name).result()
        return {"recovery_id": deleted.recovery_id, "purge": str(deleted.scheduled_purge_date)}
    if op == "get_deleted":
        return {"recovery_id": keys.get_deleted_key(name).recovery_id}
    if op == "recover":
        return shown(keys.begin_recover_deleted_key(name).result())
    if op == "purge":
        keys.purge_deleted_key(name)
        return {}
    client, algorithm = crypto(request)
    value = base64.b64decode(request["value"])
    if op == "wrap":
        result = client.wrap_key(algorithm, value)
        return {"kid": result.key_id, "value": base64.b64encode(result.encrypted_key).decode()}
    if op == "unwrap":
        result = client.unwrap_key(algorithm, value)
        return {"kid": result.key_id, "value": base64.b64encode(result.key).decode()}
    raise ValueError(op)


for line in sys.stdin:
    try:
        said = {"ok": True, **answer(json.loads(line))}
    except AzureError as error:
        said = {"ok": False, "type": type(error).__name__, "message": str(error)}
        if isinstance(error, HttpResponseError):
            said["status"] = error.status_code
            if error.error is not None:
                inner = error.error.innererror or {}
                said.update(code=error.error.code, inner=inner.get("code"))
    print(json.dumps(said), flush=True)
