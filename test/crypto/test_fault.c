/*
 * test/crypto/test_fault.c -- Every call into the C library and OpenSSL fails once.
 *
 * A scenario is run again and again, each time with the next of its calls failing, until none is
 * left. It must return an error each time, with its outputs empty; the sanitizer builds see leaks.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"
#include "crypto/mac.h"
#include "crypto/random.h"
#include "crypto/rsa.h"
#include "crypto/xaes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define LEN 100

static SECRET *key;

/* Returns how many calls failed. */
static unsigned
each_call(int (*scenario)(STATUS *status))
{
    STATUS status;
    unsigned nth;
    int ret;

    for (nth = 1;; nth++) {
        status_clear(&status);
        fault_at(nth);
        ret = scenario(&status);
        if (!fault_was_hit())
            break;
        CU_ASSERT_NOT_EQUAL(ret, 0);
        CU_ASSERT_EQUAL(ret, (int)status.status_class);
        CU_ASSERT_STRING_NOT_EQUAL(status.message, "");
        CU_ASSERT_EQUAL(ERR_peek_error(), 0);
    }
    CU_ASSERT_EQUAL(ret, 0);
    return (nth - 1);
}

static void
scenario_runs(int (*scenario)(STATUS *status), unsigned least)
{
    key = test_secret("0123456789abcdef0123456789abcdef", 32);
    CU_ASSERT_TRUE(each_call(scenario) >= least);
    fault_no_memory = true;
    CU_ASSERT_TRUE(each_call(scenario) >= least);
    fault_no_memory = false;
    secret_free(key);
}

static int
scenario_secret(STATUS *status)
{
    SECRET *secret;
    int ret;

    if ((ret = secret_new_random(1000, &secret, status)) != 0)
        CU_ASSERT_PTR_NULL(secret);
    (void)fault_was_hit();
    secret_free(secret);
    return (ret);
}

/* With all regions full: the key's own has REGION_SLOTS, freed again by the end. */
static int
scenario_small_secret(STATUS *status)
{
    enum { ENOUGH = 1000 };
    static SECRET *secrets[ENOUGH];
    unsigned i;
    int ret = 0;

    for (i = 0; i < ENOUGH && ret == 0; i++)
        if ((ret = secret_new(16, &secrets[i], status)) != 0)
            CU_ASSERT_PTR_NULL(secrets[i]);
    (void)fault_was_hit();
    while (i > 0)
        secret_free(secrets[--i]);
    return (ret);
}

static int
scenario_decode(STATUS *status)
{
    SECRET *secret;
    char text[201];
    int ret;

    memset(text, 'A', 200);
    if ((ret = encode_base64_decode_secret(text, 200, &secret, status)) != 0)
        CU_ASSERT_PTR_NULL(secret);
    (void)fault_was_hit();
    secret_free(secret);
    return (ret);
}

static void
secrets(void)
{
    scenario_runs(scenario_secret, 4); /* calloc, mmap, mprotect, getrandom */
    scenario_runs(scenario_small_secret, 6);
    scenario_runs(scenario_decode, 3);
}

static int
scenario_random(STATUS *status)
{
    uint64_t id;

    return (random_id(&id, status));
}

static int
scenario_derive(STATUS *status)
{
    SECRET *secret;
    uint8_t out[16];
    int ret;

    if ((ret = mac_derive(key, "label", 100, &secret, status)) != 0)
        CU_ASSERT_PTR_NULL(secret);
    if (ret == 0)
        ret = mac_derive_public(key, "salt", 4, "label", out, sizeof(out), status);
    (void)fault_was_hit();
    secret_free(secret);
    return (ret);
}

static int
scenario_many_hkdf(STATUS *status)
{
    MAC_HKDF *hkdf;
    uint8_t out[MAC_LEN];
    int ret;

    if ((ret = mac_hkdf_new(&hkdf, status)) != 0)
        CU_ASSERT_PTR_NULL(hkdf);
    if (ret == 0 && (ret = mac_hkdf_derive(hkdf, key, "salt", 4, "label", out, status)) == 0)
        ret = mac_hkdf_derive(hkdf, key, NULL, 0, "label", out, status);
    (void)fault_was_hit();
    mac_hkdf_free(hkdf);
    return (ret);
}

static int
scenario_mac(STATUS *status)
{
    MAC *mac;
    uint8_t out[MAC_LEN];
    int ret;

    if ((ret = mac_new(key, &mac, status)) != 0)
        CU_ASSERT_PTR_NULL(mac);
    if (ret == 0 && (ret = mac_update(mac, "data", 4, status)) == 0 &&
        (ret = mac_final(mac, out, status)) == 0)
        ret = mac_sha256("data", 4, out, status);
    (void)fault_was_hit();
    mac_free(mac);
    return (ret);
}

static void
macs(void)
{
    scenario_runs(scenario_random, 1);
    scenario_runs(scenario_derive, 9);
    scenario_runs(scenario_many_hkdf, 19);
    scenario_runs(scenario_mac, 7);
}

static int
scenario_wrap(STATUS *status)
{
    SECRET *secret = NULL;
    uint8_t wrapped[XAES_WRAPPED_LEN(32)];
    int ret;

    if ((ret = xaes_wrap(key, "aad", 3, key, wrapped, status)) == 0 &&
        (ret = xaes_unwrap(key, "aad", 3, wrapped, sizeof(wrapped), &secret, status)) != 0)
        CU_ASSERT_PTR_NULL(secret);
    (void)fault_was_hit();
    secret_free(secret);
    return (ret);
}

static SECRET *other;

/* A key that follows on another one; what failed at any point works with the next call. */
static int
scenario_wrap_many(STATUS *status)
{
    STATUS again;
    SECRET *secret = NULL;
    XAES *xaes;
    uint8_t wrapped[XAES_WRAPPED_LEN(32)];
    int ret;

    if ((ret = xaes_new(&xaes, status)) != 0) {
        CU_ASSERT_PTR_NULL(xaes);
        return (ret);
    }
    if ((ret = xaes_wrap_by(xaes, other, "aad", 3, key, wrapped, status)) == 0 &&
        (ret = xaes_wrap_by(xaes, key, "aad", 3, key, wrapped, status)) == 0 &&
        (ret = xaes_unwrap_by(xaes, key, "aad", 3, wrapped, sizeof(wrapped), &secret, status)) != 0)
        CU_ASSERT_PTR_NULL(secret);
    (void)fault_was_hit();
    secret_free(secret);
    CU_ASSERT_EQUAL(xaes_wrap_by(xaes, key, "aad", 3, key, wrapped, &again), 0);
    CU_ASSERT_EQUAL(xaes_unwrap(key, "aad", 3, wrapped, sizeof(wrapped), &secret, &again), 0);
    CU_ASSERT_TRUE(secret_equal(secret, key));
    secret_free(secret);
    xaes_free(xaes);
    return (ret);
}

static int
scenario_long_wrap(STATUS *status)
{
    SECRET *secret = NULL;
    uint8_t wrapped[XAES_WRAPPED_LEN(100)] = {0};
    int ret;

    ret = xaes_unwrap(key, "aad", 3, wrapped, sizeof(wrapped), &secret, status);
    CU_ASSERT_PTR_NULL(secret);
    /* It does not authenticate, when it gets that far. */
    return (ret == STATUS_CORRUPT && strcmp(status->id, "wrap-tag") == 0 ? 0 : ret);
}

static void
xaes(void)
{
    STATUS status;
    unsigned nth, hits = 0;

    scenario_runs(scenario_wrap, 15);
    other = test_secret("0123456789abcdef0123456789abcdeF", 32);
    scenario_runs(scenario_wrap_many, 20);
    secret_free(other);
    /* Here the last failing call, the final one, cannot be told from a wrong tag. */
    key = test_secret("0123456789abcdef0123456789abcdef", 32);
    for (nth = 1; nth < 20; nth++) {
        fault_at(nth);
        (void)scenario_long_wrap(&status);
        hits += fault_was_hit();
    }
    CU_ASSERT_TRUE(hits >= 10);
    secret_free(key);
}

static int
scenario_units(STATUS *status)
{
    UNIT_KEY *unit_key = NULL;
    UNIT_CIPHER *cipher = NULL;
    uint8_t src[LEN] = {0}, unit[LEN + UNIT_OVERHEAD], back[LEN];
    size_t n;
    int ret;
    bool opened;

    if ((opened = (ret = unit_cipher_library_open(status)) == 0))
        ret = unit_key_new(1, key, &unit_key, status);
    if (ret != 0)
        CU_ASSERT_PTR_NULL(unit_key);
    if (ret == 0 && (ret = unit_cipher_new(unit_key, &cipher, status)) != 0)
        CU_ASSERT_PTR_NULL(cipher);
    if (ret == 0 && (ret = unit_encrypt(cipher, src, LEN, unit, sizeof(unit), &n, status)) == 0) {
        memset(back, 1, LEN);
        if ((ret = unit_decrypt(unit_key, unit, n, back, LEN, &n, status)) != 0)
            CU_ASSERT_EQUAL(n, 0);
        CU_ASSERT_TRUE(ret != 0 || memcmp(src, back, LEN) == 0);
    }
    (void)fault_was_hit();
    unit_cipher_free(cipher);
    unit_key_free(unit_key);
    if (opened)
        unit_cipher_library_close();
    return (ret);
}

/* The deriver is keyed with another key, so that it is keyed anew for a stream and for a unit. */
static int
scenario_two_keys(STATUS *status)
{
    UNIT_KEY *a = NULL, *b = NULL;
    UNIT_CIPHER *cipher = NULL;
    uint8_t src[LEN] = {0}, unit[LEN + UNIT_OVERHEAD], back[LEN];
    size_t n;
    int ret;
    bool opened;

    if ((opened = (ret = unit_cipher_library_open(status)) == 0) &&
        (ret = unit_key_new(1, key, &a, status)) == 0 &&
        (ret = unit_key_new(2, key, &b, status)) == 0 &&
        (ret = unit_cipher_new(a, &cipher, status)) == 0 &&
        (ret = unit_encrypt(cipher, src, LEN, unit, sizeof(unit), &n, status)) == 0 &&
        (ret = unit_encrypt(cipher, src, LEN, unit, sizeof(unit), &n, status)) == 0) {
        unit_cipher_set_active(cipher, b);
        if ((ret = unit_encrypt(cipher, src, LEN, unit, sizeof(unit), &n, status)) == 0)
            ret = unit_decrypt(b, unit, n, back, LEN, &n, status);
    }
    (void)fault_was_hit();
    unit_cipher_free(cipher);
    unit_key_free(a);
    unit_key_free(b);
    if (opened)
        unit_cipher_library_close();
    return (ret);
}

/* With every slot for small secrets taken, a key needs a new region. */
static int
scenario_key(STATUS *status)
{
    UNIT_KEY *unit_key;
    int ret;

    if ((ret = unit_key_new(1, key, &unit_key, status)) != 0)
        CU_ASSERT_PTR_NULL(unit_key);
    (void)fault_was_hit();
    unit_key_free(unit_key);
    return (ret);
}

static void
key_without_region(void)
{
    enum { MANY = 1000 };
    static SECRET *secrets[MANY];
    STATUS status;
    unsigned long before;
    unsigned i, count = 0;

    /* Take slots until a region had to be made, and give that one back. */
    key = test_secret("0123456789abcdef0123456789abcdef", 32);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    do {
        before = wrapped_allocations();
        CU_ASSERT_EQUAL_FATAL(secret_new(1, &secrets[count], &status), 0);
    } while (wrapped_allocations() == before && ++count < MANY);
    CU_ASSERT_TRUE_FATAL(count < MANY);
    secret_free(secrets[count]);
    /* calloc of the key and of a region, mmap, mprotect, keying, K1. */
    CU_ASSERT_TRUE(each_call(scenario_key) >= 6);
    for (i = 0; i < count; i++)
        secret_free(secrets[i]);
    unit_cipher_library_close();
    secret_free(key);
}

static int
scenario_old_kernel(STATUS *status)
{
    int ret;

    fault_madvise = EINVAL;
    ret = unit_cipher_library_open(status);
    fault_madvise = 0;
    (void)fault_was_hit();
    if (ret == 0)
        unit_cipher_library_close();
    return (ret);
}

static void
units(void)
{
    STATUS status;

    scenario_runs(scenario_units, 25);
    scenario_runs(scenario_two_keys, 30);

    key = test_secret("0123456789abcdef0123456789abcdef", 32);
    CU_ASSERT_EQUAL(each_call(scenario_old_kernel), 4);
    secret_free(key);
    /* The handler stays; once more it is not needed. */
    CU_ASSERT_EQUAL(scenario_old_kernel(&status), 0);
}

/* A child without random gives no unit and no slot, rather than one under the parent's cookie. */
static UNITS shared;

static int
child_without_random(void *context)
{
    STATUS status;
    UNIT_KEY *unit_key;
    uint8_t src[LEN] = {0}, unit[LEN + UNIT_OVERHEAD], back[LEN];
    size_t n, m;

    memcpy(unit, context, sizeof(unit));
    fault_at(1);
    if (unit_encrypt(shared.cipher, src, LEN, unit, sizeof(unit), &n, &status) != STATUS_INTERNAL ||
        !fault_was_hit())
        return (1);
    memcpy(unit, context, sizeof(unit));
    fault_at(1);
    if (unit_decrypt(shared.key, unit, sizeof(unit), back, LEN, &m, &status) != STATUS_INTERNAL ||
        !fault_was_hit())
        return (2);
    fault_at(4); /* calloc, a region's calloc and two maps may come first: whichever fails */
    if (unit_key_new(9, shared.secret, &unit_key, &status) == 0) {
        fault_at(0);
        unit_key_free(unit_key);
    }
    fault_at(0);
    return (0);
}

static void
no_random_in_child(void)
{
    STATUS status;
    uint8_t src[LEN] = {0}, unit[LEN + UNIT_OVERHEAD];
    size_t n;

    units_open(&shared);
    CU_ASSERT_EQUAL(unit_encrypt(shared.cipher, src, LEN, unit, sizeof(unit), &n, &status), 0);
    CU_ASSERT_EQUAL(in_child(child_without_random, unit), 0);
    units_close(&shared);
}

static char *public;
static SECRET *private;

static int
scenario_rsa(STATUS *status)
{
    SECRET *secret = NULL;
    uint8_t wrapped[RSA_MAX_BYTES], fingerprint[RSA_FINGERPRINT_LEN];
    size_t len;
    int ret;

    if ((ret = rsa_public_fingerprint(public, strlen(public), fingerprint, status)) == 0 &&
        (ret = rsa_wrap(public, strlen(public), key, wrapped, &len, status)) == 0 &&
        (ret = rsa_unwrap(private, NULL, wrapped, len, fingerprint, &secret, status)) != 0)
        CU_ASSERT_PTR_NULL(secret);
    (void)fault_was_hit();
    secret_free(secret);
    return (ret);
}

static void
rsa(void)
{
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;

    CU_ASSERT_TRUE_FATAL(pkey != NULL && PEM_write_bio_PUBKEY(bio, pkey));
    len = BIO_get_mem_data(bio, &data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(public = strndup(data, (size_t)len));
    (void)BIO_reset(bio);
    CU_ASSERT_TRUE_FATAL(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL));
    len = BIO_get_mem_data(bio, &data);
    private = test_secret(data, (size_t)len);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    scenario_runs(scenario_rsa, 20);
    free(public);
    secret_free(private);
}

/* The canary is drawn with the first secret of a process, so this has to be its first test. */
static void
no_random_for_canary(void)
{
    STATUS status;
    SECRET *secret;

    fault_at(1);
    CU_ASSERT_EQUAL(secret_new(16, &secret, &status), STATUS_INTERNAL);
    CU_ASSERT_TRUE(fault_was_hit());
    CU_ASSERT_STRING_EQUAL(status.id, "random");
    CU_ASSERT_PTR_NULL(secret);
}

const TEST tests_first[] = {{"no random for the canary", no_random_for_canary}, {NULL, NULL}};
const TEST tests_fault[] = {{"secrets", secrets}, {"MACs", macs}, {"XAES-256-GCM", xaes},
  {"units", units}, {"a key without a region", key_without_region},
  {"no random in a child", no_random_in_child}, {"RSA", rsa}, {NULL, NULL}};
