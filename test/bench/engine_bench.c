/*
 * test/bench/engine_bench.c -- One workload in WiredTiger: plain, ours, and the peers, in alternating
 * rounds of one run, so that a noisy machine hits all alike.
 *
 *     engine_bench MODULE PEERS CONF [--rows N] [--rounds N] [--cache MB] [--json FILE]
 *
 * CONF is a wtkms.conf for MODULE. Phases: load, update, random read, scan; two threads, journal on,
 * snappy pages and log as mongod has it, commits not synced (mongod's default between journal
 * flushes). Prints the median of each phase as throughput relative to plain, and the same by the
 * processor time of the whole process, the engine's own threads included: where others use the machine
 * or its disk meanwhile, that one can still be trusted.
 */
#include <wiredtiger.h>

#include <sys/stat.h>

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2
#define ROUNDS_MAX 32
#define VALUE_BYTES 500
#define SAMPLE_EVERY 8 /* operations timed one by one for p99 */
#define SAMPLES_MAX 200000

enum { LOAD, UPDATE, READ, SCAN, PHASES };
enum { PLAIN, OURS, BARE, PERCALL, SODIUM, VARIANTS };

static const char *const phase_names[PHASES] = {"load", "update", "read", "scan"};
static const char *const variant_names[VARIANTS] = {"plain", "kms", "bare", "percall", "sodium"};
static const char *module, *peers, *conf;
static int rows = 200000, rounds = 5, cache_mb = 512;
static const char *json_path;

static double seconds_of[VARIANTS][PHASES][ROUNDS_MAX], p99_of[VARIANTS][PHASES][ROUNDS_MAX];
static double cpu_of[VARIANTS][PHASES][ROUNDS_MAX], bytes_of[VARIANTS][ROUNDS_MAX];

typedef struct {
    WT_CONNECTION *conn;
    int phase, number;
    unsigned samples;
    float *sample;
    int ret;
} WORKER;

static double
read_clock(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* Half of a value compresses away, as documents do. */
static void
make_value(char *value, uint64_t seed)
{
    int i;

    for (i = 0; i < VALUE_BYTES - 1; i++) {
        if (i % 16 == 0)
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        value[i] = (char)('a' + (i % 16 < 8 ? (seed >> (33 + i % 8 * 3)) % 26 : (unsigned)i % 8));
    }
    value[VALUE_BYTES - 1] = '\0';
}

static void *
work(void *arg)
{
    WORKER *w = arg;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    uint64_t random = 88172645463325252ULL + (uint64_t)w->number;
    char value[VALUE_BYTES];
    const char *got;
    double start = 0;
    int i;

    if ((w->ret = w->conn->open_session(w->conn, NULL, NULL, &session)) != 0 ||
        (w->ret = session->open_cursor(session, "table:bench", NULL, NULL, &cursor)) != 0)
        return (NULL);
    for (i = w->number; i < rows && w->ret == 0; i += THREADS) {
        if (i / THREADS % SAMPLE_EVERY == 0)
            start = read_clock(CLOCK_MONOTONIC);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if (w->phase == SCAN)
            w->ret = cursor->next(cursor);
        else {
            cursor->set_key(
              cursor, w->phase == LOAD ? (int64_t)i : (int64_t)(random % (uint64_t)rows));
            if (w->phase == READ)
                w->ret = cursor->search(cursor);
            else {
                make_value(value, random);
                cursor->set_value(cursor, value);
                w->ret = w->phase == LOAD ? cursor->insert(cursor) : cursor->update(cursor);
            }
        }
        if (w->ret == 0 && w->phase >= READ)
            w->ret = cursor->get_value(cursor, &got);
        if (i / THREADS % SAMPLE_EVERY == 0 && w->samples < SAMPLES_MAX)
            w->sample[w->samples++] = (float)(read_clock(CLOCK_MONOTONIC) - start);
    }
    if (w->phase == READ || w->phase == SCAN)
        (void)cursor->reset(cursor);
    (void)session->close(session, NULL);
    return (NULL);
}

static int
compare_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x < y ? -1 : x > y);
}

static int
run_phase(WT_CONNECTION *conn, int variant, int round, int phase)
{
    static float samples[THREADS * SAMPLES_MAX];
    WORKER workers[THREADS];
    WT_SESSION *session;
    pthread_t threads[THREADS];
    unsigned total = 0;
    double start, cpu;
    int i, ret = 0;

    memset(workers, 0, sizeof(workers));
    start = read_clock(CLOCK_MONOTONIC);
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    for (i = 0; i < THREADS; i++) {
        workers[i].conn = conn;
        workers[i].phase = phase;
        workers[i].number = i;
        workers[i].sample = samples + (size_t)i * SAMPLES_MAX;
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            return (-1);
    }
    for (i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        if (workers[i].ret != 0)
            ret = workers[i].ret;
        memmove(samples + total, workers[i].sample, workers[i].samples * sizeof(float));
        total += workers[i].samples;
    }
    /* What was written belongs to the phase that wrote it. */
    if (ret == 0 && phase <= UPDATE &&
        (ret = conn->open_session(conn, NULL, NULL, &session)) == 0) {
        ret = session->checkpoint(session, NULL);
        (void)session->close(session, NULL);
    }
    cpu_of[variant][phase][round] = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    seconds_of[variant][phase][round] = read_clock(CLOCK_MONOTONIC) - start;
    qsort(samples, total, sizeof(float), compare_float);
    p99_of[variant][phase][round] = total == 0 ? 0 : (double)samples[(size_t)total * 99 / 100];
    return (ret);
}

static double
clear_home(const char *home)
{
    struct dirent *entry;
    struct stat sb;
    char path[1024];
    double bytes = 0;
    DIR *dir;

    if ((dir = opendir(home)) == NULL)
        return (0);
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", home, entry->d_name);
        if (lstat(path, &sb) == 0 && S_ISREG(sb.st_mode)) {
            if (strcmp(entry->d_name, "bench.wt") == 0)
                bytes = (double)sb.st_size;
            (void)unlink(path);
        }
    }
    (void)closedir(dir);
    return (bytes);
}

static int
run_variant(const char *home, int variant, int round)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    char config[4096];
    int len, phase, ret;

    (void)clear_home(home);
    len = snprintf(config, sizeof(config),
      "create,cache_size=%dM,config_base=false,eviction=(threads_min=2,threads_max=2),"
      "checkpoint=(wait=60,log_size=2GB),log=(enabled=true,archive=true,compressor=snappy),"
      "extensions=[libwiredtiger_snappy.so",
      cache_mb);
    if (variant == OURS)
        (void)snprintf(config + len, sizeof(config) - (size_t)len,
          ",%s=(config=(config_file=%s))],encryption=(name=kms,keyid=default)", module, conf);
    else if (variant == PLAIN)
        (void)snprintf(config + len, sizeof(config) - (size_t)len, "]");
    else
        (void)snprintf(config + len, sizeof(config) - (size_t)len,
          ",%s=(config=(mode=%s))],encryption=(name=peer)", peers, variant_names[variant]);
    if ((ret = wiredtiger_open(home, NULL, config, &conn)) != 0)
        return (ret);
    if ((ret = conn->open_session(conn, NULL, NULL, &session)) == 0) {
        ret = session->create(session, "table:bench",
          "type=file,memory_page_max=10m,split_pct=90,leaf_value_max=64MB,checksum=on,"
          "prefix_compression,block_compressor=snappy,key_format=q,value_format=S");
        (void)session->close(session, NULL);
    }
    for (phase = 0; phase < PHASES && ret == 0; phase++)
        ret = run_phase(conn, variant, round, phase);
    (void)conn->close(conn, NULL);
    bytes_of[variant][round] = clear_home(home);
    return (ret);
}

static double
median_ratio(double of[ROUNDS_MAX], double to[ROUNDS_MAX])
{
    float ratios[ROUNDS_MAX];
    int i;

    for (i = 0; i < rounds; i++)
        ratios[i] = (float)(of[i] == 0 ? 1 : to[i] / of[i]);
    qsort(ratios, (size_t)rounds, sizeof(float), compare_float);
    return ((double)ratios[rounds / 2]);
}

static void
report_cpu(FILE *json)
{
    int phase, variant;

    (void)printf("work per processor time, relative to plain\n");
    if (json != NULL)
        (void)fprintf(json, ",\"workPerProcessorTime\":{");
    for (variant = OURS; variant < VARIANTS; variant++) {
        (void)printf("%-10s", variant_names[variant]);
        if (json != NULL)
            (void)fprintf(json, "%s\"%s\":{", variant == OURS ? "" : ",", variant_names[variant]);
        for (phase = 0; phase < PHASES; phase++) {
            double rate = median_ratio(cpu_of[variant][phase], cpu_of[PLAIN][phase]);

            (void)printf("%9.3f         ", rate);
            if (json != NULL)
                (void)fprintf(
                  json, "%s\"%s\":%.4f", phase == 0 ? "" : ",", phase_names[phase], rate);
        }
        (void)printf("\n");
        if (json != NULL)
            (void)fprintf(json, "}");
    }
    if (json != NULL)
        (void)fprintf(json, "}");
}

static void
report_to_bare(const char *what, double of[VARIANTS][PHASES][ROUNDS_MAX])
{
    int phase;

    (void)printf("kms relative to bare, by %s:", what);
    for (phase = 0; phase < PHASES; phase++)
        (void)printf(
          " %s %.3f", phase_names[phase], median_ratio(of[OURS][phase], of[BARE][phase]));
    (void)printf("\n");
}

static void
report(FILE *json)
{
    int phase, variant;

    (void)printf("cache %d MB, %d rows of %d bytes, %d rounds; throughput relative to plain "
                 "(p99 latency relative to plain)\n%-10s",
      cache_mb, rows, VALUE_BYTES, rounds, "");
    for (phase = 0; phase < PHASES; phase++)
        (void)printf("%18s", phase_names[phase]);
    (void)printf("%12s\n", "file size");
    if (json != NULL)
        (void)fprintf(
          json, "{\"cacheMB\":%d,\"rows\":%d,\"rounds\":%d,\"variants\":{", cache_mb, rows, rounds);
    for (variant = OURS; variant < VARIANTS; variant++) {
        (void)printf("%-10s", variant_names[variant]);
        if (json != NULL)
            (void)fprintf(json, "%s\"%s\":{", variant == OURS ? "" : ",", variant_names[variant]);
        for (phase = 0; phase < PHASES; phase++) {
            double rate = median_ratio(seconds_of[variant][phase], seconds_of[PLAIN][phase]);
            double p99 = 1 / median_ratio(p99_of[variant][phase], p99_of[PLAIN][phase]);

            (void)printf("%9.3f (%5.2f) ", rate, p99);
            if (json != NULL)
                (void)fprintf(json, "\"%s\":{\"throughput\":%.4f,\"p99\":%.4f},",
                  phase_names[phase], rate, p99);
        }
        (void)printf("%12.4f\n", 1 / median_ratio(bytes_of[variant], bytes_of[PLAIN]));
        if (json != NULL)
            (void)fprintf(
              json, "\"fileSize\":%.4f}", 1 / median_ratio(bytes_of[variant], bytes_of[PLAIN]));
    }
    if (json != NULL)
        (void)fprintf(json, "}");
    report_cpu(json);
    report_to_bare("throughput", seconds_of);
    report_to_bare("processor time", cpu_of);
    if (json != NULL)
        (void)fprintf(json, "}\n");
}

int
main(int argc, char **argv)
{
    char home[] = "/tmp/wtkms-bench-XXXXXX";
    FILE *json = NULL;
    int i, ret, round, variant;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: engine_bench MODULE PEERS CONF [--rows N] [--rounds N] "
                              "[--cache MB] [--json FILE]\n");
        return (2);
    }
    module = argv[1];
    peers = argv[2];
    conf = argv[3];
    for (i = 4; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rows") == 0)
            rows = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--cache") == 0)
            cache_mb = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--json") == 0)
            json_path = argv[i + 1];
    }
    if (rows < 1000 || rounds < 1 || rounds > ROUNDS_MAX || cache_mb < 1 || mkdtemp(home) == NULL)
        return (2);
    for (round = 0; round < rounds; round++)
        for (i = 0; i < VARIANTS; i++) {
            /* Another one first in each round, so that none always follows a busy disk. */
            variant = (i + round) % VARIANTS;
            if ((ret = run_variant(home, variant, round)) != 0) {
                (void)fprintf(stderr, "engine_bench: %s: %s\n", variant_names[variant],
                  wiredtiger_strerror(ret));
                return (1);
            }
        }
    if (json_path != NULL && (json = fopen(json_path, "w")) == NULL)
        perror(json_path);
    report(json);
    if (json != NULL)
        (void)fclose(json);
    (void)clear_home(home);
    (void)rmdir(home);
    return (0);
}
