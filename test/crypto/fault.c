/*
 * test/crypto/fault.c -- Failing calls. See test_crypto.h.
 */
#include "test/crypto/test_crypto.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

bool fault_no_memory, fault_interrupt;
int fault_madvise, fault_mlock;
_Thread_local void (*fault_pause)(void);

static _Thread_local unsigned countdown;
static _Thread_local bool hit;
static atomic_ulong openssl_count, wrapped_count;

void
fault_at(unsigned nth)
{
    countdown = nth;
    hit = false;
}

bool
fault_was_hit(void)
{
    countdown = 0;
    return (hit);
}

static bool
fails(void)
{
    if (countdown == 0 || --countdown != 0)
        return (false);
    hit = true;
    errno = ENOMEM;
    return (true);
}

static bool
openssl_fails(void)
{
    if (!fails())
        return (false);
    if (fault_no_memory)
        ERR_raise(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE);
    return (true);
}

/* One line a function: its type, name, what it gives when it fails, parameters, arguments. */
#define WRAP_IF(fails, type, name, failure, params, args)  \
    type __real_##name params;                             \
    type __wrap_##name params;                             \
    type __wrap_##name params                              \
    {                                                      \
        return (fails() ? (failure) : __real_##name args); \
    }
#define WRAP(type, name, failure, params, args) \
    WRAP_IF(openssl_fails, type, name, failure, params, args)

WRAP_IF(fails, int, mprotect, -1, (void *p, size_t len, int prot), (p, len, prot))
WRAP_IF(fails, int, pthread_atfork, ENOMEM, (void (*a)(void), void (*b)(void), void (*c)(void)),
  (a, b, c))

WRAP(EVP_KDF *, EVP_KDF_fetch, NULL, (OSSL_LIB_CTX * l, const char *n, const char *p), (l, n, p))
WRAP(EVP_KDF_CTX *, EVP_KDF_CTX_new, NULL, (EVP_KDF * kdf), (kdf))
WRAP(int, EVP_KDF_derive, 0, (EVP_KDF_CTX * c, unsigned char *k, size_t l, const OSSL_PARAM p[]),
  (c, k, l, p))
WRAP(EVP_MAC *, EVP_MAC_fetch, NULL, (OSSL_LIB_CTX * l, const char *n, const char *p), (l, n, p))
WRAP(EVP_MAC_CTX *, EVP_MAC_CTX_new, NULL, (EVP_MAC * mac), (mac))
WRAP(int, EVP_MAC_init, 0,
  (EVP_MAC_CTX * c, const unsigned char *k, size_t l, const OSSL_PARAM p[]), (c, k, l, p))
WRAP(int, EVP_MAC_update, 0, (EVP_MAC_CTX * c, const unsigned char *d, size_t l), (c, d, l))
WRAP(int, EVP_MAC_final, 0, (EVP_MAC_CTX * c, unsigned char *o, size_t *l, size_t s), (c, o, l, s))
WRAP(int, EVP_Digest, 0,
  (const void *d, size_t n, unsigned char *o, unsigned *l, const EVP_MD *m, ENGINE *e),
  (d, n, o, l, m, e))

WRAP(
  EVP_CIPHER *, EVP_CIPHER_fetch, NULL, (OSSL_LIB_CTX * l, const char *n, const char *p), (l, n, p))
WRAP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, NULL, (void), ())
WRAP(int, EVP_CIPHER_CTX_set_padding, 0, (EVP_CIPHER_CTX * c, int pad), (c, pad))
WRAP(int, EVP_CIPHER_CTX_ctrl, 0, (EVP_CIPHER_CTX * c, int t, int a, void *p), (c, t, a, p))
WRAP(int, EVP_CIPHER_CTX_get_params, 0, (EVP_CIPHER_CTX * c, OSSL_PARAM p[]), (c, p))
WRAP(int, EVP_EncryptInit_ex2, 0,
  (EVP_CIPHER_CTX * c, const EVP_CIPHER *t, const unsigned char *k, const unsigned char *i,
    const OSSL_PARAM p[]),
  (c, t, k, i, p))
WRAP(int, EVP_DecryptInit_ex2, 0,
  (EVP_CIPHER_CTX * c, const EVP_CIPHER *t, const unsigned char *k, const unsigned char *i,
    const OSSL_PARAM p[]),
  (c, t, k, i, p))
WRAP(int, EVP_DecryptUpdate, 0,
  (EVP_CIPHER_CTX * c, unsigned char *o, int *l, const unsigned char *i, int n), (c, o, l, i, n))
WRAP(int, EVP_EncryptFinal_ex, 0, (EVP_CIPHER_CTX * c, unsigned char *o, int *l), (c, o, l))
WRAP(int, EVP_DecryptFinal_ex, 0, (EVP_CIPHER_CTX * c, unsigned char *o, int *l), (c, o, l))

WRAP(BIO *, BIO_new_mem_buf, NULL, (const void *b, int l), (b, l))
WRAP(EVP_PKEY *, PEM_read_bio_PUBKEY, NULL, (BIO * b, EVP_PKEY **k, pem_password_cb *c, void *u),
  (b, k, c, u))
WRAP(EVP_PKEY *, PEM_read_bio_PrivateKey, NULL,
  (BIO * b, EVP_PKEY **k, pem_password_cb *c, void *u), (b, k, c, u))
WRAP(int, i2d_PUBKEY, -1, (const EVP_PKEY *k, unsigned char **o), (k, o))
WRAP(EVP_PKEY_CTX *, EVP_PKEY_CTX_new_from_pkey, NULL,
  (OSSL_LIB_CTX * l, EVP_PKEY *k, const char *p), (l, k, p))
WRAP(int, EVP_PKEY_encrypt_init, 0, (EVP_PKEY_CTX * c), (c))
WRAP(int, EVP_PKEY_decrypt_init, 0, (EVP_PKEY_CTX * c), (c))
WRAP(int, EVP_PKEY_CTX_set_rsa_padding, 0, (EVP_PKEY_CTX * c, int p), (c, p))
WRAP(int, EVP_PKEY_CTX_set_rsa_oaep_md, 0, (EVP_PKEY_CTX * c, const EVP_MD *m), (c, m))
WRAP(int, EVP_PKEY_CTX_set_rsa_mgf1_md, 0, (EVP_PKEY_CTX * c, const EVP_MD *m), (c, m))
WRAP(int, EVP_PKEY_encrypt, 0,
  (EVP_PKEY_CTX * c, unsigned char *o, size_t *l, const unsigned char *i, size_t n),
  (c, o, l, i, n))
WRAP(int, EVP_PKEY_decrypt, 0,
  (EVP_PKEY_CTX * c, unsigned char *o, size_t *l, const unsigned char *i, size_t n),
  (c, o, l, i, n))

int __real_EVP_EncryptUpdate(
  EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl);
int __wrap_EVP_EncryptUpdate(
  EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl);

int
__wrap_EVP_EncryptUpdate(
  EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl)
{
    if (fault_pause != NULL)
        fault_pause();
    return (openssl_fails() ? 0 : __real_EVP_EncryptUpdate(ctx, out, outl, in, inl));
}

void *__real_mmap(void *p, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *p, size_t len, int prot, int flags, int fd, off_t offset);

void *
__wrap_mmap(void *p, size_t len, int prot, int flags, int fd, off_t offset)
{
    return (fails() ? MAP_FAILED : __real_mmap(p, len, prot, flags, fd, offset));
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *
__wrap_calloc(size_t count, size_t size)
{
    wrapped_count++;
    return (fails() ? NULL : __real_calloc(count, size));
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
    wrapped_count++;
    return (fails() ? NULL : __real_aligned_alloc(alignment, size));
}

ssize_t __real_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);

ssize_t
__wrap_getrandom(void *buf, size_t len, unsigned flags)
{
    static bool one_byte;

    if (fault_interrupt) {
        fault_interrupt = false;
        one_byte = true;
        errno = EINTR;
        return (-1);
    }
    if (one_byte) {
        one_byte = false;
        return (__real_getrandom(buf, 1, flags));
    }
    return (fails() ? -1 : __real_getrandom(buf, len, flags));
}

int __real_madvise(void *p, size_t len, int advice);
int __wrap_madvise(void *p, size_t len, int advice);

int
__wrap_madvise(void *p, size_t len, int advice)
{
    if (fault_madvise == 0)
        return (__real_madvise(p, len, advice));
    errno = fault_madvise;
    return (-1);
}

int __real_mlock(const void *p, size_t len);
int __wrap_mlock(const void *p, size_t len);

int
__wrap_mlock(const void *p, size_t len)
{
    if (fault_mlock == 0)
        return (__real_mlock(p, len));
    errno = fault_mlock;
    return (-1);
}

static void *
counted_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    openssl_count++;
    return (malloc(size));
}

static void *
counted_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    openssl_count++;
    return (realloc(p, size));
}

static void
counted_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* OpenSSL takes these only before it allocates for the first time. */
static void count_openssl(void) __attribute__((constructor));

static void
count_openssl(void)
{
    if (!CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free))
        abort();
}

unsigned long
openssl_allocations(void)
{
    return (openssl_count);
}

unsigned long
wrapped_allocations(void)
{
    return (wrapped_count);
}
