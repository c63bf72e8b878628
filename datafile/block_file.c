/*
 * datafile/block_file.c -- Descriptor and single blocks of a WiredTiger file. See block_file.h.
 */
#include "datafile/block_file.h"

#include "common/crc32c.h"
#include "datafile/block_scan.h"
#include "datafile/walk_common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTOR_LEN 16
#define DESCRIPTOR_CHECKSUM 8

#define BLOCK_FLAG_WHOLE 0x01

bool
block_file_is(const uint8_t *start, size_t len)
{
    return (len >= 4 && le_get32(start) == BLOCK_MAGIC);
}

/*
 * The descriptor's CRC covers one allocation unit, with its own field as zero: of the sizes that
 * there can be, the one whose CRC fits is the one.
 */
static int
infer_allocation(BLOCK_FILE *file, uint32_t stored, STATUS *status)
{
    static const uint8_t zeros[4];
    const uint8_t *p;
    uint32_t crc;
    uint64_t done, size;
    size_t got, n;
    int ret;

    crc = 0;
    done = 0;
    for (size = BLOCK_ALLOCATION_MIN; size <= BLOCK_ALLOCATION_MAX && size <= file->size;
         size *= 2) {
        for (; done < size; done += n) {
            n = (size_t)(size - done);
            if (n > READER_CHUNK)
                n = READER_CHUNK;
            if ((ret = reader_view(&file->reader, done, n, &p, &got, status)) != 0)
                return (ret);
            if (got != n)
                return (0);
            if (done == 0) {
                crc = crc32c(0, p, DESCRIPTOR_CHECKSUM);
                crc = crc32c(crc, zeros, sizeof(zeros));
                crc =
                  crc32c(crc, p + DESCRIPTOR_CHECKSUM + 4, n - DESCRIPTOR_CHECKSUM - sizeof(zeros));
            } else
                crc = crc32c(crc, p, n);
        }
        if (crc == stored) {
            file->allocation_size = (uint32_t)size;
            file->descriptor_ok = true;
            return (0);
        }
    }
    return (0);
}

int
block_file_open(BLOCK_FILE *file, int fd, const char *name, bool tolerant, STATUS *status)
{
    const uint8_t *p;
    size_t got;
    bool current;
    int ret;

    memset(file, 0, sizeof(*file));
    if ((ret = reader_start(&file->reader, fd, name, status)) != 0)
        return (ret);
    file->size = file->reader.size;
    file->allocation_size = BLOCK_ALLOCATION_MIN;

    if ((ret = reader_peek(&file->reader, 0, DESCRIPTOR_LEN, &p, &got, status)) != 0)
        return (ret);
    current = false;
    if (got == DESCRIPTOR_LEN && block_file_is(p, got)) {
        current = le_get16(p + 4) == 1 && le_get16(p + 6) == 0;
        if ((ret = infer_allocation(file, le_get32(p + DESCRIPTOR_CHECKSUM), status)) != 0)
            return (ret);
    } else if (!tolerant)
        return (status_set(
          status, STATUS_CORRUPT, "block-magic", "%s is no block file of WiredTiger", name));
    if (file->descriptor_ok && !current && !tolerant)
        return (status_set(status, STATUS_CORRUPT, "block-version",
          "%s has a file format that is not known to this version", name));
    if (!file->descriptor_ok && !tolerant)
        return (status_set(status, STATUS_CORRUPT, "block-descriptor",
          "the first block of %s is damaged: its checksum fits no allocation size", name));
    return (0);
}

void
block_file_close(BLOCK_FILE *file)
{
    reader_stop(&file->reader);
    free(file->image);
    file->image = NULL;
}

bool
block_scan_header(
  const BLOCK_FILE *file, uint64_t offset, const uint8_t *head, BLOCK *blockp, bool *ordinaryp)
{
    memset(blockp, 0, sizeof(*blockp));
    blockp->offset = offset;
    blockp->record_number = le_get64(head);
    blockp->write_generation = le_get64(head + 8);
    blockp->mem_size = le_get32(head + 16);
    blockp->entries = le_get32(head + 20);
    blockp->page_type = head[24];
    blockp->page_flags = head[25];
    blockp->compressed = (head[25] & BLOCK_PAGE_COMPRESSED) != 0;
    blockp->encrypted = (head[25] & BLOCK_PAGE_ENCRYPTED) != 0;
    blockp->disk_size = le_get32(head + 28);
    blockp->checksum = le_get32(head + BLOCK_CHECKSUM_OFFSET);
    blockp->whole_checksum = (head[36] & BLOCK_FLAG_WHOLE) != 0;
    blockp->padding_zero = true;

    if (ordinaryp != NULL)
        *ordinaryp = head[24] >= BLOCK_TYPE_MANAGER && head[24] <= BLOCK_TYPE_ROW_LEAF &&
                     (head[25] & ~0x3f) == 0 && head[26] == 0 && head[27] <= 1 && head[36] <= 1 &&
                     head[37] == 0 && head[38] == 0 && head[39] == 0;

    return (blockp->disk_size != 0 && blockp->disk_size % file->allocation_size == 0 &&
            offset <= file->size && blockp->disk_size <= file->size - offset);
}

static int
count_cost(BLOCK_FILE *file, uint64_t cost, STATUS *status)
{
    file->wasted += cost;
    if (walk_common_cost_ok(file->wasted, file->size))
        return (0);
    return (status_set(status, STATUS_CORRUPT, "block-walk-cost",
      "%s holds so many false starts of blocks that looking at it would not end",
      file->reader.name));
}

int
block_scan_verify(BLOCK_FILE *file, uint64_t offset, bool *validp, BLOCK *blockp, STATUS *status)
{
    const uint8_t *p;
    uint64_t len;
    uint32_t crc;
    size_t got;
    bool complete, ordinary;
    int ret;

    *validp = false;
    if ((ret = reader_view(&file->reader, offset, BLOCK_CHECKSUM_SHORT, &p, &got, status)) != 0)
        return (ret);
    if (got < BLOCK_CHECKSUM_SHORT || !block_scan_header(file, offset, p, blockp, &ordinary))
        return (0);

    len = blockp->whole_checksum ? blockp->disk_size : BLOCK_CHECKSUM_SHORT;
    /*
     * In ciphertext any bytes can stand where a header would, so a large size is believed only with
     * a header such as the engine writes: else random bytes would cost a read of gigabytes each.
     */
    if (!ordinary && len > READER_VIEW_MAX)
        return (0);
    /* What is likely a block is brought into memory at once, so that its image is there too. */
    if (ordinary && len <= READER_VIEW_MAX &&
        (ret = reader_view(&file->reader, offset, (size_t)len, &p, &got, status)) != 0)
        return (ret);
    if ((ret = reader_checksum(
           &file->reader, offset, len, BLOCK_CHECKSUM_OFFSET, &complete, &crc, status)) != 0)
        return (ret);
    *validp = complete && crc == blockp->checksum;
    blockp->verified = *validp;
    return (*validp ? 0 : count_cost(file, len, status));
}

void
block_scan_unit(const BLOCK_FILE *file, BLOCK *blockp)
{
    size_t end;

    if (!blockp->encrypted || blockp->image_have < BLOCK_UNIT_OFFSET)
        return;
    blockp->stored_length = le_get32(blockp->image + BLOCK_HEADERS_LEN);
    blockp->length_ok = blockp->stored_length >= BLOCK_UNIT_OFFSET &&
                        blockp->stored_length <= blockp->disk_size &&
                        blockp->disk_size - blockp->stored_length < file->allocation_size;
    if (!blockp->length_ok)
        return;
    blockp->unit = blockp->image + BLOCK_UNIT_OFFSET;
    blockp->unit_length = blockp->stored_length - BLOCK_UNIT_OFFSET;
    end = blockp->image_have < blockp->stored_length ? blockp->image_have : blockp->stored_length;
    blockp->unit_have = end - BLOCK_UNIT_OFFSET;
    if (blockp->image_have == blockp->disk_size)
        blockp->padding_zero = reader_all_zero(
          blockp->image + blockp->stored_length, blockp->disk_size - blockp->stored_length);
}

int
block_scan_image(BLOCK_FILE *file, BLOCK *blockp, STATUS *status)
{
    uint8_t *image;
    const uint8_t *p;
    uint64_t done;
    size_t got, n, want;
    int ret;

    want = blockp->disk_size < BLOCK_IMAGE_MAX ? blockp->disk_size : BLOCK_IMAGE_MAX;
    if (want <= READER_VIEW_MAX) {
        if ((ret = reader_view(&file->reader, blockp->offset, want, &blockp->image,
               &blockp->image_have, status)) != 0)
            return (ret);
    } else {
        /* Its checksum is good, so memory for it is no waste; it is given back with the next one. */
        free(file->image);
        if ((file->image = image = malloc(want)) == NULL)
            return (status_set_errno(status, ENOMEM, "no-memory",
              "cannot hold the block of %zu bytes at offset %llu of %s", want,
              (unsigned long long)blockp->offset, file->reader.name));
        for (done = 0; done < want; done += got) {
            n = want - done < READER_CHUNK ? (size_t)(want - done) : READER_CHUNK;
            if ((ret = reader_view(&file->reader, blockp->offset + done, n, &p, &got, status)) != 0)
                return (ret);
            if (got == 0)
                break;
            memcpy(image + done, p, got);
        }
        blockp->image = image;
        blockp->image_have = (size_t)done;
    }
    block_scan_unit(file, blockp);
    return (0);
}

int
block_file_read(BLOCK_FILE *file, uint64_t offset, BLOCK *blockp, STATUS *status)
{
    bool valid;
    int ret;

    memset(blockp, 0, sizeof(*blockp));
    valid = false;
    if (offset % file->allocation_size == 0 && offset >= file->allocation_size)
        if ((ret = block_scan_verify(file, offset, &valid, blockp, status)) != 0)
            return (ret);
    if (!valid) {
        memset(blockp, 0, sizeof(*blockp));
        return (status_set(status, STATUS_CORRUPT, "block-invalid",
          "no valid block starts at offset %llu of %s", (unsigned long long)offset,
          file->reader.name));
    }
    return (block_scan_image(file, blockp, status));
}
