#!/usr/bin/env python3
"""Compute the vectors of test_local.c with python3-cryptography, from the specifications alone.

Prints the identifier of the key 00 01 .. 1f, and "known text" wrapped with it under a nonce of
a0 a1 .. b7 for context_one of suites.c.
"""
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY = bytes(range(32))


def hkdf(label, length):
    return HKDF(SHA256(), length, None, label.encode()).derive(KEY)


def aes(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def xaes_seal(key, nonce, plaintext, aad):
    """c2sp.org/XAES-256-GCM"""
    k1 = int.from_bytes(aes(key, bytes(16)), "big") << 1
    if k1 >> 128:
        k1 = (k1 & ((1 << 128) - 1)) ^ 0x87
    k1 = k1.to_bytes(16, "big")
    derived = b""
    for counter in (1, 2):
        block = bytes([0, counter, ord("X"), 0]) + nonce[:12]
        derived += aes(key, bytes(a ^ b for a, b in zip(block, k1)))
    return AESGCM(derived).encrypt(nonce[12:], plaintext, aad)


def field(data):
    return len(data).to_bytes(4, "little") + data


aad = (field(bytes(range(1, 17))) + field((0x1122334455667788).to_bytes(8, "little"))
       + field(b"default"))
nonce = bytes(range(0xA0, 0xA0 + 24))
print("local:" + hkdf("wtkms/1/local-id", 16).hex())
print((nonce + xaes_seal(hkdf("wtkms/1/local-wrap", 32), nonce, b"known text", aad)).hex())
