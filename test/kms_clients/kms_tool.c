/*
 * test/kms_clients/kms_tool.c -- One entry of `kms:` driven from a test: JSON lines in, JSON lines out.
 *
 *   kms_tool --config FILE [--entry N] wrap|unwrap|describe|wrap-many
 *
 * Every line of stdin is answered by a line, all by one open client. wrap reads "plaintext" (base64)
 * and the context "uuid" (32 hexadecimal digits), "master_key_id", "scope"; unwrap reads "wrapped" and
 * "key_id" beside that; describe reads "key_id", which may be missing; wrap-many reads "count" beside
 * what wrap reads, and answers the last. "timeout_ms" is the limit of a call, by default the entry's.
 * A failure is {"ok":false,"class":..,"id":..,"message":..,"hint":..}; the exit code is 1 after one.
 */
#include "common/clock.h"
#include "common/file.h"
#include "crypto/encode.h"
#include "kms_clients/json.h"
#include "kms_clients/kms_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (64 * 1024)

static int
bad_input(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_CONFIG, "kms-tool", "%s is missing or wrong", what));
}

static void
write_line(JSON_WRITER *writer)
{
    SECRET *text;
    STATUS s;

    if (json_writer_finish(writer, &text, &s) != 0) {
        (void)fprintf(stderr, "kms_tool: %s\n", s.message);
        exit(2);
    }
    (void)fwrite(secret_bytes(text), 1, secret_len(text), stdout);
    (void)putchar('\n');
    (void)fflush(stdout);
    secret_free(text);
}

static void
answer_error(const STATUS *status)
{
    JSON_WRITER *writer = json_writer_new();

    json_put_bool(writer, "ok", false);
    json_put_string(writer, "class", status_class_name(status->status_class));
    json_put_string(writer, "id", status->id);
    json_put_string(writer, "message", status->message);
    json_put_string(writer, "hint", status->hint);
    write_line(writer);
}

static int
read_context(const JSON *in, KMS_CONTEXT *context, STATUS *status)
{
    const char *uuid = json_string(in, "uuid");
    int64_t id;

    if (uuid == NULL || strlen(uuid) != 32 ||
        encode_hex_decode(uuid, 32, context->keystore_uuid, status) != 0)
        return (bad_input(status, "uuid"));
    if (!json_int(in, "master_key_id", &id))
        return (bad_input(status, "master_key_id"));
    context->master_key_id = (uint64_t)id;
    if ((context->scope = json_string(in, "scope")) == NULL)
        return (bad_input(status, "scope"));
    return (0);
}

static int
read_bytes(const JSON *in, const char *name, SECRET **bytesp, STATUS *status)
{
    const char *text = json_string(in, name);

    *bytesp = NULL;
    if (text == NULL || encode_base64_decode_secret(text, strlen(text), bytesp, status) != 0)
        return (bad_input(status, name));
    return (0);
}

static int
wrap(KMS_CLIENT *client, int timeout_ms, const JSON *in, int64_t count, STATUS *status)
{
    KMS_CONTEXT context;
    KMS_WRAPPED wrapped;
    JSON_WRITER *writer;
    SECRET *plaintext = NULL;
    int64_t started = 0;
    int ret;

    if ((ret = read_context(in, &context, status)) != 0 ||
        (ret = read_bytes(in, "plaintext", &plaintext, status)) != 0)
        return (ret);
    memset(&wrapped, 0, sizeof(wrapped));
    for (; ret == 0 && count > 0; count--) {
        kms_wrapped_release(&wrapped);
        started = clock_ms();
        ret = kms_client_wrap(client, timeout_ms, &context, plaintext, &wrapped, status);
    }
    secret_free(plaintext);
    if (ret != 0)
        return (ret);
    writer = json_writer_new();
    json_put_bool(writer, "ok", true);
    json_put_string(writer, "key_id", wrapped.key_id);
    json_put_string(writer, "credential", wrapped.credential);
    json_put_base64(writer, "wrapped", wrapped.wrapped, wrapped.wrapped_len, false);
    json_put_int(writer, "ms", clock_ms() - started);
    write_line(writer);
    kms_wrapped_release(&wrapped);
    return (0);
}

static int
unwrap(KMS_CLIENT *client, int timeout_ms, const JSON *in, STATUS *status)
{
    KMS_CONTEXT context;
    KMS_RECORDED recorded;
    JSON_WRITER *writer;
    SECRET *wrapped = NULL, *plaintext = NULL;
    int ret;

    if ((ret = read_context(in, &context, status)) != 0 ||
        (ret = read_bytes(in, "wrapped", &wrapped, status)) != 0)
        return (ret);
    recorded.provider = kms_client_provider(client);
    recorded.key_id = json_string(in, "key_id");
    recorded.wrapped = secret_bytes(wrapped);
    recorded.wrapped_len = secret_len(wrapped);
    ret = recorded.key_id == NULL
            ? bad_input(status, "key_id")
            : kms_client_unwrap(client, timeout_ms, &context, &recorded, &plaintext, status);
    secret_free(wrapped);
    if (ret != 0)
        return (ret);
    writer = json_writer_new();
    json_put_bool(writer, "ok", true);
    json_put_base64(writer, "plaintext", secret_bytes(plaintext), secret_len(plaintext), false);
    write_line(writer);
    secret_free(plaintext);
    return (0);
}

static int
describe(KMS_CLIENT *client, int timeout_ms, const JSON *in, STATUS *status)
{
    static const char *const states[] = {[KMS_KEY_ENABLED] = "enabled",
      [KMS_KEY_DISABLED] = "disabled",
      [KMS_KEY_PENDING_DELETION] = "pending deletion",
      [KMS_KEY_UNKNOWN] = "unknown"};
    KMS_KEY_INFO info;
    JSON_WRITER *writer;

    if (kms_client_describe(client, timeout_ms, json_string(in, "key_id"), &info, status) != 0)
        return ((int)status->status_class);
    writer = json_writer_new();
    json_put_bool(writer, "ok", true);
    json_put_string(writer, "state", states[info.state]);
    json_put_string(writer, "key_id", info.key_id);
    json_put_string(writer, "detail", info.detail);
    write_line(writer);
    return (0);
}

static int
answer(KMS_CLIENT *client, const char *command, const char *line, size_t len, STATUS *status)
{
    JSON *in;
    int64_t timeout = kms_client_timeout(client), count = 1;
    int ret;

    if (json_parse(line, len, &in, status) != 0)
        return ((int)status->status_class);
    (void)json_int(in, "timeout_ms", &timeout);
    if (timeout <= 0 || timeout > 600000)
        timeout = 10000;
    if (strcmp(command, "wrap-many") == 0 && (!json_int(in, "count", &count) || count < 1))
        ret = bad_input(status, "count");
    else if (strncmp(command, "wrap", 4) == 0)
        ret = wrap(client, (int)timeout, in, count, status);
    else if (strcmp(command, "unwrap") == 0)
        ret = unwrap(client, (int)timeout, in, status);
    else
        ret = describe(client, (int)timeout, in, status);
    json_free(in);
    return (ret);
}

static int
open_entry(const char *path, long number, const LOG *log, KMS_CLIENT **clientp, STATUS *status)
{
    CONFIG_NODE *root = NULL;
    const CONFIG_NODE *entry;
    uint8_t *text = NULL;
    size_t len;
    int ret;

    if ((ret = file_read(AT_FDCWD, path, CONFIG_MAX_BYTES, false, NULL, &text, &len, status)) != 0)
        return (ret);
    ret = config_parse_yaml((const char *)text, len, path, &root, status);
    free(text);
    if (ret != 0)
        return (ret);
    entry = config_get(root, "kms");
    for (entry = entry == NULL ? NULL : entry->children; entry != NULL && number > 0; number--)
        entry = entry->next;
    ret = entry == NULL ? bad_input(status, "the entry of kms")
                        : kms_client_open(entry, log, clientp, status);
    config_free(root);
    return (ret);
}

static void
log_line(void *context, LOG_LEVEL level, const char *line)
{
    (void)context;
    (void)fprintf(stderr, "%d %s\n", (int)level, line);
}

static int
usage(void)
{
    (void)fprintf(
      stderr, "usage: kms_tool --config FILE [--entry N] wrap|unwrap|describe|wrap-many\n");
    return (2);
}

int
main(int argc, char *argv[])
{
    static const LOG log = {log_line, NULL};
    static const char *const commands[] = {"wrap", "unwrap", "describe", "wrap-many"};
    static char line[LINE_MAX_BYTES];
    KMS_CLIENT *client = NULL;
    STATUS s;
    const char *config = NULL, *command = NULL;
    long number = 0;
    size_t i;
    int failures = 0;

    for (i = 1; i < (size_t)argc; i++)
        if (strcmp(argv[i], "--config") == 0 && i + 1 < (size_t)argc)
            config = argv[++i];
        else if (strcmp(argv[i], "--entry") == 0 && i + 1 < (size_t)argc)
            number = strtol(argv[++i], NULL, 10);
        else
            command = argv[i];
    for (i = 0; command != NULL && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(command, commands[i]) == 0)
            break;
    if (config == NULL || command == NULL || i == sizeof(commands) / sizeof(commands[0]))
        return (usage());
    status_clear(&s);
    if (open_entry(config, number, &log, &client, &s) != 0) {
        answer_error(&s);
        return (1);
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        status_clear(&s);
        if (answer(client, command, line, strlen(line), &s) != 0) {
            answer_error(&s);
            failures++;
        }
    }
    secret_wipe(line, sizeof(line));
    kms_client_close(client);
    return (failures == 0 ? 0 : 1);
}
