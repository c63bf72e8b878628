/*
 * crypto/rsa_private.h -- What the files about RSA keys share. Included by this folder only.
 */
#ifndef WTKMS_CRYPTO_RSA_PRIVATE_H
#define WTKMS_CRYPTO_RSA_PRIVATE_H

#include "common/status.h"
#include "crypto/secret.h"

#include <openssl/evp.h>

/* rsa_passphrase -- The callback of OpenSSL's readers of PEM: gives the SECRET that context is, and none when it
 * is NULL. OpenSSL would ask on the terminal when there were no callback. */
int rsa_passphrase(char *buf, int size, int writing, void *context);

/* rsa_private_read -- A private key of RSA, 2048 to 8192 bits, from PEM; encrypted with passphrase, which may be
 * NULL. Never asks on a terminal. The caller frees *pkeyp. STATUS_CONFIG "rsa-key", with a hint when it
 * cannot be read at all. */
int rsa_private_read(
  const SECRET *pem, const SECRET *passphrase, EVP_PKEY **pkeyp, STATUS *status) WTKMS_CHECKED;

#endif
