/*
 * test/engine/blocks.c -- Single blocks of a file. See blocks.h.
 */
#include "test/engine/blocks.h"
#include "test/engine/engine.h"

#include <fcntl.h>

#define ALLOCATION 4096
#define PAGE_TYPE 24
#define PAGE_FLAGS 25
#define PAGE_ENCRYPTED 0x08
#define BLOCK_SIZE 28
#define BLOCK_CRC 32
#define BLOCK_FLAGS 36
#define BLOCK_WHOLE 0x01
#define UNIT 44
#define UNIT_BALANCE (UNIT + 12)
#define ROW_LEAF 7

static uint32_t
get32(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return (v);
}

static void
put32(unsigned char *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

/* CRC32C, bit by bit: a test's own, not the one that the product uses. */
static uint32_t
crc32c(const unsigned char *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    size_t i;
    int bit;

    for (i = 0; i < size; i++) {
        crc ^= data[i];
        for (bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78U & (0U - (crc & 1)));
    }
    return (~crc);
}

/* Over the whole block with the checksum field as zero. */
static uint32_t
compute(BLOCK *block)
{
    uint32_t crc, stored = get32(block->data + BLOCK_CRC);

    put32(block->data + BLOCK_CRC, 0);
    crc = crc32c(block->data, block->size);
    put32(block->data + BLOCK_CRC, stored);
    return (crc);
}

uint32_t
block_checksum(const BLOCK *block)
{
    return (get32(block->data + BLOCK_CRC));
}

void
block_read(const char *dir, const char *name, unsigned nth, BLOCK *block)
{
    FILE *fp;
    unsigned char head[UNIT + 4];
    unsigned seen = 0;
    char path[PATH_MAX];

    memset(block, 0, sizeof(*block));
    path_join(path, sizeof(path), dir, name);
    REQUIRE((fp = fopen(path, "rb")) != NULL);
    for (block->offset = ALLOCATION; fseeko(fp, block->offset, SEEK_SET) == 0 &&
                                     fread(head, 1, sizeof(head), fp) == sizeof(head);
         block->offset += ALLOCATION) {
        block->size = get32(head + BLOCK_SIZE);
        if (head[PAGE_TYPE] != ROW_LEAF || (head[PAGE_FLAGS] & PAGE_ENCRYPTED) == 0 ||
            memcmp(head + UNIT, "WK", 2) != 0 || block->size % ALLOCATION != 0 ||
            (head[BLOCK_FLAGS] & BLOCK_WHOLE) == 0 || seen++ != nth)
            continue;
        REQUIRE((block->data = malloc(block->size)) != NULL);
        REQUIRE(fseeko(fp, block->offset, SEEK_SET) == 0);
        REQUIRE(fread(block->data, 1, block->size, fp) == block->size);
        (void)fclose(fp);
        CU_ASSERT_EQUAL_FATAL(compute(block), block_checksum(block));
        return;
    }
    (void)fclose(fp);
    CU_FAIL_FATAL("not so many encrypted leaf pages in the file");
}

void
block_write(const char *dir, const char *name, const BLOCK *block)
{
    int fd;
    char path[PATH_MAX];

    path_join(path, sizeof(path), dir, name);
    REQUIRE((fd = open(path, O_WRONLY | O_CLOEXEC)) >= 0);
    REQUIRE(pwrite(fd, block->data, block->size, block->offset) == (ssize_t)block->size);
    REQUIRE(close(fd) == 0);
}

void
block_free(BLOCK *block)
{
    free(block->data);
    block->data = NULL;
}

/*
 * The checksum is linear: each of the 32 bits changes it by a fixed pattern. Gauss-Jordan over these
 * says which bits to turn.
 */
void
block_balance(BLOCK *block, uint32_t checksum)
{
    uint32_t base, bits[32], patterns[32], swap, turn = 0, wanted;
    int column, i, row;

    put32(block->data + UNIT_BALANCE, 0);
    base = compute(block);
    for (i = 0; i < 32; i++) {
        put32(block->data + UNIT_BALANCE, 1U << i);
        patterns[i] = compute(block) ^ base;
        bits[i] = 1U << i;
    }
    wanted = checksum ^ base;
    for (column = 0, row = 0; column < 32; column++) {
        for (i = row; i < 32 && (patterns[i] >> column & 1) == 0; i++)
            ;
        if (i == 32)
            continue;
        swap = patterns[i], patterns[i] = patterns[row], patterns[row] = swap;
        swap = bits[i], bits[i] = bits[row], bits[row] = swap;
        for (i = 0; i < 32; i++)
            if (i != row && (patterns[i] >> column & 1) != 0) {
                patterns[i] ^= patterns[row];
                bits[i] ^= bits[row];
            }
        row++;
    }
    /* Each pattern that is left is one bit of the checksum. */
    for (i = 0; i < 32; i++)
        if ((wanted & patterns[i]) != 0)
            turn ^= bits[i];
    put32(block->data + UNIT_BALANCE, turn);
    put32(block->data + BLOCK_CRC, checksum);
    CU_ASSERT_EQUAL_FATAL(compute(block), checksum);
}
