/*
 * crypto/secret.c -- Memory for keys. See secret.h.
 *
 * Small secrets are slots of a region: guard page, REGION_BYTES of slots, guard page. A slot is 64
 * bytes of payload and a canary. A larger secret has a mapping of its own, and lies at its end, so
 * that a read or a write that runs on meets the canary and then the guard page:
 *
 *     guard | ... unused ... | payload, rounded up to 16 | canary | guard
 *
 * The unused bytes between a secret's length and the canary are zero and are checked with it.
 */
#include "crypto/secret.h"

#include "crypto/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define CANARY_LEN 16
#define SLOT_ROOM 64
#define SLOT_BYTES (SLOT_ROOM + CANARY_LEN)
#define REGION_BYTES (32 * 1024) /* two of them fit into an RLIMIT_MEMLOCK of 64 KiB */
#define REGION_SLOTS (REGION_BYTES / SLOT_BYTES)
#define NO_SLOT UINT32_MAX

typedef struct region REGION;

struct secret {
    uint8_t *data;
    REGION *region; /* NULL: a mapping of its own */
    uint32_t len;
    uint32_t room; /* up to the canary; in a free slot, the next free one */
};

struct region {
    REGION *prev, *next; /* among the regions that have a free slot */
    uint8_t *map;        /* the first guard page */
    uint32_t used;
    uint32_t free;
    SECRET slots[REGION_SLOTS];
};

static struct {
    pthread_mutex_t lock; /* of all but the two counters */
    REGION *open;         /* regions that have a free slot */
    bool have_canary;
    uint8_t canary[CANARY_LEN];
    atomic_int unlocked;
    atomic_uint damage;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t
page_size(void)
{
    return ((size_t)sysconf(_SC_PAGESIZE));
}

static size_t
round_up(size_t len, size_t unit)
{
    return ((len + unit - 1) / unit * unit);
}

/*
 * map_guarded --
 *     Map len bytes, a multiple of the page size, between two guard pages. Returns the first of
 *     these, or NULL and the status.
 */
static uint8_t *
map_guarded(size_t len, STATUS *status)
{
    size_t page = page_size();
    uint8_t *map;
    int error, none = 0;

    map = mmap(NULL, len + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        status_set_errno(status, errno, "memory", "mmap of %zu bytes for a secret", len);
        return (NULL);
    }
    if (mprotect(map + page, len, PROT_READ | PROT_WRITE) != 0) {
        error = errno;
        (void)munmap(map, len + 2 * page);
        status_set_errno(status, error, "memory", "mprotect of memory for a secret");
        return (NULL);
    }
    /* Neither is worth refusing to start for; what mlock said is kept for whoever can warn. */
    if (mlock(map + page, len) != 0)
        (void)atomic_compare_exchange_strong(&memory.unlocked, &none, errno);
    (void)madvise(map + page, len, MADV_DONTDUMP);
    return (map);
}

static void
unmap_guarded(uint8_t *map, size_t len)
{
    (void)munmap(map, len + 2 * page_size());
}

static void
region_unlink(REGION *region)
{
    if (region->prev != NULL)
        region->prev->next = region->next;
    else
        memory.open = region->next;
    if (region->next != NULL)
        region->next->prev = region->prev;
}

static void
region_link(REGION *region)
{
    region->prev = NULL;
    region->next = memory.open;
    if (memory.open != NULL)
        memory.open->prev = region;
    memory.open = region;
}

/*
 * region_new --
 *     NULL and the status when there is no memory.
 */
static REGION *
region_new(STATUS *status)
{
    REGION *region;
    uint32_t i;

    if ((region = calloc(1, sizeof(*region))) == NULL) {
        status_set(status, STATUS_NO_MEMORY, "memory", "a region for secrets");
        return (NULL);
    }
    region->map = map_guarded(round_up(REGION_BYTES, page_size()), status);
    if (region->map == NULL) {
        free(region);
        return (NULL);
    }
    for (i = 0; i < REGION_SLOTS; i++) {
        region->slots[i].region = region;
        region->slots[i].data = region->map + page_size() + i * SLOT_BYTES;
        region->slots[i].room = i + 1 < REGION_SLOTS ? i + 1 : NO_SLOT;
    }
    return (region);
}

/*
 * new_small --
 *     Take a slot. Called with the lock.
 */
static SECRET *
new_small(STATUS *status)
{
    REGION *region = memory.open;
    SECRET *secret;

    if (region == NULL) {
        if ((region = region_new(status)) == NULL)
            return (NULL);
        region_link(region);
    }
    secret = &region->slots[region->free];
    region->free = secret->room;
    region->used++;
    if (region->free == NO_SLOT)
        region_unlink(region);
    secret->room = SLOT_ROOM;
    return (secret);
}

static SECRET *
new_large(size_t len, STATUS *status)
{
    SECRET *secret;
    uint8_t *map;
    size_t room = round_up(len, CANARY_LEN), bytes = round_up(room + CANARY_LEN, page_size());

    if ((secret = calloc(1, sizeof(*secret))) == NULL) {
        status_set(status, STATUS_NO_MEMORY, "memory", "a secret");
        return (NULL);
    }
    if ((map = map_guarded(bytes, status)) == NULL) {
        free(secret);
        return (NULL);
    }
    secret->data = map + page_size() + bytes - CANARY_LEN - room;
    secret->room = (uint32_t)room;
    return (secret);
}

int
secret_new(size_t len, SECRET **secretp, STATUS *status)
{
    SECRET *secret = NULL;

    *secretp = NULL;
    if (len == 0 || len > SECRET_MAX_BYTES)
        return (status_set(
          status, STATUS_INTERNAL, "secret-length", "a secret cannot have %zu bytes", len));

    (void)pthread_mutex_lock(&memory.lock);
    if (!memory.have_canary)
        memory.have_canary = random_bytes(memory.canary, CANARY_LEN, status) == 0;
    if (memory.have_canary)
        secret = len <= SLOT_ROOM ? new_small(status) : new_large(len, status);
    (void)pthread_mutex_unlock(&memory.lock);
    if (secret == NULL)
        return ((int)status->status_class);

    secret->len = (uint32_t)len;
    memcpy(secret->data + secret->room, memory.canary, CANARY_LEN);
    *secretp = secret;
    return (0);
}

int
secret_new_random(size_t len, SECRET **secretp, STATUS *status)
{
    int ret;

    if ((ret = secret_new(len, secretp, status)) != 0)
        return (ret);
    if ((ret = random_bytes((*secretp)->data, len, status)) != 0) {
        secret_free(*secretp);
        *secretp = NULL;
    }
    return (ret);
}

int
secret_new_copy(const void *data, size_t len, SECRET **secretp, STATUS *status)
{
    int ret;

    if ((ret = secret_new(len, secretp, status)) != 0)
        return (ret);
    memcpy((*secretp)->data, data, len);
    return (0);
}

static bool
is_damaged(const SECRET *secret)
{
    uint32_t i;
    uint8_t seen = 0;

    for (i = secret->len; i < secret->room; i++)
        seen |= secret->data[i];
    return (
      seen != 0 || CRYPTO_memcmp(secret->data + secret->room, memory.canary, CANARY_LEN) != 0);
}

void
secret_free(SECRET *secret)
{
    REGION *region;
    size_t bytes;

    if (secret == NULL)
        return;
    if (is_damaged(secret))
        atomic_fetch_add(&memory.damage, 1);
    secret_wipe(secret->data, secret->room + CANARY_LEN);

    if ((region = secret->region) == NULL) {
        bytes = round_up(secret->room + CANARY_LEN, page_size());
        unmap_guarded(secret->data + secret->room + CANARY_LEN - bytes - page_size(), bytes);
        free(secret);
        return;
    }
    (void)pthread_mutex_lock(&memory.lock);
    if (region->free == NO_SLOT)
        region_link(region);
    secret->room = region->free;
    secret->len = 0;
    region->free = (uint32_t)(secret - region->slots);
    if (--region->used == 0)
        region_unlink(region);
    else
        region = NULL;
    (void)pthread_mutex_unlock(&memory.lock);
    if (region != NULL) {
        unmap_guarded(region->map, round_up(REGION_BYTES, page_size()));
        free(region);
    }
}

uint8_t *
secret_data(SECRET *secret)
{
    return (secret->data);
}

const uint8_t *
secret_bytes(const SECRET *secret)
{
    return (secret->data);
}

size_t
secret_len(const SECRET *secret)
{
    return (secret->len);
}

void
secret_truncate(SECRET *secret, size_t len)
{
    if (len >= secret->len)
        return;
    secret_wipe(secret->data + len, secret->len - len);
    secret->len = (uint32_t)len;
}

bool
secret_equal(const SECRET *a, const SECRET *b)
{
    return (a->len == b->len && CRYPTO_memcmp(a->data, b->data, a->len) == 0);
}

void
secret_wipe(void *data, size_t len)
{
    explicit_bzero(data, len);
}

int
secret_unlocked_reason(void)
{
    return (atomic_load(&memory.unlocked));
}

unsigned
secret_damage(void)
{
    return (atomic_load(&memory.damage));
}
