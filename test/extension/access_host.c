/*
 * test/extension/access_host.c -- A database as mongod is one, for test/cli/test_access.py: it writes all
 * the time, notes SIGTERM, and closes when its standard input ends. Its WiredTiger.config names the module.
 *
 * It prints "open", "SIGTERM" for each, and in the end "closed in N ms".
 */
#include <wiredtiger.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAUSE_MS 20

static volatile sig_atomic_t terms;

static void
on_term(int number)
{
    (void)number;
    terms++;
}

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* Write until the input ends. */
static int
serve(WT_CONNECTION *conn)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    WT_SESSION *session;
    WT_CURSOR *cursor;
    int64_t key = 0;
    int ret, ready, told = 0;

    if ((ret = conn->open_session(conn, NULL, NULL, &session)) != 0 ||
        (ret = session->create(session, "table:host", "key_format=q,value_format=S")) != 0 ||
        (ret = session->open_cursor(session, "table:host", NULL, NULL, &cursor)) != 0)
        return (ret);
    for (;;) {
        cursor->set_key(cursor, key++);
        cursor->set_value(cursor, "value");
        if ((ret = cursor->insert(cursor)) != 0)
            return (ret);
        if (key % 10 == 0 && (ret = session->checkpoint(session, NULL)) != 0)
            return (ret);
        while (told < terms) {
            (void)printf("SIGTERM\n");
            told++;
        }
        ready = poll(&input, 1, PAUSE_MS);
        if (ready > 0)
            return (0);
        if (ready < 0 && errno != EINTR)
            return (errno);
    }
}

int
main(int argc, char *argv[])
{
    struct sigaction action;
    WT_CONNECTION *conn;
    int64_t start;
    int ret;

    if (argc != 2)
        return (2);
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_term;
    (void)sigaction(SIGTERM, &action, NULL);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if ((ret = wiredtiger_open(argv[1], NULL, "create", &conn)) != 0) {
        (void)fprintf(stderr, "open: %s\n", wiredtiger_strerror(ret));
        return (1);
    }
    (void)printf("open\n");
    if ((ret = serve(conn)) != 0)
        (void)fprintf(stderr, "serve: %s\n", wiredtiger_strerror(ret));
    start = now_ms();
    if ((ret = conn->close(conn, NULL)) != 0)
        (void)fprintf(stderr, "close: %s\n", wiredtiger_strerror(ret));
    (void)printf("closed in %lld ms\n", (long long)(now_ms() - start));
    return (ret == 0 ? 0 : 1);
}
