/*
 * test/engine/rows.c -- Rows whose content follows from key, round and size. See engine.h.
 */
#include "test/engine/engine.h"

/* The engine keeps the pointer of a raw key until the operation: one buffer a thread. */
static __thread char key_buffer[64];
static __thread char *value_buffer;
static __thread size_t value_buffer_size;

static uint8_t
fixed_value(int64_t key, int round)
{
    /* Not 0: a fixed-length column's deleted row reads as 0. */
    return ((uint8_t)(1 + (key * 7 + round * 31) % 255));
}

void
row_set_key(WT_CURSOR *cursor, int64_t key)
{
    WT_ITEM item;
    int length;

    switch (cursor->key_format[0]) {
    case 'q':
    case 'r':
        cursor->set_key(cursor, key);
        return;
    case 'S':
        (void)snprintf(key_buffer, sizeof(key_buffer), MARKER "-key-%010lld", (long long)key);
        cursor->set_key(cursor, key_buffer);
        return;
    case 'u':
        length = snprintf(key_buffer, sizeof(key_buffer), MARKER "-key-%010lld", (long long)key);
        memset(&item, 0, sizeof(item));
        item.data = key_buffer;
        item.size = (size_t)length;
        cursor->set_key(cursor, &item);
        return;
    default:
        CU_FAIL_FATAL("a key format that the tests do not know");
    }
}

/* Text that does not compress much, so that compressed tables have pages of several units. */
static void
fill_value(int64_t key, int round, size_t size)
{
    static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    uint32_t state = (uint32_t)key * 2654435761U + (uint32_t)round * 40503U + 12345U;
    size_t i, used;

    if (value_buffer_size < size + 128) {
        free(value_buffer);
        value_buffer = malloc(value_buffer_size = size + 128);
        REQUIRE(value_buffer != NULL);
    }
    used =
      (size_t)snprintf(value_buffer, value_buffer_size, MARKER " %lld %d ", (long long)key, round);
    for (i = used; i < size; i++)
        value_buffer[i] = letters[engine_random(&state) & 63];
    value_buffer[size] = '\0';
}

void
row_set_value(WT_CURSOR *cursor, int64_t key, int round, size_t size)
{
    WT_ITEM item;

    if (cursor->value_format[0] == '8') {
        cursor->set_value(cursor, fixed_value(key, round));
        return;
    }
    fill_value(key, round, size);
    if (cursor->value_format[0] == 'S') {
        cursor->set_value(cursor, value_buffer);
        return;
    }
    memset(&item, 0, sizeof(item));
    item.data = value_buffer;
    item.size = size;
    cursor->set_value(cursor, &item);
}

bool
row_value_is(WT_CURSOR *cursor, int64_t key, int round, size_t size)
{
    WT_ITEM item;
    const char *text;
    uint8_t byte;

    if (cursor->value_format[0] == '8')
        return (cursor->get_value(cursor, &byte) == 0 && byte == fixed_value(key, round));
    fill_value(key, round, size);
    if (cursor->value_format[0] == 'S')
        return (cursor->get_value(cursor, &text) == 0 && strcmp(text, value_buffer) == 0);
    return (cursor->get_value(cursor, &item) == 0 && item.size == size &&
            memcmp(item.data, value_buffer, size) == 0);
}

void
rows_put(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last, int round,
  size_t size)
{
    WT_CURSOR *cursor;
    int64_t key;

    OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
    for (key = first; key <= last; key++) {
        row_set_key(cursor, key);
        row_set_value(cursor, key, round, size);
        OK(host, cursor->insert(cursor));
    }
    OK(host, cursor->close(cursor));
}

void
rows_remove(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last)
{
    WT_CURSOR *cursor;
    int64_t key;

    OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
    for (key = first; key <= last; key++) {
        row_set_key(cursor, key);
        OK(host, cursor->remove(cursor));
    }
    OK(host, cursor->close(cursor));
}

void
rows_check(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last, int round,
  size_t size)
{
    WT_CURSOR *cursor;
    int64_t key, wrong = 0;
    int ret;

    OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
    for (key = first; key <= last; key++) {
        row_set_key(cursor, key);
        ret = cursor->search(cursor);
        if (ret != 0 && ret != WT_NOTFOUND)
            OK(host, ret);
        if (ret == 0 ? round < 0 || !row_value_is(cursor, key, round, size) : round >= 0)
            wrong++;
    }
    OK(host, cursor->close(cursor));
    if (wrong != 0)
        printf("\n    %s %s: %lld of rows %lld to %lld are not those of round %d", host->name, uri,
          (long long)wrong, (long long)first, (long long)last, round);
    CU_ASSERT_EQUAL_FATAL(wrong, 0);
}

void
rows_count(HOST *host, WT_SESSION *session, const char *uri, const char *config, int64_t expected)
{
    WT_CURSOR *cursor;
    WT_ITEM key, previous;
    int64_t backward = 0, forward = 0, disorder = 0;
    int ret;
    char cursor_config[128], last[128];

    /* Raw keys: compared as the engine orders them, whatever the format. */
    (void)snprintf(cursor_config, sizeof(cursor_config), "raw,%s", config == NULL ? "" : config);
    OK(host, session->open_cursor(session, uri, NULL, cursor_config, &cursor));
    memset(&previous, 0, sizeof(previous));
    while ((ret = cursor->next(cursor)) == 0) {
        OK(host, cursor->get_key(cursor, &key));
        REQUIRE(key.size <= sizeof(last));
        if (forward++ != 0) {
            ret = memcmp(last, key.data, previous.size < key.size ? previous.size : key.size);
            if (ret > 0 || (ret == 0 && previous.size >= key.size))
                disorder++;
        }
        memcpy(last, key.data, key.size);
        previous.size = key.size;
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    OK(host, cursor->reset(cursor));
    while ((ret = cursor->prev(cursor)) == 0)
        backward++;
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    OK(host, cursor->close(cursor));
    CU_ASSERT_EQUAL(forward, expected);
    CU_ASSERT_EQUAL(backward, expected);
    CU_ASSERT_EQUAL(disorder, 0);
}
