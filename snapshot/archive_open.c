/*
 * snapshot/archive_open.c -- See archive_open.h.
 */
#include "snapshot/archive_open.h"

#include <archive.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

int
archive_open(int fd, struct archive **archivep, STATUS *status)
{
    struct archive *archive;
    const char *text;

    if ((*archivep = archive = archive_read_new()) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory to read an archive"));
    if (archive_read_support_format_tar(archive) == ARCHIVE_OK &&
        archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
        archive_read_support_filter_zstd(archive) == ARCHIVE_OK &&
        archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
        archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
        archive_read_support_filter_lz4(archive) == ARCHIVE_OK &&
        archive_read_open_fd(archive, fd, BLOCK_SIZE) >= ARCHIVE_WARN)
        return (0);
    text = archive_error_string(archive);
    return (status_set(status, STATUS_CORRUPT, "archive-read", "the archive cannot be read: %s",
      text == NULL ? "unknown" : text));
}
