/*
 * test/bench/peer_encryptors.c -- Encryptors to measure ours against, as one WiredTiger extension.
 *
 * Not for use: their keys are fixed. `config=(mode=bare)` is the floor, an AES-256-GCM context preset
 * for each thread and a counter as nonce, nothing else; `mode=percall` makes context and key
 * schedule anew for each page, as Percona's extension does; `mode=sodium` is XChaCha20-Poly1305, as
 * in the extension that comes with WiredTiger.
 */
#include <openssl/evp.h>
#ifdef HAVE_SODIUM
#include <sodium.h>
#endif

#include <wiredtiger_ext.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TAG 16
#define NONCE_MAX 24

typedef struct {
    WT_ENCRYPTOR iface;
    size_t nonce_len;
    atomic_ullong counter;
} PEER;

static const unsigned char peer_key[32] = "a fixed key, to measure with it";
static __thread EVP_CIPHER_CTX *seal_context, *open_context;
static __thread unsigned long long next_nonce, end_nonce;

/* A nonce from a block of a million: threads meet once a block. */
static void
nonce_next(PEER *peer, uint8_t *nonce)
{
    if (next_nonce == end_nonce) {
        next_nonce = atomic_fetch_add(&peer->counter, 1000000);
        end_nonce = next_nonce + 1000000;
    }
    memset(nonce, 0, peer->nonce_len);
    memcpy(nonce, &next_nonce, sizeof(next_nonce));
    next_nonce++;
}

static int
gcm_seal(
  EVP_CIPHER_CTX *context, const uint8_t *nonce, const uint8_t *src, size_t len, uint8_t *out)
{
    int n;

    return (EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
                EVP_EncryptUpdate(context, out, &n, src, (int)len) == 1 &&
                EVP_EncryptFinal_ex(context, out + n, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG, out + len) == 1
              ? 0
              : EIO);
}

static int
gcm_open(
  EVP_CIPHER_CTX *context, const uint8_t *nonce, const uint8_t *src, size_t len, uint8_t *out)
{
    uint8_t tag[TAG];
    int n;

    memcpy(tag, src + len, TAG);
    return (EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
                EVP_DecryptUpdate(context, out, &n, src, (int)len) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
                EVP_DecryptFinal_ex(context, out + n, &n) == 1
              ? 0
              : -31802);
}

static EVP_CIPHER_CTX *
new_context(int encrypting)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

    if (context != NULL &&
        EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, peer_key, NULL, encrypting) == 1)
        return (context);
    EVP_CIPHER_CTX_free(context);
    return (NULL);
}

static int
bare_encrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp)
{
    PEER *peer = (PEER *)iface;

    (void)session;
    (void)dst_len;
    if (seal_context == NULL && (seal_context = new_context(1)) == NULL)
        return (ENOMEM);
    nonce_next(peer, dst);
    *result_lenp = peer->nonce_len + src_len + TAG;
    return (gcm_seal(seal_context, dst, src, src_len, dst + peer->nonce_len));
}

static int
bare_decrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp)
{
    PEER *peer = (PEER *)iface;

    (void)session;
    (void)dst_len;
    if (open_context == NULL && (open_context = new_context(0)) == NULL)
        return (ENOMEM);
    *result_lenp = src_len - peer->nonce_len - TAG;
    return (gcm_open(open_context, src, src + peer->nonce_len, *result_lenp, dst));
}

static int
percall_encrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len,
  uint8_t *dst, size_t dst_len, size_t *result_lenp)
{
    PEER *peer = (PEER *)iface;
    EVP_CIPHER_CTX *context = new_context(1);
    int ret;

    (void)session;
    (void)dst_len;
    if (context == NULL)
        return (ENOMEM);
    nonce_next(peer, dst);
    *result_lenp = peer->nonce_len + src_len + TAG;
    ret = gcm_seal(context, dst, src, src_len, dst + peer->nonce_len);
    EVP_CIPHER_CTX_free(context);
    return (ret);
}

static int
percall_decrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len,
  uint8_t *dst, size_t dst_len, size_t *result_lenp)
{
    PEER *peer = (PEER *)iface;
    EVP_CIPHER_CTX *context = new_context(0);
    int ret;

    (void)session;
    (void)dst_len;
    if (context == NULL)
        return (ENOMEM);
    *result_lenp = src_len - peer->nonce_len - TAG;
    ret = gcm_open(context, src, src + peer->nonce_len, *result_lenp, dst);
    EVP_CIPHER_CTX_free(context);
    return (ret);
}

#ifdef HAVE_SODIUM
static int
sodium_encrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp)
{
    PEER *peer = (PEER *)iface;
    unsigned long long len;

    (void)session;
    (void)dst_len;
    /* As the original does: random nonces are safe at 24 bytes. */
    randombytes_buf(dst, peer->nonce_len);
    if (crypto_aead_xchacha20poly1305_ietf_encrypt(
          dst + peer->nonce_len, &len, src, src_len, NULL, 0, NULL, dst, peer_key) != 0)
        return (EIO);
    *result_lenp = peer->nonce_len + (size_t)len;
    return (0);
}

static int
sodium_decrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp)
{
    PEER *peer = (PEER *)iface;
    unsigned long long len;

    (void)session;
    (void)dst_len;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(dst, &len, NULL, src + peer->nonce_len,
          src_len - peer->nonce_len, NULL, 0, src, peer_key) != 0)
        return (-31802);
    *result_lenp = (size_t)len;
    return (0);
}
#endif

static int
peer_sizing(WT_ENCRYPTOR *iface, WT_SESSION *session, size_t *expansionp)
{
    (void)session;
    *expansionp = ((PEER *)iface)->nonce_len + TAG;
    return (0);
}

static int
peer_terminate(WT_ENCRYPTOR *iface, WT_SESSION *session)
{
    (void)session;
    free(iface);
    return (0);
}

__attribute__((visibility("default"))) int
wiredtiger_extension_init(WT_CONNECTION *conn, WT_CONFIG_ARG *config)
{
    WT_EXTENSION_API *api = conn->get_extension_api(conn);
    WT_CONFIG_ITEM mode;
    PEER *peer;

    if ((peer = calloc(1, sizeof(*peer))) == NULL)
        return (ENOMEM);
    peer->iface.sizing = peer_sizing;
    peer->iface.terminate = peer_terminate;
    peer->nonce_len = 12;
    if (api->config_get(api, NULL, config, "mode", &mode) != 0)
        mode.len = 0;
    if (mode.len == 4 && memcmp(mode.str, "bare", 4) == 0) {
        peer->iface.encrypt = bare_encrypt;
        peer->iface.decrypt = bare_decrypt;
    } else if (mode.len == 7 && memcmp(mode.str, "percall", 7) == 0) {
        peer->iface.encrypt = percall_encrypt;
        peer->iface.decrypt = percall_decrypt;
#ifdef HAVE_SODIUM
    } else if (mode.len == 6 && memcmp(mode.str, "sodium", 6) == 0) {
        peer->iface.encrypt = sodium_encrypt;
        peer->iface.decrypt = sodium_decrypt;
        peer->nonce_len = NONCE_MAX;
#endif
    } else {
        free(peer);
        return (ENOTSUP);
    }
    return (conn->add_encryptor(conn, "peer", &peer->iface, NULL));
}
