/*
 * test/engine/engine.c -- Hosts, scenarios and rows of the engine tests. See engine.h.
 */
#include "test/engine/engine.h"

#include <sys/stat.h>
#include <time.h>

static HOST *hosts;

bool
engine_long(void)
{
    const char *value = getenv("WTKMS_LONG");

    return (value != NULL && strcmp(value, "1") == 0);
}

double
engine_seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

uint32_t
engine_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8);
}

void
engine_ok(HOST *host, int ret, const char *what, const char *file, int line)
{
    if (ret == 0) {
        CU_assertImplementation(CU_TRUE, (unsigned)line, what, file, "", CU_FALSE);
        return;
    }
    printf("\n    %s:%d: %s: %d %s\n    the engine said: %s", file, line, what, ret,
      wiredtiger_strerror(ret),
      host == NULL || host->errors[0] == '\0' ? "nothing\n" : host->errors);
    CU_assertImplementation(CU_FALSE, (unsigned)line, what, file, "", CU_TRUE);
}

static int
on_error(WT_EVENT_HANDLER *handler, WT_SESSION *session, int error, const char *message)
{
    HOST *host = (HOST *)handler;
    size_t used = strlen(host->errors);

    (void)session;
    (void)error;
    (void)snprintf(host->errors + used, sizeof(host->errors) - used, "%s\n", message);
    return (0);
}

static int
on_message(WT_EVENT_HANDLER *handler, WT_SESSION *session, const char *message)
{
    (void)handler;
    (void)session;
    (void)message;
    return (0);
}

/*
 * The open string of the mongod that carries each engine, as their logs show it ("Opening
 * WiredTiger", "wiredtiger_open config"). The cache size comes in front, ours and the compatibility
 * setting after. mongod has snappy and zlib built in; here they are loaded.
 */
#if ENGINE_VERSION < 100000
/* 4.2. */
#define MONGOD_OPEN                                                                          \
    "cache_overflow=(file_max=0M),session_max=33000,eviction=(threads_min=4,threads_max=4)," \
    "config_base=false,statistics=(fast),log=(enabled=true,archive=true,path=journal,"       \
    "compressor=snappy),file_manager=(close_idle_time=100000,close_scan_interval=10,"        \
    "close_handle_minimum=250),statistics_log=(wait=0),verbose=[recovery_progress,"          \
    "checkpoint_progress],"
#define MONGOD_COMPATIBILITY ",compatibility=(require_min=\"3.2.0\")"
#elif ENGINE_VERSION < 110000
/* 4.4.5 to 5.0. */
#define MONGOD_OPEN                                                                            \
    "session_max=33000,eviction=(threads_min=4,threads_max=4),config_base=false,"              \
    "statistics=(fast),log=(enabled=true,archive=true,path=journal,compressor=snappy),"        \
    "builtin_extension_config=(zstd=(compression_level=6)),file_manager=(close_idle_time=600," \
    "close_scan_interval=10,close_handle_minimum=250),statistics_log=(wait=0),"                \
    "verbose=[recovery_progress,checkpoint_progress,compact_progress],"
#define MONGOD_COMPATIBILITY ",compatibility=(require_min=\"10.0.0\")"
#else
/*
 * 6.1 to 8.0; only 8.0 asks for prefetch. 8.0's engine still calls the category "evict"; the archive
 * of 11.3.1 has its later name already and refuses the other.
 */
#if ENGINE_VERSION < 110300
#define MONGOD_EVICT "evict:0,"
#define MONGOD_PREFETCH ""
#else
#define MONGOD_EVICT "eviction:0,"
#define MONGOD_PREFETCH "prefetch=(available=true,default=false),"
#endif
#define MONGOD_OPEN                                                                               \
    "session_max=33000,eviction=(threads_min=4,threads_max=4),config_base=false,"                 \
    "statistics=(fast),log=(enabled=true,remove=true,path=journal,compressor=snappy),"            \
    "builtin_extension_config=(zstd=(compression_level=6)),file_manager=(close_idle_time=600,"    \
    "close_scan_interval=10,close_handle_minimum=2000),statistics_log=(wait=0),"                  \
    "json_output=(error,message),verbose=[recovery_progress:1,checkpoint_progress:1,"             \
    "compact_progress:1,backup:0,checkpoint:0,compact:0," MONGOD_EVICT                            \
    "history_store:0,recovery:0,rts:0,salvage:0,tiered:0,timestamp:0,transaction:0,verify:0,log:" \
    "0]," MONGOD_PREFETCH
#define MONGOD_COMPATIBILITY ",compatibility=(require_min=\"10.0.0\")"
#endif

const char *
mongod_collection(bool logged)
{
    return (logged ? "type=file,memory_page_max=10m,split_pct=90,leaf_value_max=64MB,checksum=on,"
                     "block_compressor=snappy,,key_format=q,value_format=u,"
                     "app_metadata=(formatVersion=1),log=(enabled=true)"
                   : "type=file,memory_page_max=10m,split_pct=90,leaf_value_max=64MB,checksum=on,"
                     "block_compressor=snappy,,key_format=q,value_format=u,"
                     "app_metadata=(formatVersion=1),log=(enabled=false)");
}

const char *
mongod_index(bool logged)
{
    return (logged ? "type=file,internal_page_max=16k,leaf_page_max=16k,checksum=on,"
                     "prefix_compression=true,block_compressor=,,,key_format=u,value_format=u,"
                     "app_metadata=(formatVersion=8),log=(enabled=true)"
                   : "type=file,internal_page_max=16k,leaf_page_max=16k,checksum=on,"
                     "prefix_compression=true,block_compressor=,,,key_format=u,value_format=u,"
                     "app_metadata=(formatVersion=8),log=(enabled=false)");
}

static const char *
required_env(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL || value[0] == '\0') {
        fprintf(stderr, "%s is not set: start the engine tests with test/engine/run\n", name);
        exit(1);
    }
    return (value);
}

static void
compressors(char *buf, size_t size)
{
    const char *dir = required_env("ENGINE_DIR");

    (void)snprintf(
      buf, size, "%s/lib/libwiredtiger_snappy.so,%s/lib/libwiredtiger_zlib.so", dir, dir);
}

void
host_engine_config(const HOST *host, char *buf, size_t size)
{
    char libs[2 * PATH_MAX];

    compressors(libs, sizeof(libs));
    if (!host->encrypted || !host->via_string)
        (void)snprintf(buf, size, "extensions=[%s],", libs);
    else
        (void)snprintf(buf, size,
          "extensions=[%s,%s=(config=(config_file=%s))],encryption=(name=kms,keyid=default),", libs,
          required_env("WTKMS_MODULE"), host->config_file);
}

const char *
host_wt_config(const HOST *host)
{
    static char config[4 * PATH_MAX];
    size_t used;

    host_engine_config(host, config, sizeof(config));
    used = strlen(config);
    (void)snprintf(config + used, sizeof(config) - used, "%s",
      host->wt_without_log ? "" : "log=(enabled=true,path=journal,compressor=snappy)");
    return (config);
}

int
host_open(HOST *host, const char *extra)
{
    char config[8 * PATH_MAX], ours[4 * PATH_MAX], journal[PATH_MAX];
    bool read_only = extra != NULL && strstr(extra, "readonly=true") != NULL;

    REQUIRE(host->conn == NULL);
    /* mongod makes the journal's directory before it opens the engine. */
    path_join(journal, sizeof(journal), host->home, "journal");
    if (!read_only)
        REQUIRE(mkdir(journal, 0700) == 0 || errno == EEXIST);
    host->errors[0] = '\0';
    host->handler.handle_error = on_error;
    host->handler.handle_message = on_message;
    host_engine_config(host, ours, sizeof(ours));
    /* A log file is allocated at once: 100 MB would be most of the tests' time, and never be full. */
    (void)snprintf(config, sizeof(config), "create,cache_size=%uM,%s%s%s,log=(file_max=4MB)%s%s",
      host->cache_mb, MONGOD_OPEN, ours, MONGOD_COMPATIBILITY, extra == NULL ? "" : ",",
      extra == NULL ? "" : extra);
    return (wiredtiger_open(host->home, &host->handler, config, &host->conn));
}

int
host_close(HOST *host)
{
    WT_CONNECTION *conn = host->conn;

    host->conn = NULL;
    return (conn == NULL ? 0 : conn->close(conn, NULL));
}

WT_SESSION *
host_session(HOST *host)
{
    WT_SESSION *session = NULL;

    OK(host, host->conn->open_session(host->conn, NULL, "isolation=snapshot", &session));
    return (session);
}

void
host_verify(HOST *host, WT_SESSION *session, const char *uri)
{
    int ret, tries;

    for (tries = 0; (ret = session->verify(session, uri, NULL)) == EBUSY; tries++) {
        REQUIRE(tries < 100);
        (void)usleep(50000);
        OK(host, session->checkpoint(session, NULL));
    }
    OK(host, ret);
}

static HOST *
host_alloc(const char *name, const char *suffix, bool encrypted)
{
    HOST *host;
    const char *via = getenv("ENGINE_VIA");

    host = calloc(1, sizeof(*host));
    REQUIRE(host != NULL);
    host->encrypted = encrypted;
    host->via_string = via != NULL && strcmp(via, "string") == 0;
    host->cache_mb = 64;
    (void)snprintf(host->name, sizeof(host->name), "%s%s", name, suffix);
    (void)snprintf(host->home, sizeof(host->home), "%s/%s", test_scratch(), host->name);
    host->next = hosts;
    hosts = host;
    REQUIRE(mkdir(host->home, 0700) == 0);
    return (host);
}

/* One key file and one configuration for each host: no host can open another's home. */
static void
host_configure(HOST *host)
{
    char key[PATH_MAX], tenant[PATH_MAX], text[4 * PATH_MAX], name[128];

    (void)snprintf(key, sizeof(key), "%s.key", host->home);
    (void)snprintf(tenant, sizeof(tenant), "%s.tenant.key", host->home);
    (void)snprintf(host->config_file, sizeof(host->config_file), "%s.conf", host->home);
    REQUIRE(program_run(NULL,
              (const char *const[]){required_env("WTKMS_COMMAND"), "keygen", key, NULL}) == 0);
    REQUIRE(program_run(NULL,
              (const char *const[]){required_env("WTKMS_COMMAND"), "keygen", tenant, NULL}) == 0);
    (void)snprintf(text, sizeof(text),
      "node: test\n"
      "kms:\n"
      "  - provider: local\n"
      "    keyFile: %s\n"
      "keys:\n"
      "  scoped:\n"
      "    kms:\n"
      "      - provider: local\n"
      "        keyFile: %s\n",
      key, tenant);
    (void)snprintf(name, sizeof(name), "%s.conf", host->name);
    file_write(test_scratch(), name, text, strlen(text), 0600);
}

HOST *
host_new(const char *name, bool encrypted)
{
    HOST *host;
    char *output = NULL, libs[2 * PATH_MAX];

    host = host_alloc(name, encrypted ? "" : ".plain", encrypted);
    if (!encrypted)
        return (host);
    host_configure(host);
    if (host->via_string)
        return (host);
    compressors(libs, sizeof(libs));
    if (wtkms_run(host, &output, "init", host->home, "--module", required_env("WTKMS_MODULE"),
          "--extensions", libs, NULL) != 0) {
        printf("\n    wtkms init: %s", output);
        CU_FAIL_FATAL("wtkms init");
    }
    free(output);
    return (host);
}

HOST *
host_copy(const HOST *of, const char *name)
{
    HOST *host;
    char suffix[96];

    (void)snprintf(suffix, sizeof(suffix), ".%s", name);
    host = host_alloc(of->name, suffix, of->encrypted);
    memcpy(host->config_file, of->config_file, sizeof(host->config_file));
    host->cache_mb = of->cache_mb;
    return (host);
}

void
hosts_clear(void)
{
    HOST *host;

    while ((host = hosts) != NULL) {
        hosts = host->next;
        (void)host_close(host);
        /* Journals are allocated in 100 MB: homes are not kept until the program ends. */
        files_remove(host->home);
        free(host);
    }
}

/* What wtkms says of a home that was just written: all of it authenticates, none of it is clear. */
static void
wtkms_checks(HOST *host)
{
    char *output = NULL;

    if (wtkms_run(host, &output, "check", host->home, NULL) != 0) {
        printf("\n    wtkms check: %s", output);
        CU_FAIL("wtkms check finds fault with a sound home");
    }
    free(output);
}

void
engine_scenario(const char *name, SCENARIO scenario)
{
    HOST *host;
    int64_t hits;

    hosts_clear();
    host = host_new(name, true);
    scenario(host);
    OK(host, host_close(host));
    wtkms_checks(host);
    CU_ASSERT_EQUAL(hits = files_search(host->home, MARKER), 0);
    if (hits != 0)
        printf("\n    %s: %lld pieces of plaintext", host->home, (long long)hits);

    host = host_new(name, false);
    scenario(host);
    OK(host, host_close(host));
    CU_ASSERT(files_search(host->home, MARKER) > 0);
    hosts_clear();
}

void
engine_encrypted(const char *name, SCENARIO scenario)
{
    HOST *host;

    hosts_clear();
    host = host_new(name, true);
    scenario(host);
    hosts_clear();
}
