/*
 * test/extension/test_host_abi.c -- Every known connection layout, and unknown ones, as tables of our
 * own; real engines load the module in test/engine.
 */
#include "extension/host_abi.h"
#include "test/extension/test_extension.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table under test. What stands behind the last member is a pointer into no module. */
typedef struct {
    void *members[40];
} FAKE;

static ENGINE_VERSION fake_version;
static bool fake_version_hidden;
static WT_EXTENSION_API fake_api;
static const char *fake_home = "/fake/home";

static const char *
fake_get_home(WT_CONNECTION *connection)
{
    (void)connection;
    return (fake_home);
}

/* The upper half of the register is whatever was there: an int-returning method leaves it. */
static uintptr_t
fake_is_new(WT_CONNECTION *connection)
{
    (void)connection;
    return (1);
}

static int
fake_add_encryptor(
  WT_CONNECTION *connection, const char *name, WT_ENCRYPTOR *encryptor, const char *config)
{
    (void)connection;
    (void)name;
    (void)encryptor;
    (void)config;
    return (4711);
}

static WT_EXTENSION_API *
fake_get_api(WT_CONNECTION *connection)
{
    fake_api.conn = connection;
    return (&fake_api);
}

/* Called only when a wrong member was taken for another. */
static int
fake_never(void)
{
    CU_FAIL("a member was called that must not be");
    return (0);
}

static const void *
fake_module_of(const void *address)
{
    static const int engine, other;

    if (address == (const void *)(uintptr_t)fake_get_home ||
        address == (const void *)(uintptr_t)fake_is_new ||
        address == (const void *)(uintptr_t)fake_add_encryptor ||
        address == (const void *)(uintptr_t)fake_get_api ||
        address == (const void *)(uintptr_t)fake_never)
        return (&engine);
    return (address == &fake_home ? &other : NULL);
}

static int
fake_version_of(const void *address, ENGINE_VERSION *version, STATUS *status)
{
    (void)address;
    if (fake_version_hidden)
        return (status_set(status, STATUS_REFUSED, "binary-no-engine", "no version"));
    *version = fake_version;
    return (0);
}

static const HOST_ABI_PROBE fake_probe = {fake_module_of, fake_version_of};

static void
fill(FAKE *fake, unsigned members, unsigned get_home, unsigned add_encryptor)
{
    unsigned i;

    memset(fake, 0, sizeof(*fake));
    for (i = 1; i <= members; i++)
        fake->members[i - 1] = (void *)(uintptr_t)fake_never;
    if (get_home != 6)
        fake->members[6 - 1] = (void *)(uintptr_t)fake_is_new;
    fake->members[get_home - 1] = (void *)(uintptr_t)fake_get_home;
    fake->members[add_encryptor - 1] = (void *)(uintptr_t)fake_add_encryptor;
    fake->members[members - 1] = (void *)(uintptr_t)fake_get_api;
    /* A pointer into another module, as a heap pointer to a session might look. */
    fake->members[members] = (void *)(uintptr_t)&fake_home;
}

static int
detect(FAKE *fake, HOST_ABI *abi, STATUS *status)
{
    return (host_abi_detect_with((WT_CONNECTION *)(void *)fake, &fake_probe, abi, status));
}

static void
every_row(void)
{
    const ENGINE_LAYOUT *row;
    HOST_ABI abi;
    STATUS status;
    FAKE fake;
    unsigned rows = 0;

    fake_version_hidden = false;
    for (row = engine_layouts; row->members != 0; row++, rows++) {
        fake_version = row->first;
        fill(&fake, row->members, row->get_home, row->add_encryptor);
        CU_ASSERT_EQUAL_FATAL(detect(&fake, &abi, &status), 0);
        CU_ASSERT_PTR_EQUAL(abi.layout, row);
        CU_ASSERT_EQUAL(abi.members, row->members);
        CU_ASSERT_STRING_EQUAL(abi.get_home((WT_CONNECTION *)(void *)&fake), "/fake/home");
        CU_ASSERT_EQUAL(abi.add_encryptor((WT_CONNECTION *)(void *)&fake, "kms", NULL, NULL), 4711);
        CU_ASSERT_PTR_EQUAL(abi.api, &fake_api);

        fake_version = row->last;
        CU_ASSERT_EQUAL(detect(&fake, &abi, &status), 0);
    }
    CU_ASSERT_EQUAL(rows, 11);
}

/* Versions and counts around the table: each is refused with a line that lists what is known. */
static void
unknown_pairs(void)
{
    static const struct {
        ENGINE_VERSION version;
        unsigned members;
    } unknown[] = {
      {{3, 1, 0}, 20},
      {{3, 2, 3}, 20},
      {{3, 2, 1}, 21},
      {{10, 0, 0}, 19},
      {{10, 0, 1}, 18},
      {{10, 0, 3}, 20},
      {{11, 2, 0}, 21},
      {{11, 2, 1}, 20},
      {{11, 3, 1}, 20},
      {{11, 4, 0}, 21},
      {{12, 0, 0}, 21},
      {{12, 1, 0}, 22},
      {{13, 0, 0}, 22},
    };
    HOST_ABI abi;
    STATUS status;
    FAKE fake;
    size_t i;

    fake_version_hidden = false;
    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        fake_version = unknown[i].version;
        fill(&fake, unknown[i].members, 4, 16);
        CU_ASSERT_EQUAL(detect(&fake, &abi, &status), STATUS_CONFIG);
        CU_ASSERT_STRING_EQUAL(status.id, "host-unknown");
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "11.3.x/21"));
        CU_ASSERT_PTR_NOT_NULL(strstr(status.hint, "wtkms abi"));
        CU_ASSERT_EQUAL(status_host_errno(&status), ENOTSUP);
        /* There is a way to say so. */
        CU_ASSERT_PTR_EQUAL(abi.api, &fake_api);
    }
}

static void
no_module_and_no_version(void)
{
    HOST_ABI abi;
    STATUS status;
    FAKE fake;

    memset(&fake, 0, sizeof(fake));
    CU_ASSERT_EQUAL(detect(&fake, &abi, &status), STATUS_CONFIG);
    CU_ASSERT_PTR_NULL(abi.api);

    /* A table without an end is not walked beyond the bound. */
    fake_version_hidden = true;
    fill(&fake, 39, 4, 16);
    CU_ASSERT_NOT_EQUAL(detect(&fake, &abi, &status), 0);
    CU_ASSERT_PTR_NULL(abi.api);
    CU_ASSERT(abi.members <= 32);

    /* Known by count alone is not enough. */
    fill(&fake, 20, 4, 15);
    CU_ASSERT_EQUAL(detect(&fake, &abi, &status), STATUS_REFUSED);
    CU_ASSERT_PTR_EQUAL(abi.api, &fake_api);
    fake_version_hidden = false;
}

/* An interface that belongs to another connection is not one. */
static WT_EXTENSION_API *
fake_get_foreign_api(WT_CONNECTION *connection)
{
    (void)connection;
    fake_api.conn = NULL;
    return (&fake_api);
}

static const void *
foreign_module_of(const void *address)
{
    return (address == (const void *)(uintptr_t)fake_get_foreign_api
              ? fake_module_of((const void *)(uintptr_t)fake_never)
              : fake_module_of(address));
}

static void
foreign_interface(void)
{
    static const HOST_ABI_PROBE probe = {foreign_module_of, fake_version_of};
    HOST_ABI abi;
    STATUS status;
    FAKE fake;

    fake_version = (ENGINE_VERSION){11, 3, 1};
    fill(&fake, 21, 4, 16);
    fake.members[20] = (void *)(uintptr_t)fake_get_foreign_api;
    CU_ASSERT_EQUAL(
      host_abi_detect_with((WT_CONNECTION *)(void *)&fake, &probe, &abi, &status), STATUS_CONFIG);
    CU_ASSERT_PTR_NULL(abi.api);
}

/* The list in messages fits its buffer, whatever the buffer. */
static void
list_is_bounded(void)
{
    char buf[512], small[8];

    CU_ASSERT_STRING_EQUAL(engine_layout_list(small, 1), "");
    CU_ASSERT(strlen(engine_layout_list(small, sizeof(small))) < sizeof(small));
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_layout_list(buf, sizeof(buf)), "3.2.0-3.2.2/20"));
    CU_ASSERT_PTR_NOT_NULL(strstr(buf, "12.0.0/22"));
}

/* --- the version string in a file */

static int
in_file(const char *content, size_t len, ENGINE_VERSION *version, STATUS *status)
{
    char path[5000];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/binary", test_scratch());
    CU_ASSERT_PTR_NOT_NULL_FATAL(f = fopen(path, "w"));
    CU_ASSERT_EQUAL(fwrite(content, 1, len, f), len);
    (void)fclose(f);
    return (engine_version_in_file(path, version, status));
}

#define IN_FILE(text) in_file(text, sizeof(text) - 1, &version, &status)

static void
version_string(void)
{
    ENGINE_VERSION version;
    STATUS status;

    CU_ASSERT_EQUAL(IN_FILE("\0junk WiredTiger X\0WiredTiger 11.3.1: (December)\0"), 0);
    CU_ASSERT(version.major == 11 && version.minor == 3 && version.patch == 1);
    CU_ASSERT_TRUE(engine_version_known(&version));
    /* The same twice is one; two different ones are a question, not a guess. */
    CU_ASSERT_EQUAL(IN_FILE("WiredTiger 3.2.1: (a) WiredTiger 3.2.1: (b)"), 0);
    CU_ASSERT_EQUAL(IN_FILE("WiredTiger 3.2.1: (a) WiredTiger 10.0.0: (b)"), STATUS_REFUSED);
    CU_ASSERT_STRING_EQUAL(status.id, "binary-two-engines");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "10.0.0"));
    /* None, cut off, or only nearly one. */
    CU_ASSERT_EQUAL(IN_FILE("no such thing in here"), STATUS_REFUSED);
    CU_ASSERT_EQUAL(IN_FILE("WiredTiger 3.2.1: "), STATUS_REFUSED);
    CU_ASSERT_EQUAL(IN_FILE("WiredTiger 3.2."), STATUS_REFUSED);
    CU_ASSERT_EQUAL(IN_FILE("WiredTiger 3.2.1 (x)"), STATUS_REFUSED);
    CU_ASSERT_EQUAL(IN_FILE("WiredTiger 3.2.1111: (x)"), STATUS_REFUSED);
    CU_ASSERT_EQUAL(IN_FILE(""), STATUS_REFUSED);
    CU_ASSERT_STRING_EQUAL(status.id, "binary-no-engine");
    CU_ASSERT_EQUAL(engine_version_in_file("/no/such/file", &version, &status), STATUS_IO);
    CU_ASSERT_EQUAL(engine_version_in_file("/proc", &version, &status), STATUS_REFUSED);
    version = (ENGINE_VERSION){9, 0, 0};
    CU_ASSERT_FALSE(engine_version_known(&version));
}

const TEST test_host_abi[] = {
  {"every_row", every_row},
  {"unknown_pairs", unknown_pairs},
  {"no_module_and_no_version", no_module_and_no_version},
  {"foreign_interface", foreign_interface},
  {"list_is_bounded", list_is_bounded},
  {"version_string", version_string},
  {NULL, NULL},
};
