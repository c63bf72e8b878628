#!/usr/bin/env python3
"""A second reader of keystores, written from doc/keystore-format.md and sharing no code with the first.

usage: reader.py KEYSTORE [SCOPE=]KEYFILE...
Opens a keystore of `local` recipients, checks everything that the page names, and prints "keyid id key" for each
data key, as in test/vectors/keystore-1.txt. Needs python3-cryptography.
"""
import base64
import hashlib
import hmac
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def require(truth, what):
    if not truth:
        raise SystemExit("refused: " + what)


# --- BSON: what the page needs of it. A document is a list of (name, type, value, raw).


def document(data):
    require(len(data) >= 5 and struct.unpack_from("<i", data)[0] == len(data), "length")
    require(data[-1] == 0, "end")
    fields, at = [], 4
    while at < len(data) - 1:
        kind = data[at]
        end = data.index(0, at + 1)
        name = data[at + 1:end].decode()
        at = end + 1
        if kind == 0x10:
            value, size = struct.unpack_from("<i", data, at)[0], 4
        elif kind in (0x12, 0x09):
            value, size = struct.unpack_from("<q", data, at)[0], 8
        elif kind == 0x08:
            value, size = data[at], 1
            require(value in (0, 1), name)
        elif kind == 0x02:
            length = struct.unpack_from("<i", data, at)[0]
            require(length >= 1 and at + 4 + length < len(data), name)
            raw = data[at + 4:at + 4 + length]
            require(raw[-1] == 0 and 0 not in raw[:-1], name)
            value, size = raw[:-1].decode(), 4 + length
        elif kind == 0x05:
            length = struct.unpack_from("<i", data, at)[0]
            require(length >= 0 and at + 5 + length < len(data), name)
            value, size = (data[at + 4], data[at + 5:at + 5 + length]), 5 + length
        elif kind in (0x03, 0x04):
            size = struct.unpack_from("<i", data, at)[0]
            require(5 <= size < len(data) - at, name)
            value = data[at:at + size]
        else:
            require(False, "type of " + name)
        require(at + size <= len(data) - 1, name)
        fields.append((name, kind, value, data[at:at + size]))
        at += size
    return fields


INT32, INT64, DATE, BOOL, TEXT, BYTES, ARRAY, DOC = 0x10, 0x12, 0x09, 0x08, 0x02, 0x05, 0x04, 0x03


def record(data, table):
    """The fields of a document by a table of (name, type, check, optional)."""
    found, fields = {}, document(data)
    for name, kind, check, optional in table:
        if optional and (not fields or fields[0][0] != name):
            continue
        require(fields and fields[0][0] == name and fields[0][1] == kind, name)
        value = fields.pop(0)[2]
        if kind == BYTES:
            subtype, value = value
            require(subtype == (4 if name in ("uuid", "parent") else 0), name)
        require(check(value), name)
        found[name] = value
    require(not fields, "a field too many")
    return found


def array(data, table):
    out = []
    for i, (name, kind, _, raw) in enumerate(document(data)):
        require(name == str(i) and kind == DOC, "array")
        element = record(raw, table)
        element["raw"] = raw
        out.append(element)
    return out


def anything(_):
    return True


def length(low, high):
    return lambda value: low <= len(value if isinstance(value, bytes) else value.encode()) <= high


def at_least(low):
    return lambda value: value >= low


def is_id(value):
    return value != 0


def date(name):
    return (name, DATE, at_least(0), False)


def state(*names):
    return lambda value: value in names


RECIPIENT = [("provider", TEXT, length(1, 32), False), ("keyId", TEXT, length(1, 1024), False),
             ("credential", TEXT, length(0, 1024), False), ("wrapped", BYTES, length(1, 8192), False), date("time")]
MASTER = [("id", INT64, is_id, False), ("scope", TEXT, length(1, 100), False),
          ("state", TEXT, state("active", "retired"), False), ("commitment", BYTES, length(16, 16), False),
          date("created"), ("recipients", ARRAY, anything, False)]
DATA_KEY = [("id", INT64, is_id, False), ("keyid", TEXT, length(1, 512), False), ("version", INT32, at_least(1), False),
            ("state", TEXT, state("active", "readable", "retired"), False), ("masterKeyId", INT64, is_id, False),
            ("commitment", BYTES, length(16, 16), False), ("wrapped", BYTES, length(72, 72), False), date("created")]
EVENT = [date("time"), ("who", TEXT, length(1, 1024), False), ("operation", TEXT, length(1, 1024), False),
         ("reason", TEXT, length(0, 1024), True), ("generation", INT64, at_least(1), False)]
MAC = [("scope", TEXT, length(1, 100), False), ("mac", BYTES, length(32, 32), False)]
KEYSTORE = [("version", INT32, lambda value: value == 1, False), ("uuid", BYTES, length(16, 16), False),
            ("parent", BYTES, length(16, 16), True), ("node", TEXT, length(1, 255), False),
            ("generation", INT64, at_least(1), False), date("created"), date("modified"),
            ("partial", BOOL, anything, False), ("masterKeys", ARRAY, anything, False),
            ("dataKeys", ARRAY, anything, False), ("history", ARRAY, anything, False), ("macs", ARRAY, anything, False),
            ("seal", BYTES, length(32, 32), False)]

# --- keys


def u64(value):
    return struct.pack("<q", value)


def hkdf(key, info, size, salt=b""):
    prk = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    out, block = b"", b""
    while len(out) < size:
        block = hmac.new(prk, block + info.encode() + bytes([len(out) // 32 + 1]), hashlib.sha256).digest()
        out += block
    return out[:size]


def aes(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def xaes_open(key, wrapped, aad):
    nonce, rest = wrapped[:24], wrapped[24:]
    k1 = int.from_bytes(aes(key, bytes(16)), "big") << 1
    if k1 >> 128:
        k1 = k1 & (1 << 128) - 1 ^ 0x87
    derived = b""
    for counter in (1, 2):
        block = bytes([0, counter]) + b"X\0" + nonce[:12]
        derived += aes(key, (int.from_bytes(block, "big") ^ k1).to_bytes(16, "big"))
    return AESGCM(derived).decrypt(nonce[12:], rest, aad)


def commitment(key, key_id):
    return hkdf(key, "wtkms/1/commit", 16, u64(key_id))


def behind_length(data):
    return struct.pack("<I", len(data)) + data


def open_master(keystore, master, key_files):
    file_key = key_files.get(master["scope"], key_files["default"])
    key_id = "local:" + hkdf(file_key, "wtkms/1/local-id", 16).hex()
    scope = master["scope"].encode()
    for recipient in array(master["recipients"], RECIPIENT):
        if recipient["provider"] != "local" or recipient["keyId"] != key_id:
            continue
        aad = b"".join(map(behind_length, (keystore["uuid"], u64(master["id"]), scope)))
        payload = xaes_open(hkdf(file_key, "wtkms/1/local-wrap", 32), recipient["wrapped"], aad)
        head = b"\1" + keystore["uuid"] + u64(master["id"]) + bytes([len(scope)]) + scope
        require(payload[:-32] == head, "payload")
        require(commitment(payload[-32:], master["id"]) == master["commitment"], "commitment")
        return payload[-32:]
    require(False, "no key for scope " + master["scope"])


def main():
    key_files = {}
    for argument in sys.argv[2:]:
        scope, _, path = argument.rpartition("=")
        with open(path, "rb") as file:
            key_files[scope or "default"] = base64.b64decode(file.read().strip(), validate=True)
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    keystore = record(data, KEYSTORE)
    masters = array(keystore["masterKeys"], MASTER)
    data_keys = array(keystore["dataKeys"], DATA_KEY)
    events = array(keystore["history"], EVENT)
    macs = array(keystore["macs"], MAC)

    active = {m["scope"]: m for m in masters if m["state"] == "active"}
    require(len(active) == sum(m["state"] == "active" for m in masters), "two active master keys")
    require({m["scope"] for m in masters} == set(active) and "default" in active, "scopes")
    require([m["scope"] for m in macs] == [m["scope"] for m in masters if m["state"] == "active"], "MACs")
    require(len({m["id"] for m in masters}) == len(masters), "ids")
    require(len({k["id"] for k in data_keys}) == len(data_keys), "ids")
    require(len({(k["keyid"], k["version"]) for k in data_keys}) == len(data_keys), "versions")
    in_use = [k["keyid"] for k in data_keys if k["state"] == "active"]
    require(len(in_use) == len(set(in_use)), "two active data keys")
    for key in data_keys:
        scope = key["keyid"] if key["keyid"] in active else "default"
        require(key["masterKeyId"] == active[scope]["id"], "scope of a data key")
    require(len(events) <= 200 and all(e["generation"] <= keystore["generation"] for e in events), "history")
    require(not keystore["partial"] or set(active) == {"default"}, "partial")

    opened = {scope: open_master(keystore, master, key_files) for scope, master in active.items()}
    for entry in macs:
        scope = entry["scope"]
        mac = hmac.new(hkdf(opened[scope], "wtkms/1/seal", 32), b"scope\0", hashlib.sha256)
        mac.update(keystore["uuid"] + u64(keystore["generation"]))
        ids = {m["id"] for m in masters if m["scope"] == scope}
        for master in masters:
            if master["scope"] == scope:
                mac.update(b"M" + master["raw"])
        for key in data_keys:
            if key["masterKeyId"] in ids:
                mac.update(b"D" + key["raw"])
        require(hmac.compare_digest(mac.digest(), entry["mac"]), "MAC of " + scope)
    seal = hmac.new(hkdf(opened["default"], "wtkms/1/seal", 32), b"seal\0" + data[:-44], hashlib.sha256)
    require(hmac.compare_digest(seal.digest(), keystore["seal"]), "seal")

    for key in data_keys:
        if key["state"] == "retired":
            continue
        scope = key["keyid"] if key["keyid"] in active else "default"
        keyid = key["keyid"].encode()
        aad = keystore["uuid"] + u64(key["id"]) + struct.pack("<H", len(keyid)) + keyid
        aad += struct.pack("<i", key["version"]) + u64(key["masterKeyId"])
        secret = xaes_open(hkdf(opened[scope], "wtkms/1/wrap", 32), key["wrapped"], aad)
        require(commitment(secret, key["id"]) == key["commitment"], "commitment")
        print(key["keyid"], "%016x" % (key["id"] & (1 << 64) - 1), secret.hex())


main()
