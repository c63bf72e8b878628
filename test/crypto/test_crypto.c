/*
 * test/crypto/test_crypto.c -- The suites of crypto/, and what they share.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const TEST_SUITE test_suites[] = {{"first", tests_first}, {"encode", tests_encode},
  {"mac", tests_mac}, {"secret", tests_secret}, {"xaes", tests_xaes}, {"unit", tests_unit},
  {"slot pool", tests_slot_pool}, {"streams", tests_streams}, {"threads", tests_threads},
  {"memory", tests_memory}, {"rsa", tests_rsa}, {"rsa_sign", tests_rsa_sign},
  {"fault", tests_fault}, {NULL, NULL}};

static void
die(const char *what)
{
    fprintf(stderr, "test_crypto: %s\n", what);
    exit(1);
}

static void
vector_clear(VECTOR *vector)
{
    unsigned i;

    for (i = 0; i < vector->count; i++)
        free(vector->fields[i].data);
    memset(vector, 0, sizeof(*vector));
}

static void
vector_add(VECTOR *vector, char *line)
{
    STATUS status;
    char *hex = strchr(line, '=');
    unsigned i = vector->count;

    if (hex == NULL || i == VECTOR_FIELDS || sscanf(line, "%31s", vector->fields[i].name) != 1)
        die("a line of a vector file");
    hex++;
    hex += strspn(hex, " ");
    vector->fields[i].len = strlen(hex) / 2;
    if ((vector->fields[i].data = malloc(strlen(hex) / 2 + 1)) == NULL ||
        encode_hex_decode(hex, strlen(hex), vector->fields[i].data, &status) != 0)
        die("the hexadecimal of a vector file");
    vector->count++;
}

unsigned
vectors_each(const char *file, void (*check)(const VECTOR *vector))
{
    VECTOR vector;
    FILE *fp;
    char path[4096], line[4096];
    unsigned count = 0;

    memset(&vector, 0, sizeof(vector));
    (void)snprintf(path, sizeof(path), "%s/vectors/%s", TEST_SRCDIR, file);
    if ((fp = fopen(path, "r")) == NULL)
        die(path);
    for (;;) {
        if (fgets(line, sizeof(line), fp) == NULL)
            line[0] = '\0';
        else if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            vector_add(&vector, line);
        else {
            if (vector.count > 0) {
                check(&vector);
                count++;
            }
            vector_clear(&vector);
            if (feof(fp))
                break;
        }
    }
    (void)fclose(fp);
    return (count);
}

const uint8_t *
vector_get(const VECTOR *vector, const char *name, size_t *lenp)
{
    unsigned i;

    for (i = 0; i < vector->count; i++)
        if (strcmp(vector->fields[i].name, name) == 0) {
            *lenp = vector->fields[i].len;
            return (vector->fields[i].data);
        }
    die(name);
    return (NULL);
}

SECRET *
test_secret(const void *data, size_t len)
{
    STATUS status;
    SECRET *secret;

    if (secret_new_copy(data, len, &secret, &status) != 0)
        die(status.message);
    return (secret);
}

void
units_open(UNITS *units)
{
    STATUS status;

    units->secret = test_secret("0123456789abcdef0123456789ABCDEF", 32);
    if (unit_cipher_library_open(&status) != 0 ||
        unit_key_new(TEST_KEY_ID, units->secret, &units->key, &status) != 0 ||
        unit_cipher_new(units->key, &units->cipher, &status) != 0)
        die(status.message);
}

void
units_close(UNITS *units)
{
    unit_cipher_free(units->cipher);
    unit_key_free(units->key);
    unit_cipher_library_close();
    secret_free(units->secret);
}

int
in_child(int (*run)(void *context), void *context)
{
    pid_t pid;
    int status;

    (void)fflush(NULL);
    if ((pid = fork()) < 0)
        die("fork");
    if (pid == 0) {
        /* The sanitizers' handlers would turn a signal into an exit. */
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        (void)alarm(60);
        status = run(context);
        /* exit writes down what a coverage build counted; a leak checker would count the parent's. */
        if (UNDER_SANITIZER)
            _exit(status);
        exit(status);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    return (WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
