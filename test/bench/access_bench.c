/*
 * test/bench/access_bench.c -- A workload on an encrypted home, for test/bench/access: updates and reads at random
 * keys, two threads, journal on, checkpoints by the engine.
 *
 *     access_bench HOME OPERATIONS
 *
 * Prints, among what the engine says, "took" and three times in seconds: that it took, the processor's of the whole
 * process, and the processor's of the access check's thread alone. The home has WiredTiger.config; open
 * and close are not counted.
 */
#include <wiredtiger.h>

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 2
#define KEYS 20000
#define VALUE_BYTES 500

typedef struct {
    WT_CONNECTION *conn;
    long operations;
    uint64_t random;
    int ret;
} WORKER;

static double
seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

/* The file of a thread of this process; its first word, or its first number. */
static int
read_task(const char *task, const char *name, char *text, size_t size)
{
    char path[300];
    FILE *file;
    int ret;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, name);
    if ((file = fopen(path, "r")) == NULL)
        return (-1);
    ret = fgets(text, (int)size, file) == NULL ? -1 : 0;
    (void)fclose(file);
    return (ret);
}

static double
check_seconds(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    char text[200];
    double sum = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (read_task(entry->d_name, "comm", text, sizeof(text)) == 0 &&
            strcmp(text, "wtkms-access\n") == 0 &&
            read_task(entry->d_name, "schedstat", text, sizeof(text)) == 0)
            sum += strtod(text, NULL) / 1e9;
    if (dir != NULL)
        (void)closedir(dir);
    return (sum);
}

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return (*state ^= *state << 17);
}

static void *
work(void *arg)
{
    WORKER *worker = arg;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    const char *read;
    char value[VALUE_BYTES + 1];
    long i;

    if ((worker->ret = worker->conn->open_session(worker->conn, NULL, NULL, &session)) != 0 ||
        (worker->ret = session->open_cursor(session, "table:bench", NULL, NULL, &cursor)) != 0)
        return (NULL);
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    for (i = 0; i < worker->operations && worker->ret == 0; i++) {
        cursor->set_key(cursor, (int64_t)(next_random(&worker->random) % KEYS));
        if (i % 2 == 0) {
            (void)snprintf(value, 24, "%020llu", (unsigned long long)worker->random);
            value[20] = 'v';
            cursor->set_value(cursor, value);
            worker->ret = cursor->insert(cursor);
        } else if ((worker->ret = cursor->search(cursor)) == 0)
            worker->ret = cursor->get_value(cursor, &read);
        else if (worker->ret == WT_NOTFOUND)
            worker->ret = 0;
        if (worker->ret == WT_ROLLBACK)
            worker->ret = 0;
    }
    return (NULL);
}

int
main(int argc, char *argv[])
{
    WORKER workers[THREADS];
    pthread_t threads[THREADS];
    WT_CONNECTION *conn;
    WT_SESSION *session;
    double wall, cpu;
    int i, ret;

    if (argc != 3)
        return (2);
    if ((ret = wiredtiger_open(argv[1], NULL,
           "create,cache_size=32MB,log=(enabled,compressor=),checkpoint=(wait=1)", &conn)) != 0 ||
        (ret = conn->open_session(conn, NULL, NULL, &session)) != 0 ||
        (ret = session->create(session, "table:bench", "key_format=q,value_format=S")) != 0)
        goto err;
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (i = 0; i < THREADS; i++) {
        workers[i] = (WORKER){
          conn, strtol(argv[2], NULL, 10) / THREADS, UINT64_C(88172645463325252) + (uint64_t)i, 0};
        if ((ret = pthread_create(&threads[i], NULL, work, &workers[i])) != 0)
            goto err;
    }
    for (i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        if (ret == 0)
            ret = workers[i].ret;
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (ret == 0)
        (void)printf("took %.6f %.6f %.6f\n", wall, cpu, check_seconds());
    if (ret != 0 || (ret = conn->close(conn, NULL)) != 0)
        goto err;
    return (0);

err:
    (void)fprintf(stderr, "access_bench: %s\n", wiredtiger_strerror(ret));
    return (1);
}
