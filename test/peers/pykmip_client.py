#!/usr/bin/env python3
"""test/peers/pykmip_client.py -- PyKMIP's client, driven by JSON: an operator of the key server.

    PYTHON pykmip_client.py CA

Each line of stdin holds an object, {"port": ..., "certificate": ..., "key": ..., "do": ..., ...}, and makes a
connection; an object is printed as a line for each, {"error": ...} when it failed. Bytes are hexadecimal.
"""
import json
import sys

from kmip.core import enums
from kmip.pie.client import ProxyKmipClient

GCM = {"cryptographic_algorithm": enums.CryptographicAlgorithm.AES, "block_cipher_mode": enums.BlockCipherMode.GCM,
       "tag_length": 16}
CBC = {"cryptographic_algorithm": enums.CryptographicAlgorithm.AES, "block_cipher_mode": enums.BlockCipherMode.CBC,
       "padding_method": enums.PaddingMethod.PKCS5}


def do(client, what, a):
    mask = enums.CryptographicUsageMask
    if what == "create":
        uid = client.create(enums.CryptographicAlgorithm.AES, 256, name=a["name"],
                            cryptographic_usage_mask=[mask.ENCRYPT, mask.DECRYPT])
        if a.get("activate", True):
            client.activate(uid)
        return {"uid": uid}
    if what == "activate":
        client.activate(a["uid"])
    elif what == "revoke":
        reason = enums.RevocationReasonCode[a.get("reason", "CESSATION_OF_OPERATION")]
        client.revoke(reason, a["uid"], compromise_occurrence_date=1 if "COMPROMISE" in reason.name else None)
    elif what == "destroy":
        client.destroy(a["uid"])
    elif what == "get":
        key = client.get(a["uid"])
        return {"key": key.value.hex(), "length": key.cryptographic_length}
    elif what == "state":
        attributes = client.get_attributes(a["uid"], ["State"])[1]
        return {"state": attributes[0].attribute_value.value.name}
    elif what == "encrypt":
        if "aad" in a:
            data, nonce, tag = crypt_gcm(client, "encrypt", a)
            return {"data": data.hex(), "nonce": (nonce or bytes.fromhex(a["nonce"])).hex(), "tag": tag.hex()}
        data, nonce = client.encrypt(bytes.fromhex(a["data"]), uid=a["uid"], cryptographic_parameters=CBC,
                                     iv_counter_nonce=bytes.fromhex(a["nonce"]))
        return {"data": data.hex(), "nonce": (nonce or bytes.fromhex(a["nonce"])).hex()}
    elif what == "decrypt":
        if "aad" in a:
            return {"data": crypt_gcm(client, "decrypt", a).hex()}
        return {"data": client.decrypt(bytes.fromhex(a["data"]), uid=a["uid"], cryptographic_parameters=CBC,
                                       iv_counter_nonce=bytes.fromhex(a["nonce"])).hex()}
    else:
        raise ValueError(f"unknown: {what}")
    return {}


def crypt_gcm(client, operation, a):
    """The simple client of 0.10 takes no associated data; what is under it does."""
    from kmip.core import objects
    from kmip.core.messages import payloads
    parameters = objects.CryptographicParameters(**GCM)
    common = {"unique_identifier": a["uid"], "cryptographic_parameters": parameters, "data": bytes.fromhex(a["data"]),
              "iv_counter_nonce": bytes.fromhex(a["nonce"]), "auth_additional_data": bytes.fromhex(a["aad"])}
    if operation == "encrypt":
        payload, number = payloads.EncryptRequestPayload(**common), enums.Operation.ENCRYPT
    else:
        payload = payloads.DecryptRequestPayload(**common, auth_tag=bytes.fromhex(a["tag"]))
        number = enums.Operation.DECRYPT
    answer = client.proxy.send_request_payload(number, payload)
    if operation == "encrypt":
        return answer.data, answer.iv_counter_nonce, answer.auth_tag
    return answer.data


def main():
    for line in sys.stdin:
        request = json.loads(line)
        port, certificate, key, what = (request.pop(name) for name in ("port", "certificate", "key", "do"))
        try:
            with ProxyKmipClient(hostname="127.0.0.1", port=port, cert=certificate, key=key, ca=sys.argv[1],
                                 kmip_version=enums.KMIPVersion.KMIP_1_4) as client:
                answer = do(client, what, request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
