/*
 * test/kms_clients/test_kmip.c -- KMIP messages, and the wrapped bytes: no server.
 *
 * The payloads of requests are those of another program, PyKMIP: see kmip_vectors.py.
 */
#include "test/kms_clients/kms_tests.h"

#include "crypto/encode.h"
#include "crypto/xaes.h"
#include "kms_clients/kmip_message.h"
#include "kms_clients/kmip_tags.h"
#include "kms_clients/kmip_wrapped.h"

#include <stdlib.h>
#include <string.h>

static const char encrypt_14[] =
  "420079010000009042009407000000056b65792d3100000042002b010000003042001105000000040000000900"
  "000000420028050000000400000003000000004200ce020000000400000010000000004200c208000000140001"
  "02030405060708090a0b0c0d0e0f101112130000000042003d080000000c6e6e6e6e6e6e6e6e6e6e6e6e000000"
  "004200fe0800000007636f6e7465787400";
static const char decrypt_20[] =
  "42007901000000a842009407000000056b65792d3100000042002b010000003042001105000000040000000900"
  "000000420028050000000400000003000000004200ce020000000400000010000000004200c208000000140001"
  "02030405060708090a0b0c0d0e0f101112130000000042003d080000000c6e6e6e6e6e6e6e6e6e6e6e6e000000"
  "004200fe0800000007636f6e74657874004200ff080000001074747474747474747474747474747474";
static const char encrypt_12[] =
  "420079010000008042009407000000056b65792d3100000042002b010000003042001105000000040000000100"
  "00000042005f05000000040000000300000000420028050000000400000003000000004200c208000000140001"
  "02030405060708090a0b0c0d0e0f101112130000000042003d08000000106e6e6e6e6e6e6e6e6e6e6e6e6e6e6e"
  "6e";
static const char state_12[] =
  "420079010000002042009407000000056b65792d3100000042000a07000000055374617465000000";
static const char state_20[] =
  "420079010000002042009407000000056b65792d3100000042013b05000000040042008d00000000";
static const char get_14[] =
  "420079010000002042009407000000056b65792d3100000042004205000000040000000100000000";
static const char locate_14[] =
  "420079010000008042004f02000000040000000200000000420008010000002842000a070000000b4f626a6563"
  "742054797065000000000042000b05000000040000000200000000420008010000003842000a07000000044e61"
  "6d650000000042000b0100000020420055070000000661206e616d650000420054050000000400000001000000"
  "00";
static const char locate_20[] =
  "420079010000005042004f02000000040000000200000000420125010000003842005705000000040000000200"
  "0000004200530100000020420055070000000661206e616d65000042005405000000040000000100000000";
static const char create_14[] =
  "42007901000001004200570500000004000000020000000042009101000000e8420008010000003042000a0700"
  "00001743727970746f6772617068696320416c676f726974686d0042000b050000000400000003000000004200"
  "08010000003042000a070000001443727970746f67726170686963204c656e6774680000000042000b02000000"
  "040000010000000000420008010000003042000a070000001843727970746f6772617068696320557361676520"
  "4d61736b42000b02000000040000000c00000000420008010000003842000a07000000044e616d650000000042"
  "000b0100000020420055070000000661206e616d65000042005405000000040000000100000000";
static const char create_20[] =
  "420079010000007042005705000000040000000200000000420125010000005842002805000000040000000300"
  "00000042002a0200000004000001000000000042002c02000000040000000c0000000042005301000000204200"
  "55070000000661206e616d65000042005405000000040000000100000000";

static uint8_t data[20];

/* A message of ours, which must hold that payload. */
static void
holds(int ret, SECRET *message, const char *hex)
{
    static uint8_t payload[1024];
    KMIP_ITEM root;
    STATUS s;
    size_t len = strlen(hex) / 2;

    CU_ASSERT_EQUAL_FATAL(ret, 0);
    CU_ASSERT_EQUAL_FATAL(encode_hex_decode(hex, 2 * len, payload, &s), 0);
    CU_ASSERT_EQUAL(kmip_ttlv_parse(secret_bytes(message), secret_len(message), &root, &s), 0);
    CU_ASSERT_PTR_NOT_NULL(memmem(secret_bytes(message), secret_len(message), payload, len));
    secret_free(message);
}

static void
test_requests(void)
{
    KMIP_HEADER v12 = {.version = 102}, v14 = {.version = 104}, v20 = {.version = 200};
    KMIP_CIPHER gcm = {.gcm = true,
      .nonce = (const uint8_t *)"nnnnnnnnnnnn",
      .nonce_len = 12,
      .aad = (const uint8_t *)"context",
      .aad_len = 7,
      .tag = (const uint8_t *)"tttttttttttttttt"};
    KMIP_CIPHER cbc = {.nonce = (const uint8_t *)"nnnnnnnnnnnnnnnn", .nonce_len = 16};
    SECRET *m;
    STATUS s;
    uint8_t i;
    int ret;

    for (i = 0; i < sizeof(data); i++)
        data[i] = i;
    ret = kmip_request_crypt(&v14, KMIP_ENCRYPT, "key-1", &gcm, data, sizeof(data), &m, &s);
    holds(ret, m, encrypt_14);
    ret = kmip_request_crypt(&v20, KMIP_DECRYPT, "key-1", &gcm, data, sizeof(data), &m, &s);
    holds(ret, m, decrypt_20);
    ret = kmip_request_crypt(&v12, KMIP_ENCRYPT, "key-1", &cbc, data, sizeof(data), &m, &s);
    holds(ret, m, encrypt_12);
    ret = kmip_request_state(&v12, "key-1", &m, &s);
    holds(ret, m, state_12);
    ret = kmip_request_state(&v20, "key-1", &m, &s);
    holds(ret, m, state_20);
    ret = kmip_request_get(&v14, "key-1", &m, &s);
    holds(ret, m, get_14);
    ret = kmip_request_locate(&v14, "a name", &m, &s);
    holds(ret, m, locate_14);
    ret = kmip_request_locate(&v20, "a name", &m, &s);
    holds(ret, m, locate_20);
    ret = kmip_request_create(&v14, "a name", &m, &s);
    holds(ret, m, create_14);
    ret = kmip_request_create(&v20, "a name", &m, &s);
    holds(ret, m, create_20);
}

/* An answer to Encrypt with GCM; reason 0 is success. */
static SECRET *
answer(uint32_t reason)
{
    KMIP_WRITER *w = kmip_writer_new();
    SECRET *message;
    STATUS s;

    kmip_put_open(w, TAG_RESPONSE_MESSAGE);
    kmip_put_open(w, TAG_RESPONSE_HEADER);
    kmip_put_open(w, TAG_PROTOCOL_VERSION);
    kmip_put_integer(w, TAG_PROTOCOL_VERSION_MAJOR, 1);
    kmip_put_integer(w, TAG_PROTOCOL_VERSION_MINOR, 4);
    kmip_put_close(w);
    kmip_put_integer(w, TAG_BATCH_COUNT, 1);
    kmip_put_close(w);
    kmip_put_open(w, TAG_BATCH_ITEM);
    kmip_put_enumeration(w, TAG_OPERATION, KMIP_ENCRYPT);
    kmip_put_enumeration(w, TAG_RESULT_STATUS, reason != 0);
    if (reason != 0) {
        kmip_put_enumeration(w, TAG_RESULT_REASON, reason);
        kmip_put_text(w, TAG_RESULT_MESSAGE, "a line\nand another");
    } else {
        kmip_put_open(w, TAG_RESPONSE_PAYLOAD);
        kmip_put_text(w, TAG_UNIQUE_IDENTIFIER, "key-1");
        kmip_put_bytes(w, TAG_DATA, "ciphertext", 10);
        kmip_put_bytes(w, TAG_IV_COUNTER_NONCE, "nonce", 5);
        kmip_put_bytes(w, TAG_AUTHENTICATED_ENCRYPTION_TAG, "tttttttttttttttt", KMIP_TAG_LEN);
        kmip_put_close(w);
    }
    kmip_put_close(w);
    kmip_put_close(w);
    CU_ASSERT_EQUAL_FATAL(kmip_writer_finish(w, &message, &s), 0);
    return (message);
}

/* What a client makes of bytes. */
static int
take(const uint8_t *bytes, size_t len, KMIP_OUTPUT *output, STATUS *s)
{
    KMIP_RESPONSE response;
    const KMIP_RESULT *result;
    int ret;

    if ((ret = kmip_response_parse(bytes, len, &response, s)) != 0 ||
        (ret = kmip_response_result(&response, 0, KMIP_ENCRYPT, &result, s)) != 0)
        return (ret);
    return (kmip_payload_output(result, "key-1", true, output, s));
}

static void
test_answers(void)
{
    SECRET *message = answer(0);
    KMIP_OUTPUT output;
    uint8_t *copy;
    size_t len = secret_len(message), i;
    STATUS s;
    int ret;

    CU_ASSERT_EQUAL_FATAL(take(secret_bytes(message), len, &output, &s), 0);
    CU_ASSERT_EQUAL(output.len, 10);
    CU_ASSERT_EQUAL(memcmp(output.data, "ciphertext", 10), 0);
    CU_ASSERT_EQUAL(output.nonce_len, 5);
    CU_ASSERT_EQUAL(memcmp(output.tag, "tttttttttttttttt", 16), 0);
    for (i = 0; i < len; i++) {
        copy = malloc(i + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, secret_bytes(message), i);
        CU_ASSERT_EQUAL(take(copy, i, &output, &s), STATUS_BAD_REPLY);
        free(copy);
    }
    copy = malloc(len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    for (i = 0; i < len * 8; i++) {
        memcpy(copy, secret_bytes(message), len);
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        ret = take(copy, len, &output, &s);
        /* Nothing but a result that says so may stop a database. */
        CU_ASSERT_TRUE(ret == 0 || ret == STATUS_BAD_REPLY);
    }
    free(copy);
    secret_free(message);
}

static void
test_reasons(void)
{
    static const struct {
        uint32_t reason;
        int status_class;
    } expected[] = {{0x01, STATUS_NOT_FOUND}, {0x37, STATUS_NOT_FOUND}, {0x36, STATUS_DISABLED},
      {0x03, STATUS_UNAUTHENTICATED}, {0x25, STATUS_UNAUTHENTICATED}, {0x0c, STATUS_DENIED},
      {0x39, STATUS_DENIED}, {0x43, STATUS_DENIED}, {0x16, STATUS_DENIED}, {0x17, STATUS_DENIED},
      {0x100, STATUS_UNAVAILABLE}, {0x2a, STATUS_UNAVAILABLE}, {0x3a, STATUS_UNAVAILABLE},
      {0x05, STATUS_CONFIG}, {0x3e, STATUS_CONFIG}, {0x04, STATUS_BAD_REPLY},
      {0x0a, STATUS_BAD_REPLY}, {0x12345, STATUS_BAD_REPLY}};
    KMIP_OUTPUT output;
    const char *name;
    SECRET *message;
    uint32_t reason;
    size_t i;
    STATUS s;

    for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        message = answer(expected[i].reason);
        CHECK_STATUS(take(secret_bytes(message), secret_len(message), &output, &s), &s,
          (STATUS_CLASS)expected[i].status_class, "a line?and another");
        secret_free(message);
    }
    CU_ASSERT_EQUAL(kmip_reason_class(0x0a, KMIP_DECRYPT, &name), STATUS_CORRUPT);
    /* What may stop a database is these three and no other. */
    for (reason = 0; reason < 0x200; reason++)
        switch (kmip_reason_class(reason, KMIP_DECRYPT, &name)) {
        case STATUS_NOT_FOUND:
            CU_ASSERT_TRUE(reason == 0x01 || reason == 0x37);
            break;
        case STATUS_DISABLED:
            CU_ASSERT_EQUAL(reason, 0x36);
            break;
        default:
            break;
        }
}

static void
test_wrapped(void)
{
    static const uint8_t aad[] = "aad", nonce[12] = {1}, tag[16] = {2}, bytes[60] = {3};
    KMIP_WRAPPED parts[] = {{.mode = KMIP_WRAPPED_GCM,
                              .nonce = nonce,
                              .nonce_len = 12,
                              .tag = tag,
                              .data = bytes,
                              .data_len = 60},
      {.mode = KMIP_WRAPPED_CBC,
        .nonce = nonce,
        .nonce_len = 12,
        .data = bytes,
        .data_len = 48,
        .sealed = bytes,
        .sealed_len = 60},
      {.mode = KMIP_WRAPPED_LOCAL, .sealed = bytes, .sealed_len = 60}};
    KMIP_WRAPPED out;
    uint8_t *made, *copy;
    size_t i, len, n;
    STATUS s;

    for (n = 0; n < 3; n++) {
        CU_ASSERT_EQUAL_FATAL(kmip_wrapped_encode(&parts[n], aad, sizeof(aad), &made, &len, &s), 0);
        CU_ASSERT_EQUAL(kmip_wrapped_decode(made, len, aad, sizeof(aad), &out, &s), 0);
        CU_ASSERT_EQUAL(out.mode, parts[n].mode);
        CU_ASSERT_EQUAL(out.data_len, parts[n].data_len);
        CU_ASSERT_EQUAL(out.sealed_len, parts[n].sealed_len);
        CHECK_STATUS(kmip_wrapped_decode(made, len, aad, sizeof(aad) - 1, &out, &s), &s,
          STATUS_CORRUPT, "another keystore");
        for (i = 0; i < len; i++) {
            copy = malloc(i + 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
            memcpy(copy, made, i);
            CU_ASSERT_EQUAL(
              kmip_wrapped_decode(copy, i, aad, sizeof(aad), &out, &s), STATUS_CORRUPT);
            free(copy);
        }
        for (i = 0; i < len * 8; i++) {
            made[i / 8] ^= (uint8_t)(1 << i % 8);
            CU_ASSERT_EQUAL(
              kmip_wrapped_decode(made, len, aad, sizeof(aad), &out, &s), STATUS_CORRUPT);
            made[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        free(made);
    }
}

static void
test_uids(void)
{
    char text[KMIP_UID_MAX + 2];
    STATUS s;

    CU_ASSERT_EQUAL(kms_client_key_id_check("kmip", "kmip:1", &s), 0);
    CU_ASSERT_EQUAL(
      kms_client_key_id_check("kmip", "kmip:21d28b8a-06df-43c0-b72f-2a161633ada9", &s), 0);
    CU_ASSERT_EQUAL(kms_client_key_id_check("kmip", "kmip:", &s), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(kms_client_key_id_check("kmip", "kmip-name:a", &s), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(kms_client_key_id_check("kmip", "kmip:a b", &s), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(kms_client_key_id_check("kmip", "kmip:a\n", &s), STATUS_CORRUPT);
    memset(text, 'x', sizeof(text));
    text[KMIP_UID_MAX] = '\0';
    CU_ASSERT_TRUE(kmip_uid_valid(text));
    text[KMIP_UID_MAX] = 'x';
    text[KMIP_UID_MAX + 1] = '\0';
    CU_ASSERT_FALSE(kmip_uid_valid(text));
}

const TEST kmip_tests[] = {{"requests", test_requests}, {"answers", test_answers},
  {"reasons", test_reasons}, {"wrapped", test_wrapped}, {"uids", test_uids}, {NULL, NULL}};
