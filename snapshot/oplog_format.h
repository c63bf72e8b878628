/*
 * snapshot/oplog_format.h -- The form of a sealed oplog archive, and the chain that binds it together.
 *
 * Layer: snapshot. Pure: bytes in, bytes out; no files, no key service. Described for other readers in
 * doc/oplog-format.md. Numbers are little-endian.
 *
 *   head      0  8 "WTKMSOPL"   8 4 version, 1   12 4 length n of the keystore   16 n keystore
 *   then segments, each begun by one run of the writer:
 *   segment   0  4 "WKOS"   4 4 number, from 0   8 8 when, ms since 1970   16 32 salt   48 4 CRC32C
 *   frame     0  4 "WKOF"   4 1 kind   5 3 zero   8 4 number in its segment, from 0
 *            12  4 length n of the ciphertext   16 4 length before compression   20 4 documents
 *            24  8 first timestamp   32 8 last timestamp   40 4 CRC32C
 *            44  n ciphertext   44+n 16 tag
 *
 * A timestamp is BSON's: seconds since 1970 in the upper half, an increment in the lower one.
 */
#ifndef WTKMS_SNAPSHOT_OPLOG_FORMAT_H
#define WTKMS_SNAPSHOT_OPLOG_FORMAT_H

#include "common/status.h"
#include "crypto/mac.h"
#include "crypto/secret.h"
#include "crypto/xaes.h"

#include <stddef.h>
#include <stdint.h>

#define OPLOG_MAGIC "WTKMSOPL"
#define OPLOG_MAGIC_LEN 8
#define OPLOG_VERSION 1
#define OPLOG_HEAD_LEN 16
#define OPLOG_KEYSTORE_MAX (1024 * 1024)
#define OPLOG_SALT_LEN 32
#define OPLOG_SEGMENT_LEN 52
#define OPLOG_FRAME_LEN 44
#define OPLOG_TAG_LEN XAES_TAG_LEN
#define OPLOG_COUNTS_LEN 40 /* of a closing frame */

#define OPLOG_BATCH_BYTES (1024 * 1024)                   /* a data frame is full from here on */
#define OPLOG_DOCUMENT_MAX (16 * 1024 * 1024 + 16 * 1024) /* what a server lets one be */
#define OPLOG_RAW_MAX (OPLOG_BATCH_BYTES + OPLOG_DOCUMENT_MAX)
#define OPLOG_SEALED_MAX (OPLOG_RAW_MAX + OPLOG_RAW_MAX / 128) /* above ZSTD_COMPRESSBOUND */

typedef enum {
    OPLOG_DATA = 1, /* documents, compressed as one zstd frame */
    OPLOG_CLOSE = 2 /* OPLOG_COUNTS: the writer came to the end of its input */
} OPLOG_KIND;

typedef struct {
    OPLOG_KIND kind;
    uint32_t number;
    uint32_t sealed_len;
    uint32_t raw_len;
    uint32_t documents;
    uint64_t first, last;
} OPLOG_FRAME;

typedef struct {
    uint32_t number;
    int64_t time;
    uint8_t salt[OPLOG_SALT_LEN];
} OPLOG_SEGMENT;

/* What a closing frame says: of its segment, and of the archive up to its end. */
typedef struct {
    uint64_t frames, documents, bytes;
    uint64_t all_documents, all_bytes;
} OPLOG_COUNTS;

/* oplog_head_put -- Write the bytes before the keystore. */
void oplog_head_put(size_t keystore_len, uint8_t out[OPLOG_HEAD_LEN]);
/* oplog_head_get -- The keystore's length, 1..OPLOG_KEYSTORE_MAX. STATUS_CORRUPT "oplog-head" when these are
 * not the first bytes of an archive, STATUS_REFUSED for a later version. */
int oplog_head_get(
  const uint8_t in[OPLOG_HEAD_LEN], size_t *keystore_lenp, STATUS *status) WTKMS_CHECKED;

/* oplog_segment_put, oplog_segment_get -- Write and read a segment's header. STATUS_CORRUPT. */
void oplog_segment_put(const OPLOG_SEGMENT *segment, uint8_t out[OPLOG_SEGMENT_LEN]);
int oplog_segment_get(
  const uint8_t in[OPLOG_SEGMENT_LEN], OPLOG_SEGMENT *segment, STATUS *status) WTKMS_CHECKED;

/* oplog_frame_put -- Write a frame's header. */
void oplog_frame_put(const OPLOG_FRAME *frame, uint8_t out[OPLOG_FRAME_LEN]);
/* oplog_frame_get -- Read and hold to its limits: kind, lengths, times in order. STATUS_CORRUPT. */
int oplog_frame_get(
  const uint8_t in[OPLOG_FRAME_LEN], OPLOG_FRAME *frame, STATUS *status) WTKMS_CHECKED;

/* oplog_counts_put, oplog_counts_get -- The plaintext of a closing frame. */
void oplog_counts_put(const OPLOG_COUNTS *counts, uint8_t out[OPLOG_COUNTS_LEN]);
void oplog_counts_get(const uint8_t in[OPLOG_COUNTS_LEN], OPLOG_COUNTS *counts);

/* oplog_is_segment, oplog_is_frame -- By their first four bytes. */
int oplog_is_segment(const uint8_t in[4]);
int oplog_is_frame(const uint8_t in[4]);

/*
 * Where a reader or writer stands: the additional data of the next frame are the digest of the head, the
 * segment's header, the tag of the frame before (zeros before the first), and the frame's header.
 * Each segment has a key of its own, HKDF of the archive's key with the segment's salt; the nonce
 * is the frame's number.
 */
typedef struct {
    uint8_t head[MAC_LEN];
    uint8_t segment[OPLOG_SEGMENT_LEN];
    uint8_t tag[OPLOG_TAG_LEN];
    SECRET *key; /* of the segment; NULL before the first and when nothing is decrypted */
} OPLOG_CHAIN;

/* oplog_chain_start -- head is the head with its keystore. oplog_chain_release wipes. */
int oplog_chain_start(
  OPLOG_CHAIN *chain, const uint8_t *head, size_t len, STATUS *status) WTKMS_CHECKED;
void oplog_chain_release(OPLOG_CHAIN *chain);

/* oplog_chain_segment -- Go on in a segment; archive_key NULL: without decrypting. */
int oplog_chain_segment(OPLOG_CHAIN *chain, const SECRET *archive_key,
  const uint8_t header[OPLOG_SEGMENT_LEN], STATUS *status) WTKMS_CHECKED;

/* oplog_chain_seal -- Encrypt len bytes; out receives header, ciphertext and tag. frame->sealed_len is len. */
int oplog_chain_seal(OPLOG_CHAIN *chain, const OPLOG_FRAME *frame, const uint8_t *data, size_t len,
  uint8_t *out, STATUS *status) WTKMS_CHECKED;

/* oplog_chain_open -- Authenticate and decrypt frame->sealed_len bytes and the tag at in; out receives the
 * plaintext. STATUS_CORRUPT "oplog-tag". */
int oplog_chain_open(OPLOG_CHAIN *chain, const OPLOG_FRAME *frame,
  const uint8_t header[OPLOG_FRAME_LEN], const uint8_t *in, uint8_t *out,
  STATUS *status) WTKMS_CHECKED;

#endif
