/*
 * cli/block_damage.c -- See block_damage.h.
 */
#include "cli/block_damage.h"

#include "cli/output.h"
#include "crypto/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEEK (BLOCK_UNIT_OFFSET + 4)
#define SIGNS_ENOUGH 4
#define PIECES_MAX 4096

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

/* Look for starts of blocks in a piece; each may reach to the end of the stretch. *nextp is behind the
 * piece, or behind a block that reached further. */
static int
find_in_piece(int fd, const BLOCK_REGION *piece, uint64_t start, uint64_t stretch_end,
  uint32_t allocation, uint64_t *nextp,
  int (*damage)(void *context, uint64_t offset, const char *text, STATUS *status), void *context,
  STATUS *status)
{
    uint8_t head[PEEK];
    uint64_t end = piece->offset + piece->length, offset, room, size;
    ssize_t n;
    int ret;

    /* Pieces start where a block could: on an allocation unit. */
    for (offset = start; offset < end && stretch_end - offset >= allocation; offset += size) {
        if ((n = pread(fd, head, sizeof(head), (off_t)offset)) < 0)
            return (status_set_errno(
              status, errno, "damage-read", "reading at offset %llu", (unsigned long long)offset));
        if (n < (ssize_t)sizeof(head))
            break;
        room = stretch_end - offset;
        size = allocation;
        if (signs(head, allocation, room) < SIGNS_ENOUGH ||
            (size = size_of(head, allocation, room)) > room) {
            size = allocation;
            continue;
        }
        ret = damage(context, offset,
          "a block whose checksum does not fit: damage, or a write that a crash cut short", status);
        if (ret != 0)
            return (ret);
    }
    *nextp = offset;
    return (0);
}

int
block_damage_find(int fd, const BLOCK_REGION *region, uint32_t allocation,
  int (*damage)(void *context, uint64_t offset, const char *text, STATUS *status), void *context,
  STATUS *status)
{
    uint64_t next;

    if (region->zero)
        return (0);
    return (find_in_piece(fd, region, region->offset, region->offset + region->length, allocation,
      &next, damage, context, status));
}

static int
look_at_stretch(BLOCK_DAMAGE *damage, STATUS *status)
{
    const BLOCK_REGION *piece;
    uint64_t next = 0;
    size_t i;
    int ret = 0;

    for (i = 0; ret == 0 && i < damage->count; i++) {
        piece = &damage->pieces[i];
        if (next >= piece->offset + piece->length)
            continue;
        ret = find_in_piece(damage->fd, piece, next > piece->offset ? next : piece->offset,
          damage->stretch_end, damage->allocation, &next, damage->damage, damage->context, status);
    }
    damage->count = 0;
    return (ret);
}

int
block_damage_add(BLOCK_DAMAGE *damage, const BLOCK_REGION *region, STATUS *status)
{
    int ret;

    /* Made to need memory: what reaches beyond is then not seen, as if a block were there. */
    if ((region->offset != damage->stretch_end || damage->count == PIECES_MAX) &&
        (ret = look_at_stretch(damage, status)) != 0)
        return (ret);
    damage->stretch_end = region->offset + region->length;
    if (region->zero)
        return (0);
    if (damage->count == damage->room) {
        damage->room = damage->room == 0 ? 16 : damage->room * 2;
        damage->pieces = output_grow(damage->pieces, damage->room, sizeof(*damage->pieces));
    }
    damage->pieces[damage->count++] = *region;
    return (0);
}

int
block_damage_end(BLOCK_DAMAGE *damage, STATUS *status)
{
    int ret = look_at_stretch(damage, status);

    free(damage->pieces);
    damage->pieces = NULL;
    damage->room = 0;
    return (ret);
}
