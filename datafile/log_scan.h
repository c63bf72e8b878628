/*
 * datafile/log_scan.h -- Does a record start here? For log_file.c and log_walk.c only.
 *
 * Layer: datafile, for its own files.
 */
#ifndef WTKMS_DATAFILE_LOG_SCAN_H
#define WTKMS_DATAFILE_LOG_SCAN_H

#include "datafile/log_file.h"

/*
 * log_scan_plausible -- Whether a record's header (LOG_RECORD_HEADER_LEN bytes) is one that the engine
 *     could have written.
 */
bool log_scan_plausible(const uint8_t *header);

/*
 * log_scan_verify -- Whether a record starts at an offset, by its CRC; then *recordp is filled, with
 *     its image. STATUS_IO, STATUS_NO_MEMORY, STATUS_CORRUPT (cost).
 */
int log_scan_verify(
  LOG_FILE *file, uint64_t offset, bool *validp, LOG_RECORD *recordp, STATUS *status) WTKMS_CHECKED;

#endif
