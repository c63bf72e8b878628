/*
 * test/fuzz/fuzz_inventory.c -- libFuzzer: bytes as an inventory, as another host might send one.
 *
 * What is taken is written and read again: both inventories are written as the same bytes, and a third reading
 * of the same copies adds none. Answers about keys and the page are made of it; no text of it is markup in the
 * page.
 */
#include "snapshot/inventory.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int truth)
{
    if (!truth)
        abort();
}

static char *
written(const INVENTORY *inventory)
{
    bson_t json;
    char *text;

    bson_init(&json);
    inventory_write(inventory, &json);
    require((text = bson_as_relaxed_extended_json(&json, NULL)) != NULL);
    bson_destroy(&json);
    return (text);
}

static void
ask(const INVENTORY *inventory)
{
    KEY_NEED_SUMMARY summary;
    char **keys, *others;
    size_t count, i, n, needed;

    count = key_need_all(inventory, &keys);
    for (i = 0; i < count; i++) {
        for (n = needed = 0; n < inventory->count; n++) {
            others = NULL;
            switch (key_need(&inventory->copies[n], keys[i], &others)) {
            case KEY_NEED_ONE_OF:
            case KEY_NEED_ONLY:
                needed++;
                break;
            case KEY_NEED_NONE:
            case KEY_NEED_UNJUDGED:
                break;
            }
            bson_free(others);
            (void)key_need_access(&inventory->copies[n], keys[i]);
        }
        key_need_summarize(inventory, keys[i], &summary);
        /* Each key is there because some copy is wrapped for it. */
        require(summary.needed == needed && needed > 0 && summary.only <= needed);
        bson_free(keys[i]);
    }
    bson_free(keys);
}

/* The page has as many tags as rows, lists and cells make, whatever the texts say. */
static void
show(const INVENTORY *inventory)
{
    char *page = NULL, *at;
    size_t len = 0, rows = 0;
    FILE *out = open_memstream(&page, &len);

    require(out != NULL);
    report_html_write(inventory, out);
    require(fclose(out) == 0 && memchr(page, '\0', len) == NULL);
    for (at = page; (at = strstr(at, "<script")) != NULL; at++)
        rows++;
    require(rows == 1 && strstr(page, "<img") == NULL);
    free(page);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    INVENTORY first, second;
    STATUS status;
    char *one, *two;
    int ret;

    memset(&first, 0, sizeof(first));
    memset(&second, 0, sizeof(second));
    status_clear(&status);
    ret = inventory_read(&first, data, size, "fuzz", &status);
    if (ret == 0) {
        one = written(&first);
        require(inventory_read(&second, (const uint8_t *)one, strlen(one), "again", &status) == 0);
        two = written(&second);
        require(strcmp(one, two) == 0);
        ask(&first);
        show(&first);
        bson_free(one);
        bson_free(two);
    } else
        require(status.id != NULL && status.id[0] != '\0');
    inventory_release(&first);
    inventory_release(&second);
    return (0);
}
