/*
 * test/keystore/fault.c -- Failing calls. See fault.h.
 */
#include "test/keystore/fault.h"

#include "crypto/mac.h"
#include "crypto/random.h"
#include "crypto/xaes.h"

#include <bson/bson.h>

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool fault_no_threads, fault_no_random, fault_no_names, fault_no_sync;
int (*fault_unwrap)(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status);
int (*fault_wrap)(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status);

static _Thread_local unsigned memory_left, crypto_left;
static _Thread_local bool memory_hit, crypto_hit;

static bool
memory_fails(void)
{
    if (memory_left == 0 || --memory_left != 0)
        return (false);
    memory_hit = true;
    errno = ENOMEM;
    return (true);
}

static bool
crypto_fails(void)
{
    if (crypto_left == 0 || --crypto_left != 0)
        return (false);
    crypto_hit = true;
    return (true);
}

bool
fault_memory_was_hit(void)
{
    memory_left = 0;
    return (memory_hit);
}

void
fault_crypto_at(unsigned nth)
{
    crypto_left = nth;
    crypto_hit = false;
}

bool
fault_crypto_was_hit(void)
{
    crypto_left = 0;
    return (crypto_hit);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
char *__wrap_strndup(const char *text, size_t len);

/* libbson ends the process when it gets no memory. */
static const bson_mem_vtable_t bson_memory = {.malloc = __real_malloc,
  .calloc = __real_calloc,
  .realloc = __real_realloc,
  .free = free,
  .aligned_alloc = aligned_alloc};

void
fault_memory_at(unsigned nth)
{
    static bool is_set;

    if (!is_set)
        bson_mem_set_vtable(&bson_memory);
    is_set = true;
    memory_left = nth;
    memory_hit = false;
}

void *
__wrap_malloc(size_t size)
{
    return (memory_fails() ? NULL : __real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return (memory_fails() ? NULL : __real_calloc(count, size));
}

void *
__wrap_realloc(void *old, size_t size)
{
    return (memory_fails() ? NULL : __real_realloc(old, size));
}

char *
__wrap_strdup(const char *text)
{
    return (memory_fails() ? NULL : __real_strdup(text));
}

char *
__wrap_strndup(const char *text, size_t len)
{
    return (memory_fails() ? NULL : __real_strndup(text, len));
}

int __real_pthread_create(
  pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(
  pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);

int
__wrap_pthread_create(
  pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    return (fault_no_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, context));
}

int __real_getpwuid_r(
  uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **found);
int __wrap_getpwuid_r(
  uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **found);
int __real_gethostname(char *name, size_t size);
int __wrap_gethostname(char *name, size_t size);

int
__wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **found)
{
    if (!fault_no_names)
        return (__real_getpwuid_r(uid, entry, buf, size, found));
    *found = NULL;
    return (0);
}

int
__wrap_gethostname(char *name, size_t size)
{
    return (fault_no_names ? -1 : __real_gethostname(name, size));
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int
__wrap_fsync(int fd)
{
    return (fault_no_sync ? 0 : __real_fsync(fd));
}

static int
fail_crypto(STATUS *status)
{
    return (status_set(status, STATUS_INTERNAL, "test-crypto", "a failure that was asked for"));
}

/* One that fails at its turn, for the functions with this tail. */
#define WRAP_CRYPTO(name, parameters, arguments) \
    int __real_##name parameters;                \
    int __wrap_##name parameters;                \
    int __wrap_##name parameters                 \
    {                                            \
        if (crypto_fails())                      \
            return (fail_crypto(status));        \
        return (__real_##name arguments);        \
    }

WRAP_CRYPTO(random_id, (uint64_t * idp, STATUS *status), (idp, status))
WRAP_CRYPTO(mac_derive,
  (const SECRET *key, const char *label, size_t len, SECRET **outp, STATUS *status),
  (key, label, len, outp, status))
WRAP_CRYPTO(mac_derive_public,
  (const SECRET *key, const void *salt, size_t salt_len, const char *label, void *out,
    size_t out_len, STATUS *status),
  (key, salt, salt_len, label, out, out_len, status))
WRAP_CRYPTO(mac_hkdf_new, (MAC_HKDF * *hkdfp, STATUS *status), (hkdfp, status))
WRAP_CRYPTO(mac_hkdf_derive,
  (MAC_HKDF * hkdf, const SECRET *key, const void *salt, size_t salt_len, const char *label,
    uint8_t *out, STATUS *status),
  (hkdf, key, salt, salt_len, label, out, status))
WRAP_CRYPTO(mac_new, (const SECRET *key, MAC **macp, STATUS *status), (key, macp, status))
WRAP_CRYPTO(
  mac_update, (MAC * mac, const void *data, size_t len, STATUS *status), (mac, data, len, status))
WRAP_CRYPTO(mac_final, (MAC * mac, uint8_t *out, STATUS *status), (mac, out, status))
WRAP_CRYPTO(xaes_new, (XAES * *xaesp, STATUS *status), (xaesp, status))
WRAP_CRYPTO(xaes_wrap_by,
  (XAES * xaes, const SECRET *key, const void *aad, size_t aad_len, const SECRET *secret,
    uint8_t *out, STATUS *status),
  (xaes, key, aad, aad_len, secret, out, status))
WRAP_CRYPTO(secret_new, (size_t len, SECRET **secretp, STATUS *status), (len, secretp, status))
WRAP_CRYPTO(secret_new_copy, (const void *data, size_t len, SECRET **secretp, STATUS *status),
  (data, len, secretp, status))
WRAP_CRYPTO(
  secret_new_random, (size_t len, SECRET **secretp, STATUS *status), (len, secretp, status))

int __real_random_bytes(void *buf, size_t len, STATUS *status);
int __wrap_random_bytes(void *buf, size_t len, STATUS *status);

int
__wrap_random_bytes(void *buf, size_t len, STATUS *status)
{
    if (fault_no_random || crypto_fails())
        return (fail_crypto(status));
    return (__real_random_bytes(buf, len, status));
}

int __wrap_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status);
int __wrap_kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status);

int
__wrap_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    if (fault_unwrap != NULL)
        return (fault_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
    return (__real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
}

int
__wrap_kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status)
{
    if (fault_wrap != NULL)
        return (fault_wrap(client, timeout_ms, context, plaintext, wrapped, status));
    return (__real_kms_client_wrap(client, timeout_ms, context, plaintext, wrapped, status));
}
