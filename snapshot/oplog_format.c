/*
 * snapshot/oplog_format.c -- Headers of a sealed oplog archive and their chain. See oplog_format.h.
 */
#include "snapshot/oplog_format.h"

#include "common/crc32c.h"

#include <inttypes.h>
#include <string.h>

#define SEGMENT_MAGIC "WKOS"
#define FRAME_MAGIC "WKOF"
#define SEGMENT_LABEL "wtkms/1/oplog/segment"
#define AAD_LEN (MAC_LEN + OPLOG_SEGMENT_LEN + OPLOG_TAG_LEN + OPLOG_FRAME_LEN)

static void
put(uint8_t *p, uint64_t value, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t
get(const uint8_t *p, size_t len)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < len; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return (value);
}

/* --- headers */

void
oplog_head_put(size_t keystore_len, uint8_t out[OPLOG_HEAD_LEN])
{
    memcpy(out, OPLOG_MAGIC, OPLOG_MAGIC_LEN);
    put(out + 8, OPLOG_VERSION, 4);
    put(out + 12, keystore_len, 4);
}

int
oplog_head_get(const uint8_t in[OPLOG_HEAD_LEN], size_t *keystore_lenp, STATUS *status)
{
    uint64_t version = get(in + 8, 4);

    *keystore_lenp = (size_t)get(in + 12, 4);
    if (memcmp(in, OPLOG_MAGIC, OPLOG_MAGIC_LEN) != 0)
        return (status_set(status, STATUS_CORRUPT, "oplog-head", "this is no oplog archive"));
    if (version > OPLOG_VERSION) {
        (void)status_set(status, STATUS_REFUSED, "oplog-version",
          "an oplog archive of version %" PRIu64 "; this program knows %d", version, OPLOG_VERSION);
        return (status_hint(status, "use a later wtkms"));
    }
    if (version != OPLOG_VERSION || *keystore_lenp == 0 || *keystore_lenp > OPLOG_KEYSTORE_MAX)
        return (status_set(
          status, STATUS_CORRUPT, "oplog-head", "the head of this oplog archive is damaged"));
    return (0);
}

int
oplog_is_segment(const uint8_t in[4])
{
    return (memcmp(in, SEGMENT_MAGIC, 4) == 0);
}

int
oplog_is_frame(const uint8_t in[4])
{
    return (memcmp(in, FRAME_MAGIC, 4) == 0);
}

void
oplog_segment_put(const OPLOG_SEGMENT *segment, uint8_t out[OPLOG_SEGMENT_LEN])
{
    memcpy(out, SEGMENT_MAGIC, 4);
    put(out + 4, segment->number, 4);
    put(out + 8, (uint64_t)segment->time, 8);
    memcpy(out + 16, segment->salt, OPLOG_SALT_LEN);
    put(out + 48, crc32c(0, out, 48), 4);
}

int
oplog_segment_get(const uint8_t in[OPLOG_SEGMENT_LEN], OPLOG_SEGMENT *segment, STATUS *status)
{
    if (!oplog_is_segment(in) || get(in + 48, 4) != crc32c(0, in, 48))
        return (
          status_set(status, STATUS_CORRUPT, "oplog-segment", "a segment's header is damaged"));
    segment->number = (uint32_t)get(in + 4, 4);
    segment->time = (int64_t)get(in + 8, 8);
    memcpy(segment->salt, in + 16, OPLOG_SALT_LEN);
    return (0);
}

void
oplog_frame_put(const OPLOG_FRAME *frame, uint8_t out[OPLOG_FRAME_LEN])
{
    memcpy(out, FRAME_MAGIC, 4);
    put(out + 4, frame->kind, 4);
    put(out + 8, frame->number, 4);
    put(out + 12, frame->sealed_len, 4);
    put(out + 16, frame->raw_len, 4);
    put(out + 20, frame->documents, 4);
    put(out + 24, frame->first, 8);
    put(out + 32, frame->last, 8);
    put(out + 40, crc32c(0, out, 40), 4);
}

static int
frame_is_sound(const OPLOG_FRAME *frame)
{
    if (frame->first > frame->last)
        return (0);
    if (frame->kind == OPLOG_CLOSE)
        return (frame->sealed_len == OPLOG_COUNTS_LEN && frame->raw_len == OPLOG_COUNTS_LEN &&
                frame->documents == 0);
    /* The smallest entry is a document with a timestamp alone; 5 bytes is the least of any. */
    return (frame->kind == OPLOG_DATA && frame->sealed_len > 0 &&
            frame->sealed_len <= OPLOG_SEALED_MAX && frame->raw_len <= OPLOG_RAW_MAX &&
            frame->documents > 0 && frame->documents <= frame->raw_len / 5);
}

int
oplog_frame_get(const uint8_t in[OPLOG_FRAME_LEN], OPLOG_FRAME *frame, STATUS *status)
{
    uint64_t kind = get(in + 4, 4);

    frame->kind = kind == OPLOG_CLOSE ? OPLOG_CLOSE : OPLOG_DATA;
    frame->number = (uint32_t)get(in + 8, 4);
    frame->sealed_len = (uint32_t)get(in + 12, 4);
    frame->raw_len = (uint32_t)get(in + 16, 4);
    frame->documents = (uint32_t)get(in + 20, 4);
    frame->first = get(in + 24, 8);
    frame->last = get(in + 32, 8);
    if (!oplog_is_frame(in) || get(in + 40, 4) != crc32c(0, in, 40) ||
        kind != (uint64_t)frame->kind || !frame_is_sound(frame))
        return (status_set(status, STATUS_CORRUPT, "oplog-frame", "a frame's header is damaged"));
    return (0);
}

void
oplog_counts_put(const OPLOG_COUNTS *counts, uint8_t out[OPLOG_COUNTS_LEN])
{
    put(out, counts->frames, 8);
    put(out + 8, counts->documents, 8);
    put(out + 16, counts->bytes, 8);
    put(out + 24, counts->all_documents, 8);
    put(out + 32, counts->all_bytes, 8);
}

void
oplog_counts_get(const uint8_t in[OPLOG_COUNTS_LEN], OPLOG_COUNTS *counts)
{
    counts->frames = get(in, 8);
    counts->documents = get(in + 8, 8);
    counts->bytes = get(in + 16, 8);
    counts->all_documents = get(in + 24, 8);
    counts->all_bytes = get(in + 32, 8);
}

/* --- the chain */

int
oplog_chain_start(OPLOG_CHAIN *chain, const uint8_t *head, size_t len, STATUS *status)
{
    memset(chain, 0, sizeof(*chain));
    return (mac_sha256(head, len, chain->head, status));
}

void
oplog_chain_release(OPLOG_CHAIN *chain)
{
    secret_free(chain->key);
    chain->key = NULL;
}

int
oplog_chain_segment(OPLOG_CHAIN *chain, const SECRET *archive_key,
  const uint8_t header[OPLOG_SEGMENT_LEN], STATUS *status)
{
    int ret;

    oplog_chain_release(chain);
    memcpy(chain->segment, header, OPLOG_SEGMENT_LEN);
    if (archive_key == NULL)
        return (0);
    if ((ret = secret_new(XAES_KEY_LEN, &chain->key, status)) != 0)
        return (ret);
    /* "public" says where it may write; here that is the secret's own memory. */
    return (mac_derive_public(archive_key, header + 16, OPLOG_SALT_LEN, SEGMENT_LABEL,
      secret_data(chain->key), XAES_KEY_LEN, status));
}

static void
make_aad(const OPLOG_CHAIN *chain, const uint8_t header[OPLOG_FRAME_LEN], uint8_t aad[AAD_LEN])
{
    uint8_t *p = aad;

    memcpy(p, chain->head, MAC_LEN);
    p += MAC_LEN;
    memcpy(p, chain->segment, OPLOG_SEGMENT_LEN);
    p += OPLOG_SEGMENT_LEN;
    memcpy(p, chain->tag, OPLOG_TAG_LEN);
    p += OPLOG_TAG_LEN;
    memcpy(p, header, OPLOG_FRAME_LEN);
}

/* A segment's key encrypts nothing else, so counting is enough. */
static void
make_nonce(uint32_t number, uint8_t nonce[XAES_NONCE_LEN])
{
    memset(nonce, 0, XAES_NONCE_LEN);
    put(nonce + XAES_NONCE_LEN - 4, number, 4);
}

int
oplog_chain_seal(OPLOG_CHAIN *chain, const OPLOG_FRAME *frame, const uint8_t *data, size_t len,
  uint8_t *out, STATUS *status)
{
    uint8_t aad[AAD_LEN], nonce[XAES_NONCE_LEN];
    int ret;

    oplog_frame_put(frame, out);
    make_aad(chain, out, aad);
    make_nonce(frame->number, nonce);
    if ((ret = xaes_seal(
           chain->key, nonce, aad, sizeof(aad), data, len, out + OPLOG_FRAME_LEN, status)) != 0)
        return (ret);
    memcpy(chain->tag, out + OPLOG_FRAME_LEN + len, OPLOG_TAG_LEN);
    return (0);
}

int
oplog_chain_open(OPLOG_CHAIN *chain, const OPLOG_FRAME *frame,
  const uint8_t header[OPLOG_FRAME_LEN], const uint8_t *in, uint8_t *out, STATUS *status)
{
    uint8_t aad[AAD_LEN], nonce[XAES_NONCE_LEN];
    int ret;

    make_aad(chain, header, aad);
    make_nonce(frame->number, nonce);
    if ((ret = xaes_open(chain->key, nonce, aad, sizeof(aad), in,
           (size_t)frame->sealed_len + OPLOG_TAG_LEN, out, status)) != 0) {
        if (ret == STATUS_BAD_UNIT)
            ret = status_set(status, STATUS_CORRUPT, "oplog-tag",
              "a frame does not authenticate: it was changed, or is not from this place");
        return (ret);
    }
    memcpy(chain->tag, in + frame->sealed_len, OPLOG_TAG_LEN);
    return (0);
}
