/*
 * test/fuzz/fuzz_keystore.c -- libFuzzer: bytes as a keystore.
 *
 * What the reader takes must be written again byte for byte (but for MACs and seal, whose keys are
 * not known here): there is one form of a keystore and no slack in it. The bytes are also given to
 * the check of MACs and seal as they are, which must never take them under a key of ours.
 */
#include "keystore/keystore_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SCOPES_MAX 64

static void
require(int truth)
{
    if (!truth)
        abort();
}

/* Zero what is computed, where it stands in the one that was computed here. */
static void
blank(const KEYSTORE *computed, uint8_t *data, uint8_t *original, size_t len)
{
    size_t i, m;

    for (m = 0; m < computed->mac_count; m++)
        for (i = 0; i + MAC_LEN <= len; i++)
            if (memcmp(data + i, computed->macs[m].mac, MAC_LEN) == 0) {
                memset(data + i, 0, MAC_LEN);
                memset(original + i, 0, MAC_LEN);
            }
    i = computed->sealed_len + KEYSTORE_SEAL_ELEMENT_LEN - MAC_LEN;
    memset(data + i, 0, MAC_LEN);
    memset(original + i, 0, MAC_LEN);
}

static void
look_up(const KEYSTORE *keystore)
{
    const KEYSTORE_DATA_KEY *active;
    size_t i;

    for (i = 0; i < keystore->data_key_count; i++) {
        require(keystore_data_key(keystore, keystore->data_keys[i].id) == &keystore->data_keys[i]);
        active = keystore_active_data_key(keystore, keystore->data_keys[i].keyid);
        require(
          keystore->data_keys[i].state != KEYSTORE_ACTIVE || active == &keystore->data_keys[i]);
    }
    for (i = 0; i < keystore->master_count; i++)
        require(keystore_active_master(keystore, keystore->masters[i].scope) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SECRET *key;
    KEYSTORE_SEAL_KEY keys[SCOPES_MAX];
    KEYSTORE *keystore, *copy;
    STATUS status;
    uint8_t *encoded, *original;
    size_t i, len, count = 0;

    status_clear(&status);
    if (key == NULL && secret_new(MAC_LEN, &key, &status) != 0)
        abort();
    if (keystore_decode(data, size, &keystore, &status) != 0) {
        require(keystore == NULL && status.message[0] != '\0');
        return (0);
    }
    look_up(keystore);
    for (i = 0; i < keystore->master_count && count < SCOPES_MAX; i++)
        if (keystore->masters[i].state == KEYSTORE_ACTIVE) {
            keys[count].scope = keystore->masters[i].scope;
            keys[count++].seal_key = key;
        }
    if (count == keystore->mac_count) {
        require(keystore_copy(keystore, &copy, &status) == 0);
        require(keystore_encode(copy, keys, count, &encoded, &len, &status) == 0);
        keystore_free(copy);
        require(len == size);
        original = malloc(size);
        require(original != NULL);
        memcpy(original, data, size);
        require(keystore_decode(encoded, len, &copy, &status) == 0);
        require(keystore_check_seal(encoded, len, copy, keys, count, &status) == 0);
        blank(copy, encoded, original, len);
        require(memcmp(encoded, original, len) == 0);
        keystore_free(copy);
        free(original);
        free(encoded);
    }
    keystore_free(keystore);
    return (0);
}
