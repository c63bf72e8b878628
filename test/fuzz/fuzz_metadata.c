/*
 * test/fuzz/fuzz_metadata.c -- libFuzzer: bytes as metadata text and as a configuration string.
 *
 * Beside what the sanitizers see: each result lies inside the text.
 */
#include "datafile/metadata_text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const char *text;
    size_t length;
} WHOLE;

static void
require(int truth)
{
    if (!truth)
        abort();
}

static void
inside(const WHOLE *whole, const METADATA_TEXT *text)
{
    if (text->text == NULL)
        require(text->length == 0);
    else
        require(text->text >= whole->text && text->length <= whole->length &&
                text->text + text->length <= whole->text + whole->length);
}

static int
on_entry(void *context, const METADATA_ENTRY *entry)
{
    WHOLE *whole = context, config;
    METADATA_FILE file;
    METADATA_TEXT value;

    inside(whole, &entry->uri);
    inside(whole, &entry->config);
    config.text = entry->config.text;
    config.length = entry->config.length;
    metadata_text_file(config.text, config.length, &file);
    inside(&config, &file.encryptor);
    inside(&config, &file.keyid);
    inside(&config, &file.checksum);
    inside(&config, &file.compressor);
    if (metadata_text_get(config.text, config.length, "log.path", &value))
        inside(&config, &value);
    return (0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    METADATA_ENTRY entry;
    WHOLE whole;
    char *copy;

    require((copy = malloc(size == 0 ? 1 : size)) != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    whole.text = copy;
    whole.length = size;
    require(metadata_text_walk(copy, size, on_entry, &whole) == 0);
    memset(&entry, 0, sizeof(entry));
    entry.config.text = copy;
    entry.config.length = size;
    require(on_entry(&whole, &entry) == 0);
    free(copy);
    return (0);
}
