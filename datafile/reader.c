/*
 * datafile/reader.c -- A window over a file. See reader.h.
 */
#include "datafile/reader.h"

#include "common/crc32c.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
reader_start(READER *reader, int fd, const char *name, STATUS *status)
{
    struct stat st;

    memset(reader, 0, sizeof(*reader));
    if (fstat(fd, &st) != 0)
        return (status_set_errno(status, errno, "file-stat", "cannot look at %s", name));
    reader->fd = fd;
    reader->name = name;
    reader->size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    return (0);
}

void
reader_stop(READER *reader)
{
    free(reader->window);
    reader->window = NULL;
    reader->window_room = reader->window_len = 0;
}

static int
fill(READER *reader, uint64_t offset, size_t len, STATUS *status)
{
    uint8_t *grown;
    ssize_t n;

    reader->window_len = 0;
    if (len > reader->window_room) {
        /* What was in it is not kept, so it is not copied. */
        free(reader->window);
        reader->window = NULL;
        reader->window_room = 0;
        if ((grown = malloc(len)) == NULL)
            return (status_set_errno(
              status, ENOMEM, "no-memory", "cannot hold %zu bytes of %s", len, reader->name));
        reader->window = grown;
        reader->window_room = len;
    }
    reader->window_offset = offset;
    while (reader->window_len < len) {
        n = pread(reader->fd, reader->window + reader->window_len, len - reader->window_len,
          (off_t)(offset + reader->window_len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return (status_set_errno(status, errno, "file-read", "cannot read %s at offset %llu",
              reader->name, (unsigned long long)(offset + reader->window_len)));
        if (n == 0)
            break;
        reader->window_len += (size_t)n;
    }
    return (0);
}

static int
view(READER *reader, uint64_t offset, size_t len, size_t ahead, const uint8_t **viewp, size_t *lenp,
  STATUS *status)
{
    uint64_t left;
    int ret;

    *viewp = NULL;
    *lenp = 0;
    if (offset >= reader->size)
        return (0);
    left = reader->size - offset;
    if (len > left)
        len = (size_t)left;
    if (ahead < len)
        ahead = len;
    if (ahead > left)
        ahead = (size_t)left;
    if (offset < reader->window_offset || offset - reader->window_offset > reader->window_len ||
        len > reader->window_len - (size_t)(offset - reader->window_offset)) {
        if ((ret = fill(reader, offset, ahead, status)) != 0)
            return (ret);
        if (len > reader->window_len)
            len = reader->window_len;
    }
    *viewp = reader->window + (offset - reader->window_offset);
    *lenp = len;
    return (0);
}

int
reader_view(
  READER *reader, uint64_t offset, size_t len, const uint8_t **viewp, size_t *lenp, STATUS *status)
{
    return (view(reader, offset, len, READER_CHUNK, viewp, lenp, status));
}

int
reader_peek(
  READER *reader, uint64_t offset, size_t len, const uint8_t **viewp, size_t *lenp, STATUS *status)
{
    return (view(reader, offset, len, len, viewp, lenp, status));
}

int
reader_checksum(READER *reader, uint64_t offset, uint64_t len, unsigned hole, bool *completep,
  uint32_t *crcp, STATUS *status)
{
    static const uint8_t zeros[4];
    const uint8_t *p;
    uint64_t done;
    uint32_t crc;
    size_t got, n;
    int ret;

    *completep = false;
    *crcp = 0;
    for (crc = 0, done = 0; done < len; done += n) {
        /* The parts: what comes before the hole, the hole, the rest in chunks. */
        if (done < hole)
            n = hole;
        else if (done == hole)
            n = sizeof(zeros);
        else
            n = READER_CHUNK;
        if (n > len - done)
            n = (size_t)(len - done);
        if ((ret = reader_view(reader, offset + done, n, &p, &got, status)) != 0)
            return (ret);
        if (got != n)
            return (0);
        crc = crc32c(crc, done == hole ? zeros : p, n);
    }
    *completep = true;
    *crcp = crc;
    return (0);
}

uint64_t
reader_skip_hole(const READER *reader, uint64_t offset, uint64_t align)
{
    off_t data;

    data = lseek(reader->fd, (off_t)offset, SEEK_DATA);
    if (data < 0)
        return (errno == ENXIO ? reader->size : offset);
    if ((uint64_t)data <= offset)
        return (offset);
    return ((uint64_t)data - (uint64_t)data % align);
}

bool
reader_all_zero(const uint8_t *data, size_t len)
{
    return (len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0));
}
