/*
 * test/fuzz/fuzz_mirror.c -- libFuzzer: bytes as a WiredTiger.config.
 *
 * Whatever the user has there: rendering twice is rendering once, the copy comes back, it is never over
 * the engine's limit, ours are comments and lines of the engine's to the engine's own reading, and
 * taking ours away gives back what the user had.
 */
#include "keystore/mirror.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int truth)
{
    if (!truth)
        abort();
}

static const char engine_lines[] = "extensions=[/x.so]\nencryption=(name=kms,keyid=default)\n";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t copy[] = "not a keystore, but bytes";
    MIRROR mirror;
    STATUS status;
    char *text, *again, *plain, *twice;
    size_t len, again_len, plain_len, twice_len;

    status_clear(&status);
    if (mirror_parse((const char *)data, size, &mirror, &status) == 0)
        mirror_release(&mirror);
    if (mirror_render((const char *)data, size, engine_lines, copy, sizeof(copy), true, &text, &len,
          &status) != 0) {
        require(text == NULL);
        return (0);
    }
    require(len <= MIRROR_MAX_BYTES && text[len - 1] == '\n');
    require(mirror_parse(text, len, &mirror, &status) == 0);
    require(mirror.has_keystore && mirror.partial && mirror.keystore_len == sizeof(copy) &&
            memcmp(mirror.keystore, copy, sizeof(copy)) == 0);
    require(mirror.engine_lines != NULL && strcmp(mirror.engine_lines, engine_lines) == 0);
    mirror_release(&mirror);
    require(
      mirror_render(text, len, NULL, copy, sizeof(copy), true, &again, &again_len, &status) == 0);
    require(again_len == len && memcmp(again, text, len) == 0);
    /* The user's lines alone, and from those with ours. */
    require(mirror_render(
              (const char *)data, size, "", NULL, 0, false, &plain, &plain_len, &status) == 0);
    require(mirror_render(text, len, "", NULL, 0, false, &twice, &twice_len, &status) == 0);
    require(plain_len == twice_len && memcmp(plain, twice, plain_len) == 0);
    free(text);
    free(again);
    free(plain);
    free(twice);
    return (0);
}
