/*
 * datafile/log_file.c -- Descriptor and single records of a log file. See log_file.h.
 */
#include "datafile/log_file.h"

#include "common/crc32c.h"
#include "datafile/extent_list.h"
#include "datafile/log_scan.h"
#include "datafile/walk_common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTOR_LEN 32
#define ALIGNMENT_MAX (1024u * 1024)
#define PADDING_LAST 0xab

#define RECORD_TYPE_SYSTEM 4
#define OPERATION_PREVIOUS_LSN 8

bool
log_file_is(const uint8_t *start, size_t len)
{
    return (len >= LOG_RECORD_HEADER_LEN + 4 &&
            le_get32(start + LOG_RECORD_HEADER_LEN) == LOG_FILE_MAGIC);
}

int
log_file_open(LOG_FILE *file, int fd, const char *name, bool tolerant, STATUS *status)
{
    const uint8_t *p;
    uint32_t crc, length;
    size_t got;
    bool complete;
    int ret;

    memset(file, 0, sizeof(*file));
    file->alignment = LOG_FILE_ALIGNMENT_MIN;
    if ((ret = reader_start(&file->reader, fd, name, status)) != 0)
        return (ret);
    file->size = file->reader.size;
    if ((ret = reader_peek(&file->reader, 0, DESCRIPTOR_LEN, &p, &got, status)) != 0)
        return (ret);
    if (!log_file_is(p, got)) {
        if (tolerant)
            return (0);
        return (
          status_set(status, STATUS_CORRUPT, "log-magic", "%s is no log file of WiredTiger", name));
    }
    if (got == DESCRIPTOR_LEN) {
        length = le_get32(p);
        crc = le_get32(p + LOG_RECORD_CHECKSUM_OFFSET);
        file->version = le_get16(p + 20);
        file->size_limit = le_get64(p + 24);
        complete = false;
        if (length >= LOG_FILE_ALIGNMENT_MIN && length <= ALIGNMENT_MAX &&
            (length & (length - 1)) == 0) {
            uint32_t found;

            if ((ret = reader_checksum(&file->reader, 0, length, LOG_RECORD_CHECKSUM_OFFSET,
                   &complete, &found, status)) != 0)
                return (ret);
            if (complete && found == crc) {
                file->alignment = length;
                file->descriptor_ok = true;
            }
        }
    }
    if (!file->descriptor_ok && !tolerant)
        return (status_set(status, STATUS_CORRUPT, "log-descriptor",
          "the first record of %s is damaged: its checksum does not fit", name));
    return (0);
}

void
log_file_close(LOG_FILE *file)
{
    reader_stop(&file->reader);
    free(file->image);
    file->image = NULL;
}

static bool
is_descriptor(const LOG_FILE *file, const LOG_RECORD *record)
{
    const uint8_t *p = record->image;

    return (record->offset == 0 && record->flags == 0 && record->mem_length == 0 &&
            record->length == file->alignment && le_get16(p + 10) == 0 &&
            log_file_is(p, record->length) && le_get16(p + 22) == 0 &&
            reader_all_zero(p + DESCRIPTOR_LEN, record->length - DESCRIPTOR_LEN));
}

/*
 * A system record with one operation, the previous LSN: packed type, packed operation, packed size of
 * the operation, packed file and offset, and zeros. Anything more could be rows.
 */
static bool
is_previous_lsn(const LOG_FILE *file, const LOG_RECORD *record)
{
    const uint8_t *end, *operation, *p;
    uint64_t lsn_file, lsn_offset, op, size, type;

    if (record->offset != file->alignment || record->flags != 0 || record->mem_length != 0 ||
        record->length != file->alignment || le_get16(record->image + 10) != 0)
        return (false);
    p = record->image + LOG_RECORD_HEADER_LEN;
    end = record->image + record->length;
    if (!extent_list_unpack(&p, end, &type) || type != RECORD_TYPE_SYSTEM)
        return (false);
    operation = p;
    return (extent_list_unpack(&p, end, &op) && op == OPERATION_PREVIOUS_LSN &&
            extent_list_unpack(&p, end, &size) && extent_list_unpack(&p, end, &lsn_file) &&
            extent_list_unpack(&p, end, &lsn_offset) && size == (uint64_t)(p - operation) &&
            lsn_file <= UINT32_MAX && lsn_offset <= UINT32_MAX &&
            reader_all_zero(p, (size_t)(end - p)));
}

static void
find_unit(const LOG_FILE *file, LOG_RECORD *record)
{
    size_t padding;

    if (record->length < LOG_RECORD_UNIT_OFFSET)
        return;
    record->stored_length = le_get32(record->image + LOG_RECORD_HEADER_LEN);
    record->length_ok = record->stored_length >= LOG_RECORD_UNIT_OFFSET &&
                        record->stored_length <= record->length &&
                        record->length - record->stored_length < file->alignment;
    if (!record->length_ok)
        return;
    record->unit = record->image + LOG_RECORD_UNIT_OFFSET;
    record->unit_length = record->stored_length - LOG_RECORD_UNIT_OFFSET;
    padding = record->length - record->stored_length;
    if (padding > 0 && record->image[record->length - 1] == PADDING_LAST)
        padding--;
    record->padding_ok = reader_all_zero(record->image + record->stored_length, padding);
}

static int
load_image(LOG_FILE *file, LOG_RECORD *record, STATUS *status)
{
    const uint8_t *p;
    size_t done, got, n;
    int ret;

    if (record->length <= READER_VIEW_MAX) {
        if ((ret = reader_view(
               &file->reader, record->offset, record->length, &record->image, &got, status)) != 0)
            return (ret);
        done = got;
    } else {
        free(file->image);
        if ((file->image = malloc(record->length)) == NULL)
            return (status_set_errno(status, ENOMEM, "no-memory",
              "cannot hold the record of %u bytes at offset %llu of %s", record->length,
              (unsigned long long)record->offset, file->reader.name));
        for (done = 0; done < record->length; done += got) {
            n = record->length - done < READER_CHUNK ? record->length - done : READER_CHUNK;
            if ((ret = reader_view(&file->reader, record->offset + done, n, &p, &got, status)) != 0)
                return (ret);
            if (got == 0)
                break;
            memcpy(file->image + done, p, got);
        }
        record->image = file->image;
    }
    if (done != record->length)
        return (status_set(status, STATUS_IO, "file-shrank", "%s became shorter while it was read",
          file->reader.name));
    return (0);
}

bool
log_scan_plausible(const uint8_t *header)
{
    uint16_t flags = le_get16(header + 8);

    return (le_get32(header) > LOG_RECORD_HEADER_LEN &&
            (flags & ~(LOG_RECORD_FLAG_COMPRESSED | LOG_RECORD_FLAG_ENCRYPTED)) == 0 &&
            le_get16(header + 10) == 0 && (flags != 0 || le_get32(header + 12) == 0));
}

int
log_scan_verify(LOG_FILE *file, uint64_t offset, bool *validp, LOG_RECORD *recordp, STATUS *status)
{
    const uint8_t *p;
    uint32_t crc, stored;
    size_t got;
    bool complete, plausible;
    int ret;

    *validp = false;
    memset(recordp, 0, sizeof(*recordp));
    if ((ret = reader_view(&file->reader, offset, LOG_RECORD_HEADER_LEN, &p, &got, status)) != 0)
        return (ret);
    if (got < LOG_RECORD_HEADER_LEN)
        return (0);
    recordp->offset = offset;
    recordp->length = le_get32(p);
    recordp->flags = le_get16(p + 8);
    recordp->mem_length = le_get32(p + 12);
    stored = le_get32(p + LOG_RECORD_CHECKSUM_OFFSET);
    plausible = log_scan_plausible(p);
    if (recordp->length <= LOG_RECORD_HEADER_LEN || recordp->length > file->size - offset ||
        (!plausible && recordp->length > READER_VIEW_MAX))
        return (0);
    if ((ret = reader_checksum(&file->reader, offset, recordp->length, LOG_RECORD_CHECKSUM_OFFSET,
           &complete, &crc, status)) != 0)
        return (ret);
    if (!complete || crc != stored) {
        file->wasted += recordp->length;
        if (walk_common_cost_ok(file->wasted, file->size))
            return (0);
        return (status_set(status, STATUS_CORRUPT, "log-walk-cost",
          "%s holds so many false starts of records that looking at it would not end",
          file->reader.name));
    }
    if ((ret = load_image(file, recordp, status)) != 0)
        return (ret);
    *validp = true;
    if ((recordp->flags & LOG_RECORD_FLAG_ENCRYPTED) != 0) {
        recordp->kind = LOG_RECORD_ENCRYPTED;
        find_unit(file, recordp);
    } else if (is_descriptor(file, recordp))
        recordp->kind = LOG_RECORD_DESCRIPTOR;
    else if (is_previous_lsn(file, recordp))
        recordp->kind = LOG_RECORD_PREVIOUS_LSN;
    else
        recordp->kind = LOG_RECORD_CLEAR;
    return (0);
}
