/*
 * test/bench/rotate_bench.c -- What rotations cost: customer and master keys of a keystore of 10,000
 * keyids, and the rows a second that a database writes while its data keys are rotated.
 *
 *     rotate_bench CONF MODULE [--json FILE]
 *
 * CONF is a wtkms.conf with a local key, so the key service's time is next to nothing. Times are of
 * this machine and this run; of a rotation also the processor's time, which other work on the machine does
 * not lengthen. MODULE "-": the keystore's rotations alone.
 */
#include "common/file.h"
#include "rotation/rotate.h"
#include "test/bench/bench_support.h"

#include <wiredtiger.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEYIDS 10000
#define ROUNDS 10
#define WRITERS 4
#define PHASE_MS 3000
#define PHASES 3 /* before, during, after; the best of several cancels what the machine did else */

static STATUS status;
static SETTINGS *settings;
static KEYRING_OPTIONS keyring_options = {.kms_timeout_ms = 5000};
static ROTATE_OPTIONS options = {.kms_timeout_ms = 5000};

static void
check(int ret, const char *what)
{
    bench_check(ret, &status, what);
}

/* --- a large keystore */

typedef enum { CMK, MASTER, DATA } KIND;

/* The best of several. */
typedef struct {
    double wall_ms, cpu_ms;
} TIMES;

static double
cpu_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ((double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6);
}

static TIMES
time_rotation(int home_fd, KIND kind)
{
    ROTATE_RESULT result;
    TIMES best = {1e12, 1e12};
    double cpu_start, start, took;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        cpu_start = cpu_ms();
        start = bench_now_ms();
        check(kind == CMK ? rotate_cmk(home_fd, settings, NULL, &options, &result, &status)
              : kind == MASTER
                ? rotate_master(home_fd, settings, NULL, &options, &result, &status)
                : rotate_data(home_fd, settings, "default", &options, &result, &status),
          "rotation");
        took = bench_now_ms() - start;
        best.wall_ms = took < best.wall_ms ? took : best.wall_ms;
        took = cpu_ms() - cpu_start;
        best.cpu_ms = took < best.cpu_ms ? took : best.cpu_ms;
        rotate_release(&result);
    }
    return (best);
}

/* --- a database under load */

static atomic_llong written;
static atomic_bool stop;
static WT_CONNECTION *conn;

static void *
write_rows(void *context)
{
    WT_CURSOR *cursor;
    WT_SESSION *session;
    char value[400];
    int64_t key = 0;

    memset(value, '.', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    if (conn->open_session(conn, NULL, NULL, &session) != 0 ||
        session->create(session, context, "key_format=q,value_format=S") != 0 ||
        session->open_cursor(session, context, NULL, NULL, &cursor) != 0)
        exit(1);
    while (!atomic_load(&stop)) {
        /* The same rows again and again: the cache and the files stay as large. */
        cursor->set_key(cursor, key++ % 20000);
        cursor->set_value(cursor, value);
        if (cursor->insert(cursor) != 0)
            exit(1);
        atomic_fetch_add(&written, 1);
    }
    return (NULL);
}

/* Rows a second, and what one costs the processor; of several phases the best of each. */
typedef struct {
    double rows, cpu_us;
} RATE;

/* with_rotations: a new data key each half second meanwhile. */
static void
phase(int home_fd, bool with_rotations, RATE *best)
{
    const struct timespec step = {0, 500000000};
    ROTATE_RESULT result;
    RATE rate;
    double cpu_start = cpu_ms(), start = bench_now_ms();
    int64_t before = atomic_load(&written), rows;

    while (bench_now_ms() - start < PHASE_MS) {
        if (with_rotations) {
            check(rotate_data(home_fd, settings, NULL, &options, &result, &status), "rotate data");
            rotate_release(&result);
        }
        (void)nanosleep(&step, NULL);
    }
    rows = atomic_load(&written) - before;
    rate.rows = (double)rows / (bench_now_ms() - start) * 1e3;
    rate.cpu_us = (cpu_ms() - cpu_start) * 1e3 / (double)rows;
    best->rows = rate.rows > best->rows ? rate.rows : best->rows;
    best->cpu_us = rate.cpu_us < best->cpu_us ? rate.cpu_us : best->cpu_us;
}

static void
under_load(
  const char *home, int home_fd, const char *conf, const char *module, RATE *before, RATE *during)
{
    static char tables[WRITERS][16] = {"table:w0", "table:w1", "table:w2", "table:w3"};
    pthread_t threads[WRITERS];
    char config[2048];
    RATE warm = {0, 1e12};
    int i;

    (void)snprintf(config, sizeof(config),
      "create,cache_size=256M,log=(enabled=true),checkpoint=(wait=2),extensions=[%s=(config=("
      "config_"
      "file=%s))],encryption=(name=kms,keyid=default)",
      module, conf);
    if (wiredtiger_open(home, NULL, config, &conn) != 0)
        exit(1);
    for (i = 0; i < WRITERS; i++)
        if (pthread_create(&threads[i], NULL, write_rows, tables[i]) != 0)
            exit(1);
    *before = *during = warm;
    phase(home_fd, false, &warm);
    for (i = 0; i < PHASES; i++) {
        phase(home_fd, false, before);
        phase(home_fd, true, during);
    }
    atomic_store(&stop, true);
    for (i = 0; i < WRITERS; i++)
        (void)pthread_join(threads[i], NULL);
    if (conn->close(conn, NULL) != 0)
        exit(1);
}

/* Below TMPDIR, which who runs this removes. */
static int
make_home(char home[256])
{
    const char *below = getenv("TMPDIR");
    int fd;

    (void)snprintf(home, 256, "%s/wtkms-rotate-XXXXXX", below == NULL ? "/tmp" : below);
    if (mkdtemp(home) == NULL)
        exit(1);
    check(file_open_dir(home, &fd, &status), home);
    return (fd);
}

static void
write_json(const char *path, TIMES cmk, TIMES master, TIMES data, RATE before, RATE during)
{
    FILE *json;

    if ((json = fopen(path, "we")) == NULL)
        exit(1);
    (void)fprintf(json,
      "{\"keyids\": %d, \"rotate_cmk_ms\": %.1f, \"rotate_cmk_cpu_ms\": %.1f, "
      "\"rotate_master_ms\": %.1f, \"rotate_master_cpu_ms\": %.1f, \"rotate_data_ms\": %.1f, "
      "\"rotate_data_cpu_ms\": %.1f, \"rows_before\": %.0f, \"rows_during\": %.0f, "
      "\"row_cpu_us_before\": %.2f, \"row_cpu_us_during\": %.2f}\n",
      KEYIDS, cmk.wall_ms, cmk.cpu_ms, master.wall_ms, master.cpu_ms, data.wall_ms, data.cpu_ms,
      before.rows, during.rows, before.cpu_us, during.cpu_us);
    if (fclose(json) != 0)
        exit(1);
}

int
main(int argc, char **argv)
{
    char keys_home[256], load_home[256];
    KEYRING *keyring;
    TIMES cmk, data, master;
    RATE before = {0, 0}, during = {0, 0};
    int count = KEYIDS, keys_fd;

    if (argc < 3) {
        (void)fprintf(stderr, "usage: rotate_bench CONF MODULE [--json FILE]\n");
        return (2);
    }
    check(settings_load(argv[1], &settings, &status), argv[1]);
    keys_fd = make_home(keys_home);
    check(keyring_create(keys_fd, settings, &keyring_options, false, &keyring, &status), "create");
    check(keyring_update(keyring, "bench", NULL, bench_add_keyids, &count, &status), "add");
    keyring_close(keyring);
    cmk = time_rotation(keys_fd, CMK);
    master = time_rotation(keys_fd, MASTER);
    data = time_rotation(keys_fd, DATA);
    (void)printf(
      "%d keyids, ms (of the processor): rotate cmk %.1f (%.1f), rotate master %.1f (%.1f), "
      "rotate data --keyid %.1f (%.1f); wanted of the first two: 100\n",
      KEYIDS, cmk.wall_ms, cmk.cpu_ms, master.wall_ms, master.cpu_ms, data.wall_ms, data.cpu_ms);
    if (strcmp(argv[2], "-") != 0) {
        under_load(load_home, make_home(load_home), argv[1], argv[2], &before, &during);
        (void)printf("rows a second: %.0f, and %.0f with a new data key each half second: %.3f "
                     "(wanted: 0.98)\n",
          before.rows, during.rows, during.rows / before.rows);
        (void)printf("processor a row: %.2f us, and %.2f us: %.3f\n", before.cpu_us, during.cpu_us,
          before.cpu_us / during.cpu_us);
    }
    if (argc == 5 && strcmp(argv[3], "--json") == 0)
        write_json(argv[4], cmk, master, data, before, during);
    return (0);
}
