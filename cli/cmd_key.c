/*
 * cli/cmd_key.c -- wtkms key list.
 */
#include "cli/cli.h"
#include "cli/keystore_view.h"
#include "cli/target.h"

#include <stdlib.h>

static void
print_table(const KEYSTORE *keystore, KEYRING_SOURCE source)
{
    const KEYSTORE_DATA_KEY *key;
    const KEYSTORE_MASTER *master;
    OUTPUT_TABLE *table;
    char age[OUTPUT_TIME_SIZE], created[OUTPUT_TIME_SIZE], uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    keystore_uuid_text(keystore->uuid, uuid);
    (void)printf("Keystore %s, generation %lld, read from the %s. Seal: not checked.\n", uuid,
      (long long)keystore->generation, keystore_view_source(source));
    table = output_table_new("MASTER KEY", "SCOPE", "STATE", "CREATED", "AGE", "RECIPIENTS", NULL);
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        output_table_cell(table, "%016llx", (unsigned long long)master->id);
        output_table_cell(table, "%s", master->scope);
        output_table_cell(table, "%s", keystore_state_name(master->state));
        output_table_cell(table, "%s", output_time(master->created, created));
        output_table_cell(table, "%s", output_age(master->created, age));
        output_table_cell(table, "%zu", master->recipient_count);
    }
    output_table_print(table, 0, stdout);
    (void)putchar('\n');
    table =
      output_table_new("KEYID", "VERSION", "STATE", "ID", "CREATED", "AGE", "MASTER KEY", NULL);
    for (i = 0; i < keystore->data_key_count; i++) {
        key = &keystore->data_keys[i];
        output_table_cell(table, "%s", key->keyid);
        output_table_cell(table, "%u", (unsigned)key->version);
        output_table_cell(table, "%s", keystore_state_name(key->state));
        output_table_cell(table, "%016llx", (unsigned long long)key->id);
        output_table_cell(table, "%s", output_time(key->created, created));
        output_table_cell(table, "%s", output_age(key->created, age));
        output_table_cell(table, "%016llx", (unsigned long long)key->master_key_id);
    }
    output_table_print(table, 0, stdout);
}

int
cmd_key_list(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *keystore = NULL;
    TARGET target;
    bson_t json;
    int ret;
    bool found;

    (void)cli;
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if (options->config != NULL && (ret = target_load(&target, options->config, status)) != 0)
        goto err;
    if ((ret = keyring_locate(
           target.fd, target.settings, &found, &source, &keystore, NULL, NULL, status)) != 0)
        goto err;
    if (!found) {
        ret = status_set(
          status, STATUS_NO_KEY, "keystore-missing", "%s has no keystore", options->operands[0]);
        (void)status_hint(status, "a keystore kept elsewhere is named by --config");
        goto err;
    }
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        keystore_view_header(&json, keystore);
        output_json_text(&json, "source", keystore_view_source(source));
        output_json_text(&json, "seal", "not checked");
        keystore_view_masters(&json, keystore, false);
        keystore_view_data_keys(&json, keystore, false);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
    } else
        print_table(keystore, source);

err:
    keystore_free(keystore);
    target_close(&target);
    return (ret);
}
