/*
 * crypto/unit_cipher.c -- Encrypt and decrypt units. See unit_cipher.h.
 *
 * What a unit costs beside AES-GCM decides the speed of a database of small log records, so the
 * path of a unit has no allocation, no lock, no system call and no lookup by name: ciphers are
 * fetched and contexts keyed beforehand, the clock is the coarse one (read from a shared page), and
 * tags travel as parameters of calls that are made anyway.
 */
#include "crypto/unit_cipher.h"

#include "crypto/fork_cookie.h"
#include "crypto/openssl_error.h"
#include "crypto/random.h"
#include "crypto/slot_pool.h"
#include "crypto/xaes_derive.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define KEY_LEN 32
#define IV_LEN (UNIT_NONCE_LEN - XAES_PREFIX_LEN)
#define EVP_MAX_UPDATE (16 * 1024 * 1024) /* EVP takes an int; a unit may have 4 GiB */

#define STREAM_SECONDS 60
#define STREAM_UNITS (UINT64_C(1) << 32)

struct unit_key {
    uint64_t id;
    uint64_t serial; /* never used twice in a process, as an address may be */
    SECRET *secret;  /* the key and its K1 */
};

struct unit_cipher {
    _Atomic(const UNIT_KEY *) active;
    SLOT_POOL streams;
};

/* One write stream: a line of the cache, and a context keyed with the stream's sub-key. */
typedef struct {
    SLOT slot;
    EVP_CIPHER_CTX *gcm;
    uint64_t key_serial; /* 0: there is no stream yet */
    uint64_t cookie;     /* of the process that drew it */
    uint64_t units;      /* counts, and is the second half of the nonce */
    time_t born;
    uint8_t prefix[XAES_PREFIX_LEN];
} STREAM;

/* What derives sub-keys and decrypts, for all keys of the process. */
typedef struct {
    SLOT slot;
    EVP_CIPHER_CTX *ecb;
    EVP_CIPHER_CTX *gcm;
    _Atomic(uint64_t) key_serial; /* of the key that ecb has, or 0 */
} DERIVER;

static struct {
    pthread_mutex_t lock; /* of the first three members */
    unsigned opened;
    EVP_CIPHER *ecb_cipher;
    EVP_CIPHER *gcm_cipher;
    SLOT_POOL derivers;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic(uint64_t) next_serial = 1;
static atomic_uint limit_seconds = STREAM_SECONDS;
static _Atomic(uint64_t) limit_units = STREAM_UNITS;

static OSSL_PARAM
tag_param(uint8_t *tag)
{
    return ((OSSL_PARAM)OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, UNIT_TAG_LEN));
}

static int
stream_start(SLOT *slot, STATUS *status)
{
    STREAM *stream = (STREAM *)slot;

    if ((stream->gcm = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_EncryptInit_ex2(stream->gcm, library.gcm_cipher, NULL, NULL, NULL))
        return (openssl_error(status, STATUS_INTERNAL, "cipher-context", "a context to encrypt"));
    return (0);
}

static void
stream_stop(SLOT *slot)
{
    EVP_CIPHER_CTX_free(((STREAM *)slot)->gcm);
}

static int
deriver_start(SLOT *slot, STATUS *status)
{
    DERIVER *deriver = (DERIVER *)slot;

    if ((deriver->ecb = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_EncryptInit_ex2(deriver->ecb, library.ecb_cipher, NULL, NULL, NULL) ||
        !EVP_CIPHER_CTX_set_padding(deriver->ecb, 0) ||
        (deriver->gcm = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_DecryptInit_ex2(deriver->gcm, library.gcm_cipher, NULL, NULL, NULL))
        return (openssl_error(status, STATUS_INTERNAL, "cipher-context", "contexts to decrypt"));
    return (0);
}

static void
deriver_stop(SLOT *slot)
{
    EVP_CIPHER_CTX_free(((DERIVER *)slot)->ecb);
    EVP_CIPHER_CTX_free(((DERIVER *)slot)->gcm);
}

static const SLOT_KIND stream_kind = {sizeof(STREAM), stream_start, stream_stop};
static const SLOT_KIND deriver_kind = {sizeof(DERIVER), deriver_start, deriver_stop};

static void
library_release(void)
{
    slot_pool_clear(&library.derivers);
    EVP_CIPHER_free(library.ecb_cipher);
    EVP_CIPHER_free(library.gcm_cipher);
    library.ecb_cipher = library.gcm_cipher = NULL;
    fork_cookie_close();
}

int
unit_cipher_library_open(STATUS *status)
{
    int ret = 0;

    (void)pthread_mutex_lock(&library.lock);
    if (library.opened == 0) {
        library.derivers.kind = &deriver_kind;
        if ((library.ecb_cipher = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL)) == NULL ||
            (library.gcm_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)) == NULL)
            ret = openssl_error(status, STATUS_INTERNAL, "cipher-fetch", "AES-256 in OpenSSL");
        else
            ret = fork_cookie_open(status);
        if (ret != 0)
            library_release();
    }
    if (ret == 0)
        library.opened++;
    (void)pthread_mutex_unlock(&library.lock);
    return (ret);
}

void
unit_cipher_library_close(void)
{
    (void)pthread_mutex_lock(&library.lock);
    if (library.opened > 0 && --library.opened == 0)
        library_release();
    (void)pthread_mutex_unlock(&library.lock);
}

static DERIVER *
deriver_take(uint64_t cookie, STATUS *status)
{
    return ((DERIVER *)slot_pool_take(&library.derivers, cookie, status));
}

/*
 * deriver_set_key --
 *     Key the block cipher, unless it has this key already.
 */
static int
deriver_set_key(DERIVER *deriver, const UNIT_KEY *key, STATUS *status)
{
    if (atomic_load_explicit(&deriver->key_serial, memory_order_relaxed) == key->serial)
        return (0);
    atomic_store_explicit(&deriver->key_serial, 0, memory_order_relaxed);
    if (!EVP_EncryptInit_ex2(deriver->ecb, NULL, secret_bytes(key->secret), NULL, NULL))
        return (openssl_error(status, STATUS_INTERNAL, "cipher-key", "keying AES-256"));
    atomic_store_explicit(&deriver->key_serial, key->serial, memory_order_relaxed);
    return (0);
}

/*
 * derive --
 *     The GCM key of a stream, in one call of the block cipher. The caller wipes it.
 */
static int
derive(DERIVER *deriver, const UNIT_KEY *key, const uint8_t *prefix, uint8_t subkey[KEY_LEN],
  STATUS *status)
{
    uint8_t blocks[2 * XAES_BLOCK_LEN];
    int n, ret;

    if ((ret = deriver_set_key(deriver, key, status)) != 0)
        return (ret);
    xaes_derive_blocks(secret_bytes(key->secret) + KEY_LEN, prefix, blocks);
    if (!EVP_EncryptUpdate(deriver->ecb, subkey, &n, blocks, sizeof(blocks)))
        return (openssl_error(status, STATUS_INTERNAL, "cipher-key", "deriving a sub-key"));
    return (0);
}

/*
 * key_prepare --
 *     Compute K1 behind the key.
 */
static int
key_prepare(UNIT_KEY *key, STATUS *status)
{
    DERIVER *deriver;
    uint8_t block[XAES_BLOCK_LEN] = {0};
    uint64_t cookie;
    int n, ret;

    if ((cookie = fork_cookie(status)) == 0 || (deriver = deriver_take(cookie, status)) == NULL)
        return ((int)status->status_class);
    if ((ret = deriver_set_key(deriver, key, status)) == 0 &&
        !EVP_EncryptUpdate(deriver->ecb, block, &n, block, sizeof(block)))
        ret = openssl_error(status, STATUS_INTERNAL, "cipher-key", "preparing a data key");
    xaes_derive_k1(block, secret_data(key->secret) + KEY_LEN);
    secret_wipe(block, sizeof(block));
    slot_pool_give(&deriver->slot);
    return (ret);
}

int
unit_key_new(uint64_t data_key_id, const SECRET *data_key, UNIT_KEY **keyp, STATUS *status)
{
    UNIT_KEY *key;
    int ret;

    *keyp = NULL;
    if (secret_len(data_key) != KEY_LEN)
        return (status_set(status, STATUS_INTERNAL, "data-key-length",
          "a data key has 32 bytes, this one %zu", secret_len(data_key)));
    if (library.gcm_cipher == NULL)
        return (status_set(
          status, STATUS_INTERNAL, "cipher-closed", "unit_cipher_library_open was not called"));
    if ((key = calloc(1, sizeof(*key))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "a data key"));
    key->id = data_key_id;
    key->serial = atomic_fetch_add(&next_serial, 1);
    if ((ret = secret_new(KEY_LEN + XAES_BLOCK_LEN, &key->secret, status)) != 0)
        goto err;
    memcpy(secret_data(key->secret), secret_bytes(data_key), KEY_LEN);
    if ((ret = key_prepare(key, status)) != 0)
        goto err;
    *keyp = key;
    return (0);

err:
    unit_key_free(key);
    return (ret);
}

/*
 * deriver_forget --
 *     Put a worthless key where this one may still be.
 */
static void
deriver_forget(DERIVER *deriver, uint64_t key_serial, uint64_t cookie)
{
    static const uint8_t zero[KEY_LEN];
    uint64_t taken;

    if (atomic_load_explicit(&deriver->key_serial, memory_order_relaxed) != key_serial)
        return;
    while (!slot_try(&deriver->slot, cookie)) {
        /* A slot that a parent's thread has is not ours to wait for. */
        taken = atomic_load_explicit(&deriver->slot.taken, memory_order_relaxed);
        if (taken != 0 && taken != cookie)
            return;
        (void)sched_yield();
    }
    if (atomic_load_explicit(&deriver->key_serial, memory_order_relaxed) == key_serial) {
        atomic_store_explicit(&deriver->key_serial, 0, memory_order_relaxed);
        (void)EVP_EncryptInit_ex2(deriver->ecb, NULL, zero, NULL, NULL);
    }
    slot_pool_give(&deriver->slot);
}

void
unit_key_free(UNIT_KEY *key)
{
    STATUS status;
    SLOT *slot;
    uint64_t cookie;
    unsigned i;

    if (key == NULL)
        return;
    if (fork_cookie_page != NULL && (cookie = fork_cookie(&status)) != 0)
        for (i = 0; i < SLOT_POOL_MAX; i++)
            if ((slot = atomic_load(&library.derivers.slots[i])) != NULL)
                deriver_forget((DERIVER *)slot, key->serial, cookie);
    secret_free(key->secret);
    free(key);
}

uint64_t
unit_key_id(const UNIT_KEY *key)
{
    return (key->id);
}

int
unit_cipher_new(const UNIT_KEY *active, UNIT_CIPHER **cipherp, STATUS *status)
{
    UNIT_CIPHER *cipher;

    if ((*cipherp = cipher = calloc(1, sizeof(*cipher))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "an encrypting side"));
    cipher->streams.kind = &stream_kind;
    atomic_store(&cipher->active, active);
    return (0);
}

void
unit_cipher_free(UNIT_CIPHER *cipher)
{
    if (cipher == NULL)
        return;
    slot_pool_clear(&cipher->streams);
    free(cipher);
}

void
unit_cipher_set_active(UNIT_CIPHER *cipher, const UNIT_KEY *key)
{
    atomic_store(&cipher->active, key);
}

static time_t
coarse_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (now.tv_sec);
}

/*
 * stream_draw --
 *     Begin a new stream in a slot. Until that has worked the slot has none, so that a failure can
 *     never lead to a nonce being used again.
 */
static int
stream_draw(STREAM *stream, const UNIT_KEY *key, uint64_t cookie, time_t now, STATUS *status)
{
    DERIVER *deriver;
    uint8_t subkey[KEY_LEN];
    int ret;

    stream->key_serial = 0;
    if ((ret = random_bytes(stream->prefix, XAES_PREFIX_LEN, status)) != 0)
        return (ret);
    if ((deriver = deriver_take(cookie, status)) == NULL)
        return ((int)status->status_class);
    ret = derive(deriver, key, stream->prefix, subkey, status);
    slot_pool_give(&deriver->slot);
    if (ret == 0 && !EVP_EncryptInit_ex2(stream->gcm, NULL, subkey, NULL, NULL))
        ret = openssl_error(status, STATUS_INTERNAL, "cipher-key", "keying AES-256-GCM");
    secret_wipe(subkey, sizeof(subkey));
    if (ret != 0)
        return (ret);
    stream->units = 0;
    stream->born = now;
    stream->cookie = cookie;
    stream->key_serial = key->serial;
    return (0);
}

static bool
stream_is_over(const STREAM *stream, const UNIT_KEY *key, uint64_t cookie, time_t now)
{
    return (
      stream->key_serial != key->serial || stream->cookie != cookie ||
      stream->units >= atomic_load_explicit(&limit_units, memory_order_relaxed) ||
      now - stream->born >= (time_t)atomic_load_explicit(&limit_seconds, memory_order_relaxed));
}

/*
 * encrypt_with --
 *     Encrypt in a stream. src_len was checked.
 */
static int
encrypt_with(STREAM *stream, const UNIT_KEY *key, const uint8_t *src, size_t src_len, uint8_t *dst,
  STATUS *status)
{
    OSSL_PARAM params[2];
    uint8_t *nonce = dst + UNIT_NONCE_OFFSET;
    uint64_t count = stream->units++;
    size_t done, step;
    int n;

    unit_header_write(dst, key->id);
    memcpy(nonce, stream->prefix, XAES_PREFIX_LEN);
    memcpy(nonce + XAES_PREFIX_LEN, &count, sizeof(count));
    memset(nonce + XAES_PREFIX_LEN + sizeof(count), 0, IV_LEN - sizeof(count));

    if (!EVP_EncryptInit_ex2(stream->gcm, NULL, NULL, nonce + XAES_PREFIX_LEN, NULL) ||
        !EVP_EncryptUpdate(stream->gcm, NULL, &n, dst, UNIT_AAD_LEN))
        goto err;
    dst += UNIT_HEADER_LEN;
    for (done = 0; done < src_len; done += step) {
        step = src_len - done < EVP_MAX_UPDATE ? src_len - done : EVP_MAX_UPDATE;
        if (!EVP_EncryptUpdate(stream->gcm, dst + done, &n, src + done, (int)step))
            goto err;
    }
    params[0] = tag_param(dst + src_len);
    params[1] = (OSSL_PARAM)OSSL_PARAM_END;
    if (!EVP_EncryptFinal_ex(stream->gcm, dst + src_len, &n) ||
        !EVP_CIPHER_CTX_get_params(stream->gcm, params))
        goto err;
    return (0);

err:
    stream->key_serial = 0;
    return (openssl_error(status, STATUS_INTERNAL, "unit-encrypt", "encrypting a unit"));
}

int
unit_encrypt(UNIT_CIPHER *cipher, const uint8_t *src, size_t src_len, uint8_t *dst, size_t dst_len,
  size_t *result_lenp, STATUS *status)
{
    const UNIT_KEY *key;
    STREAM *stream;
    uint64_t cookie;
    time_t now;
    int ret = 0;

    *result_lenp = 0;
    if (src_len > UINT32_MAX - UNIT_OVERHEAD || dst_len < src_len + UNIT_OVERHEAD)
        return (status_set(status, STATUS_REFUSED, "unit-space",
          "%zu bytes cannot be encrypted into %zu", src_len, dst_len));
    if ((cookie = fork_cookie(status)) == 0 ||
        (stream = (STREAM *)slot_pool_take(&cipher->streams, cookie, status)) == NULL)
        return ((int)status->status_class);

    now = coarse_seconds();
    key = atomic_load_explicit(&cipher->active, memory_order_acquire);
    if (stream_is_over(stream, key, cookie, now))
        ret = stream_draw(stream, key, cookie, now, status);
    if (ret == 0)
        ret = encrypt_with(stream, key, src, src_len, dst, status);
    slot_pool_give(&stream->slot);
    if (ret == 0)
        *result_lenp = src_len + UNIT_OVERHEAD;
    return (ret);
}

/*
 * decrypt_with --
 *     Decrypt a unit whose header and length were checked; len is the plaintext's.
 */
static int
decrypt_with(DERIVER *deriver, const UNIT_KEY *key, const uint8_t *unit, uint8_t *dst, size_t len,
  STATUS *status)
{
    OSSL_PARAM params[2];
    const uint8_t *nonce = unit + UNIT_NONCE_OFFSET, *src = unit + UNIT_HEADER_LEN;
    uint8_t subkey[KEY_LEN], tag[UNIT_TAG_LEN];
    size_t done, step;
    int n, ret;

    if ((ret = derive(deriver, key, nonce, subkey, status)) != 0)
        return (ret);
    memcpy(tag, src + len, UNIT_TAG_LEN);
    params[0] = tag_param(tag);
    params[1] = (OSSL_PARAM)OSSL_PARAM_END;
    n = EVP_DecryptInit_ex2(deriver->gcm, NULL, subkey, nonce + XAES_PREFIX_LEN, params);
    secret_wipe(subkey, sizeof(subkey));
    if (!n || !EVP_DecryptUpdate(deriver->gcm, NULL, &n, unit, UNIT_AAD_LEN))
        return (openssl_error(status, STATUS_INTERNAL, "unit-decrypt", "decrypting a unit"));
    for (done = 0; done < len; done += step) {
        step = len - done < EVP_MAX_UPDATE ? len - done : EVP_MAX_UPDATE;
        if (!EVP_DecryptUpdate(deriver->gcm, dst + done, &n, src + done, (int)step))
            return (openssl_error(status, STATUS_INTERNAL, "unit-decrypt", "decrypting a unit"));
    }
    if (!EVP_DecryptFinal_ex(deriver->gcm, tag, &n)) {
        ERR_clear_error();
        return (status_set(status, STATUS_BAD_UNIT, "unit-tag",
          "an encrypted unit does not authenticate: damaged, changed, or of another key"));
    }
    return (0);
}

int
unit_decrypt(const UNIT_KEY *key, const uint8_t *unit, size_t unit_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp, STATUS *status)
{
    UNIT_HEADER header;
    DERIVER *deriver;
    uint64_t cookie;
    size_t len;
    int ret;

    *result_lenp = 0;
    if ((ret = unit_parse(unit, unit_len, &header, status)) != 0)
        return (ret);
    if (header.data_key_id != key->id)
        return (status_set(status, STATUS_NO_KEY, "unit-key",
          "a unit of data key %016llx cannot be decrypted with %016llx",
          (unsigned long long)header.data_key_id, (unsigned long long)key->id));
    len = unit_len - UNIT_OVERHEAD;
    if (dst_len < len)
        return (status_set(status, STATUS_REFUSED, "unit-space",
          "a unit of %zu bytes cannot be decrypted into %zu", unit_len, dst_len));
    if ((cookie = fork_cookie(status)) == 0 || (deriver = deriver_take(cookie, status)) == NULL)
        return ((int)status->status_class);

    ret = decrypt_with(deriver, key, unit, dst, len, status);
    slot_pool_give(&deriver->slot);
    if (ret != 0) {
        if (len > 0)
            memset(dst, 0, len);
        return (ret);
    }
    *result_lenp = len;
    return (0);
}

void
unit_cipher_test_limits(unsigned seconds, uint64_t units)
{
    atomic_store(&limit_seconds, seconds == 0 ? STREAM_SECONDS : seconds);
    atomic_store(&limit_units, units == 0 ? STREAM_UNITS : units);
}
