/*
 * test/engine/test_wt.c -- The engine's own tool on an encrypted home: create, load, dump, verify,
 * printlog, salvage. It is told no more than the server is.
 */
#include "test/engine/tests.h"

#define TABLE "table:tool"
#define LOADED "table:loaded"

/* Run wt and fail the test, showing what it printed, unless it succeeds. */
#define WT(host, outputp, ...)                                                    \
    do {                                                                          \
        char *wt_output = NULL;                                                   \
        int wt_exit = wt_run((host), &wt_output, __VA_ARGS__, NULL);              \
        if (wt_exit != 0)                                                         \
            printf("\n    wt %s: exit %d: %s", #__VA_ARGS__, wt_exit, wt_output); \
        CU_ASSERT_EQUAL_FATAL(wt_exit, 0);                                        \
        if ((outputp) != NULL)                                                    \
            *(char **)(outputp) = wt_output;                                      \
        else                                                                      \
            free(wt_output);                                                      \
    } while (0)
#define NOTHING ((char **)NULL)

static void
check_table(HOST *host, const char *uri)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, uri, 1, 1500, 0, 100);
    rows_count(host, session, uri, NULL, 1500);
    OK(host, host_close(host));
}

/* Dump one table and load the text into another. */
static void
dump_and_load(HOST *host)
{
    char dump[PATH_MAX], *output;

    (void)snprintf(dump, sizeof(dump), "%s.dump", host->home);
    WT(host, NOTHING, "dump", "-f", dump, TABLE);
    WT(host, NOTHING, "load", "-f", dump, "-r", "loaded");
    check_table(host, LOADED);
    WT(host, &output, "dump", "-x", LOADED);
    CU_ASSERT(strstr(output, "Data") != NULL);
    free(output);
    /* The engine's text file of what is secret lies beside the home, not in it. */
    REQUIRE(remove(dump) == 0);
}

/* The log as text: records that insert rows, and with keys and values where wt can show them. */
static void
print_log(HOST *host)
{
    char *output;

#if ENGINE_VERSION >= 100000
    /* Redacted unless asked. */
    WT(host, &output, "printlog", "-u");
#else
    WT(host, &output, "printlog");
#endif
    CU_ASSERT(strstr(output, "\"optype\": \"row_put\"") != NULL);
    CU_ASSERT(strstr(output, MARKER "-key-0000001500") != NULL);
    free(output);
}

static void
tool(HOST *host)
{
    WT_SESSION *session;
    char *output;

    /* wt makes no directory for the journal. */
    OK(host, host_open(host, NULL));
    OK(host, host_close(host));
    WT(host, NOTHING, "create", "-c",
      "key_format=S,value_format=S,leaf_page_max=8KB,log=(enabled=true)", TABLE);
    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_put(host, session, TABLE, 1, 1500, 0, 100);
    OK(host, host_close(host));
    print_log(host);

    WT(host, &output, "list");
    CU_ASSERT(strstr(output, TABLE) != NULL);
    free(output);
    WT(host, &output, "dump", TABLE);
    CU_ASSERT(strstr(output, MARKER "-key-0000000777") != NULL);
    free(output);
    WT(host, &output, "read", TABLE, MARKER "-key-0000000042");
    CU_ASSERT(strstr(output, MARKER " 42 0 ") != NULL);
    free(output);
    WT(host, NOTHING, "verify", TABLE);
    WT(host, NOTHING, "stat", TABLE);
    dump_and_load(host);

    WT(host, NOTHING, "write", TABLE, MARKER "-key-9", MARKER " written by wt");
    WT(host, &output, "read", TABLE, MARKER "-key-9");
    CU_ASSERT(strstr(output, MARKER " written by wt") != NULL);
    free(output);
    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_count(host, session, TABLE, NULL, 1501);
    OK(host, host_close(host));

    WT(host, NOTHING, "truncate", LOADED);
    WT(host, NOTHING, "compact", LOADED);
    WT(host, NOTHING, "salvage", "file:tool.wt");
    WT(host, NOTHING, "verify", TABLE);
    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, TABLE, 1, 1500, 0, 100);
    rows_count(host, session, TABLE, NULL, 1501);
    rows_count(host, session, LOADED, NULL, 0);
}

static void
test_tool(void)
{
    engine_scenario("tool", tool);
}

const TEST wt_tests[] = {
  {"wt: create, load, dump, verify, printlog, salvage", test_tool}, {NULL, NULL}};
