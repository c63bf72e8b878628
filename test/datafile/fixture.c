/*
 * test/datafile/fixture.c -- Homes made by the real engine. See fixture.h.
 */
#include "test/datafile/fixture.h"

#include "crypto/unit.h"
#include "common/crc32c.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wiredtiger_ext.h>

typedef struct {
    WT_ENCRYPTOR encryptor;
    WT_EXTENSION_API *api;
    uint64_t key_id;
    uint32_t written;
} FIXTURE;

typedef struct {
    WT_EVENT_HANDLER handler;
    ADDRESS *found;
    size_t count;
} CATCH;

static void
must(int ret, const char *what, const char *detail)
{
    if (ret == 0)
        return;
    (void)fprintf(stderr, "%s %s: %s\n", what, detail, wiredtiger_strerror(ret));
    exit(1);
}

uint64_t
fixture_key_id(const char *keyid)
{
    return ((uint64_t)crc32c(0, keyid, strlen(keyid)) << 32 | crc32c(7, keyid, strlen(keyid)));
}

static void
make_tag(const uint8_t *unit, size_t len, uint8_t *tag)
{
    size_t i;

    for (i = 0; i < UNIT_TAG_LEN / 4; i++)
        fixture_put32(tag + 4 * i, crc32c((uint32_t)i + 1, unit, len));
}

bool
fixture_whole(const uint8_t *unit, size_t len, uint64_t *idp)
{
    UNIT_HEADER header;
    STATUS status;
    uint8_t tag[UNIT_TAG_LEN];

    *idp = 0;
    if (unit == NULL || unit_parse(unit, len, &header, &status) != 0)
        return (false);
    *idp = header.data_key_id;
    make_tag(unit, len - UNIT_TAG_LEN, tag);
    return (memcmp(tag, unit + len - UNIT_TAG_LEN, UNIT_TAG_LEN) == 0);
}

void
fixture_decrypt(const uint8_t *unit, size_t len, uint8_t *out)
{
    size_t i;

    for (i = 0; i < len - UNIT_OVERHEAD; i++)
        out[i] = unit[UNIT_HEADER_LEN + i] ^ (uint8_t)(0x5a + i);
}

static int
encrypt_callback(WT_ENCRYPTOR *encryptor, WT_SESSION *session, uint8_t *src, size_t src_len,
  uint8_t *dst, size_t dst_len, size_t *result_lenp)
{
    FIXTURE *fixture = (FIXTURE *)encryptor;
    size_t i;

    (void)session;
    if (dst_len < src_len + UNIT_OVERHEAD)
        return (ENOMEM);
    unit_header_write(dst, fixture->key_id);
    memset(dst + UNIT_NONCE_OFFSET, 0, UNIT_NONCE_LEN);
    fixture_put32(
      dst + UNIT_NONCE_OFFSET, __atomic_add_fetch(&fixture->written, 1, __ATOMIC_RELAXED));
    for (i = 0; i < src_len; i++)
        dst[UNIT_HEADER_LEN + i] = src[i] ^ (uint8_t)(0x5a + i);
    make_tag(dst, UNIT_HEADER_LEN + src_len, dst + UNIT_HEADER_LEN + src_len);
    *result_lenp = src_len + UNIT_OVERHEAD;
    return (0);
}

static int
decrypt_callback(WT_ENCRYPTOR *encryptor, WT_SESSION *session, uint8_t *src, size_t src_len,
  uint8_t *dst, size_t dst_len, size_t *result_lenp)
{
    uint64_t id;

    (void)encryptor;
    (void)session;
    if (!fixture_whole(src, src_len, &id) || dst_len < src_len - UNIT_OVERHEAD)
        return (WT_ERROR);
    fixture_decrypt(src, src_len, dst);
    *result_lenp = src_len - UNIT_OVERHEAD;
    return (0);
}

static int
sizing_callback(WT_ENCRYPTOR *encryptor, WT_SESSION *session, size_t *expansion)
{
    (void)encryptor;
    (void)session;
    *expansion = UNIT_OVERHEAD;
    return (0);
}

static int
customize_callback(
  WT_ENCRYPTOR *encryptor, WT_SESSION *session, WT_CONFIG_ARG *config, WT_ENCRYPTOR **customp)
{
    FIXTURE *base = (FIXTURE *)encryptor, *mine;
    WT_CONFIG_ITEM keyid;
    char name[128];

    if (base->api->config_get(base->api, session, config, "keyid", &keyid) != 0)
        keyid.len = 0;
    (void)snprintf(name, sizeof(name), "%.*s", (int)keyid.len, keyid.len == 0 ? "" : keyid.str);
    if ((mine = malloc(sizeof(*mine))) == NULL)
        return (ENOMEM);
    *mine = *base;
    mine->key_id = fixture_key_id(name);
    mine->written = 0;
    *customp = &mine->encryptor;
    return (0);
}

static int
terminate_callback(WT_ENCRYPTOR *encryptor, WT_SESSION *session)
{
    (void)session;
    free(encryptor);
    return (0);
}

/* The engine finds it in the program: "local" extensions are looked up by name. */
__attribute__((visibility("default"))) int fixture_init(WT_CONNECTION *conn, WT_CONFIG_ARG *config);

int
fixture_init(WT_CONNECTION *conn, WT_CONFIG_ARG *config)
{
    FIXTURE *fixture;

    (void)config;
    if ((fixture = calloc(1, sizeof(*fixture))) == NULL)
        return (ENOMEM);
    fixture->api = conn->get_extension_api(conn);
    fixture->encryptor.encrypt = encrypt_callback;
    fixture->encryptor.decrypt = decrypt_callback;
    fixture->encryptor.sizing = sizing_callback;
    fixture->encryptor.customize = customize_callback;
    fixture->encryptor.terminate = terminate_callback;
    return (conn->add_encryptor(conn, "fixture", &fixture->encryptor, NULL));
}

static int
catch_message(WT_EVENT_HANDLER *handler, WT_SESSION *session, const char *message)
{
    CATCH *catch = (CATCH *)handler;
    ADDRESS address;
    unsigned long long end, start;
    const char *p;

    (void)session;
    /* "[4096-32768, 28672, 671739798] row-store leaf"; "[0: 4096-..." from 10.0 on */
    for (p = strchr(message, '['); p != NULL; p = strchr(p + 1, '[')) {
        if (sscanf(p, "[%llu-%llu, %u, %u]", &start, &end, &address.size, &address.checksum) != 4 &&
            sscanf(p, "[%*u: %llu-%llu, %u, %u]", &start, &end, &address.size, &address.checksum) !=
              4)
            continue;
        address.offset = start;
        catch->found = realloc(catch->found, (catch->count + 1) * sizeof(ADDRESS));
        if (catch->found == NULL)
            abort();
        catch->found[catch->count++] = address;
    }
    return (0);
}

WT_CONNECTION *
fixture_connect(const char *home, bool encrypted, const char *extra)
{
    static CATCH catch = {.handler = {.handle_message = catch_message}};
    WT_CONNECTION *conn;
    char config[2048];

    (void)mkdir(home, 0755);
    (void)snprintf(config, sizeof(config),
      "create,cache_size=64MB,extensions=[local={entry=fixture_init},libwiredtiger_snappy.so]%s%s%"
      "s",
      encrypted ? ",encryption=(name=fixture,keyid=" SYSTEM_KEYID ")" : "",
      extra == NULL ? "" : ",", extra == NULL ? "" : extra);
    must(wiredtiger_open(home, &catch.handler, config, &conn), "wiredtiger_open", config);
    return (conn);
}

void
fixture_close(WT_CONNECTION *conn)
{
    must(conn->close(conn, NULL), "close", "");
}

WT_SESSION *
fixture_session(WT_CONNECTION *conn)
{
    WT_SESSION *session;

    must(conn->open_session(conn, NULL, NULL, &session), "open_session", "");
    return (session);
}

void
fixture_create(WT_SESSION *session, const char *uri, const char *config)
{
    must(session->create(session, uri, config), "create", config);
}

static bool
is_column(WT_CURSOR *cursor)
{
    return (strcmp(cursor->key_format, "r") == 0);
}

static void
set_key(WT_CURSOR *cursor, unsigned number, char *key, size_t size)
{
    if (is_column(cursor))
        cursor->set_key(cursor, (uint64_t)number + 1);
    else {
        (void)snprintf(key, size, "key%08u", number);
        cursor->set_key(cursor, key);
    }
}

void
fixture_rows(WT_SESSION *session, const char *uri, unsigned from, unsigned to, size_t size)
{
    WT_CURSOR *cursor;
    char key[32], *value;
    unsigned i, seed;
    size_t j;

    if ((value = malloc(size + 1)) == NULL)
        abort();
    must(session->open_cursor(session, uri, NULL, "overwrite=true", &cursor), "open_cursor", uri);
    for (i = from; i < to; i++) {
        seed = i * 2654435761u + 1;
        for (j = 0; j < size; j++) {
            /* half of it compresses */
            seed = seed * 1103515245u + 12345u;
            value[j] = (char)('a' + (j % 32 < 16 ? 0 : (seed >> 16) % 26));
        }
        value[size] = '\0';
        set_key(cursor, i, key, sizeof(key));
        cursor->set_value(cursor, value);
        must(cursor->insert(cursor), "insert", uri);
    }
    must(cursor->close(cursor), "cursor.close", uri);
    free(value);
}

void
fixture_remove(WT_SESSION *session, const char *uri, unsigned from, unsigned to)
{
    WT_CURSOR *cursor;
    char key[32];
    unsigned i;

    must(session->open_cursor(session, uri, NULL, NULL, &cursor), "open_cursor", uri);
    for (i = from; i < to; i++) {
        set_key(cursor, i, key, sizeof(key));
        must(cursor->remove(cursor), "remove", uri);
    }
    must(cursor->close(cursor), "cursor.close", uri);
}

void
fixture_checkpoint(WT_SESSION *session)
{
    must(session->checkpoint(session, "force"), "checkpoint", "");
}

size_t
fixture_addresses(WT_CONNECTION *conn, const char *uri, ADDRESS **addressesp)
{
    CATCH catch = {.handler = {.handle_message = catch_message}};
    WT_SESSION *session;

    must(conn->open_session(conn, &catch.handler, NULL, &session), "open_session", "");
    must(session->verify(session, uri, "dump_address"), "verify", uri);
    must(session->close(session, NULL), "session.close", "");
    *addressesp = catch.found;
    return (catch.count);
}

uint8_t *
fixture_read(int dirfd, const char *name, size_t *lenp)
{
    struct stat st;
    uint8_t *data;
    size_t done;
    ssize_t n;
    int fd;

    if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC)) < 0 || fstat(fd, &st) != 0 ||
        (data = malloc((size_t)st.st_size + 1)) == NULL) {
        perror(name);
        exit(1);
    }
    for (done = 0; (n = pread(fd, data + done, (size_t)st.st_size - done, (off_t)done)) > 0;)
        done += (size_t)n;
    (void)close(fd);
    *lenp = done;
    return (data);
}

void
fixture_write(int dirfd, const char *name, const uint8_t *data, size_t len)
{
    put_file(dirfd, name, data, len, 0644);
}

int
fixture_memory(const void *data, size_t len)
{
    size_t done;
    ssize_t n;
    int fd;

    if ((fd = memfd_create("fixture", MFD_CLOEXEC)) < 0) {
        perror("memfd_create");
        exit(1);
    }
    for (done = 0; done < len; done += (size_t)n)
        if ((n = pwrite(fd, (const uint8_t *)data + done, len - done, (off_t)done)) <= 0) {
            perror("pwrite");
            exit(1);
        }
    return (fd);
}

void
fixture_put32(uint8_t *p, uint32_t value)
{
    value = htole32(value);
    memcpy(p, &value, sizeof(value));
}

uint32_t
fixture_get32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return (le32toh(value));
}

void
fixture_seal_block(uint8_t *block, uint32_t size)
{
    fixture_put32(block + 32, 0);
    fixture_put32(block + 32, wiredtiger_crc32c_func()(block, (block[36] & 1) != 0 ? size : 64));
}

void
fixture_seal_record(uint8_t *record, uint32_t len)
{
    fixture_put32(record + 4, 0);
    fixture_put32(record + 4, wiredtiger_crc32c_func()(record, len));
}
