/*
 * cli/block_damage.c -- See block_damage.h.
 */
#include "cli/block_damage.h"

#include "crypto/unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PEEK (BLOCK_UNIT_OFFSET + 4)
#define SIGNS_ENOUGH 4

static const uint8_t magic[4] = {'W', 'K', UNIT_FORMAT, UNIT_CIPHER_XAES_256_GCM};

static uint32_t
get_u32(const uint8_t *p)
{
    return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/*
 * How much of this looks like a page header and a block header before a unit, by its signs. An
 * encrypted page has six, a clear one five, and one damaged byte takes away one of them, or two with
 * the flags. Zeros have three.
 */
static unsigned
signs(const uint8_t *p, uint32_t allocation, uint64_t room)
{
    static const uint8_t zero[4];
    uint32_t disk_size = get_u32(p + 28), length = get_u32(p + 40);
    bool encrypted = (p[25] & BLOCK_PAGE_ENCRYPTED) != 0;

    return (
      /* the write generation's upper half */
      (memcmp(p + 12, zero, 4) == 0) +
      (p[24] >= BLOCK_TYPE_MANAGER && p[24] <= BLOCK_TYPE_ROW_LEAF && p[26] == 0) +
      (disk_size != 0 && disk_size % allocation == 0 && disk_size <= room) +
      ((p[36] & 0xfe) == 0 && memcmp(p + 37, zero, 3) == 0) +
      (encrypted && length > BLOCK_UNIT_OFFSET && length <= room) +
      (encrypted ? memcmp(p + BLOCK_UNIT_OFFSET, magic, 4) == 0 : p[25] < 0x10 && p[27] <= 1));
}

/*
 * An encrypted page says its size twice. Where the two differ one is damaged; the one that fits is
 * taken, and when neither does the block is a stale one that a newer one ends.
 */
static uint64_t
size_of(const uint8_t *p, uint32_t allocation, uint64_t room)
{
    uint64_t disk_size = get_u32(p + 28), length = get_u32(p + 40);

    if (disk_size != 0 && disk_size % allocation == 0 && disk_size <= room)
        return (disk_size);
    if (memcmp(p + BLOCK_UNIT_OFFSET, magic, sizeof(magic)) == 0 && length > BLOCK_UNIT_OFFSET &&
        length <= room)
        return ((length + allocation - 1) / allocation * allocation);
    return (disk_size % allocation == 0 && disk_size != 0 ? disk_size : allocation);
}

int
block_damage_find(int fd, const BLOCK_REGION *region, uint32_t allocation,
  int (*damage)(void *context, uint64_t offset, const char *text, STATUS *status), void *context,
  STATUS *status)
{
    uint8_t head[PEEK];
    uint64_t end = region->offset + region->length, offset, room, size;
    ssize_t n;
    int ret;

    if (region->zero)
        return (0);
    /* Regions start where a block could: on an allocation unit. */
    for (offset = region->offset; offset < end && end - offset >= allocation;) {
        if ((n = pread(fd, head, sizeof(head), (off_t)offset)) < 0)
            return (status_set_errno(
              status, errno, "damage-read", "reading at offset %llu", (unsigned long long)offset));
        if (n < (ssize_t)sizeof(head))
            return (0);
        room = end - offset;
        size = allocation;
        if (signs(head, allocation, room) >= SIGNS_ENOUGH &&
            (size = size_of(head, allocation, room)) <= room) {
            ret = damage(context, offset,
              "a block whose checksum does not fit: damage, or a write that a crash cut short",
              status);
            if (ret != 0)
                return (ret);
        } else
            size = allocation;
        offset += size;
    }
    return (0);
}
