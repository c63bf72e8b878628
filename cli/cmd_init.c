/*
 * cli/cmd_init.c -- wtkms init: a keystore, and the lines that bring the module into the engine.
 *
 * Nothing is written before everything was checked: the configuration, the module, the user's own
 * lines, what kind of home this is. Then the keystore comes first and the engine's lines last, so
 * that an engine never loads the module in a home that has no keys.
 */
#include "cli/cli.h"
#include "cli/engine_lines.h"
#include "cli/keystore_view.h"
#include "cli/prove.h"
#include "cli/survey.h"
#include "cli/target.h"
#include "common/file.h"
#include "datafile/home.h"
#include "keystore/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 30000
#define ENGINE_CONFIG_MAX (1024 * 1024)

const OPTIONS_ENTRY cmd_init_options[] = {
  {"module", 0, OPTIONS_TEXT, "PATH", offsetof(OPTIONS, module), NULL, 0, 0,
    "The module; by default where it was installed."},
  {"extensions", 0, OPTIONS_TEXT, "LIST", offsetof(OPTIONS, extensions), NULL, 0, 0,
    "Other extensions of the host: ours would replace them."},
  {"uninstall", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, uninstall), NULL, 0, 0,
    "Remove the lines again; refused while data is encrypted."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

typedef struct {
    char *module, *config; /* absolute */
    char *old_text;        /* of WiredTiger.config, or NULL */
    size_t old_len;
    char *others; /* extensions to repeat, or "" */
    char *lines;
    bool created, adopted, proved;
} INIT;

static void
release(INIT *init)
{
    free(init->module);
    free(init->config);
    free(init->old_text);
    free(init->others);
    free(init->lines);
}

/*
 * The engine resolves paths in its own working directory, so they are made absolute; links stay, for
 * what they point at may change (mounted configurations do).
 */
static int
absolute(const char *path, char **absolutep, STATUS *status)
{
    char cwd[4096];

    *absolutep = NULL;
    if (path[0] == '/') {
        *absolutep = output_format("%s", path);
        return (0);
    }
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        return (status_set_errno(status, errno, "working-directory", "the working directory"));
    *absolutep = output_format("%s/%s", cwd, path);
    return (0);
}

static int
check_module(const char *path, STATUS *status)
{
    int fd;

    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        (void)status_set_errno(status, errno, "module-missing", "the module %s", path);
        return (status_hint(status, "--module names it"));
    }
    (void)close(fd);
    return (0);
}

/*
 * The user's lines alone, each where it stands in the file: ours are blanked out.
 */
static int
check_users_lines(const INIT *init, STATUS *status)
{
    static const char *const keys[] = {"extensions", "encryption"};
    MIRROR mirror;
    char *at, *text, *value = NULL;
    unsigned line;
    size_t i;
    int ret;

    if (init->old_text == NULL)
        return (0);
    if ((ret = mirror_parse(init->old_text, init->old_len, &mirror, status)) != 0 &&
        ret != STATUS_CORRUPT)
        return (ret);
    text = output_allocate(init->old_len + 1, 1);
    memcpy(text, init->old_text, init->old_len);
    if (ret == 0 && mirror.engine_lines != NULL && mirror.engine_lines[0] != '\0' &&
        (at = memmem(text, init->old_len, mirror.engine_lines, strlen(mirror.engine_lines))) !=
          NULL)
        for (i = 0; i < strlen(mirror.engine_lines); i++)
            if (at[i] != '\n')
                at[i] = ' ';
    for (ret = 0, i = 0; ret == 0 && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if ((ret = engine_lines_find(text, init->old_len, keys[i], &line, &value, status)) != 0) {
            (void)status_add(status, "in %s", MIRROR_FILE);
            break;
        }
        if (value != NULL) {
            ret = status_set(status, STATUS_REFUSED, "engine-lines-conflict",
              "line %u of " MIRROR_FILE " is a line of your own with %s=", line, keys[i]);
            (void)status_hint(status, strcmp(keys[i], "extensions") == 0
                                        ? "remove it and name its extensions with --extensions"
                                        : "remove it");
        }
        free(value);
    }
    free(text);
    mirror_release(&mirror);
    return (ret);
}

static int
read_config_file(const TARGET *target, INIT *init, STATUS *status)
{
    uint8_t *text = NULL;
    int ret;
    bool found;

    if ((ret = file_read(target->fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &text,
           &init->old_len, status)) != 0)
        return (ret);
    init->old_text = found ? (char *)text : NULL;
    if (!found)
        free(text);
    return (0);
}

/*
 * Our list replaces every earlier one, so what others would lose is repeated in it.
 */
static int
find_others(CLI *cli, const TARGET *target, const OPTIONS *options, INIT *init, STATUS *status)
{
    uint8_t *text = NULL;
    char *list = NULL;
    size_t len;
    int ret;
    bool found;

    if (options->extensions != NULL) {
        if ((ret = engine_lines_others(options->extensions, &init->others, status)) != 0)
            (void)status_add(status, "in --extensions");
        return (ret);
    }
    if ((ret = file_read(target->fd, ENGINE_LINES_BASECFG, ENGINE_CONFIG_MAX, true, &found, &text,
           &len, status)) != 0)
        return (ret);
    if (found && ((ret = engine_lines_find(
                     (const char *)text, len, "extensions", NULL, &list, status)) != 0 ||
                   (list != NULL && (ret = engine_lines_others(list, &init->others, status)) != 0)))
        (void)status_add(status, "in %s", ENGINE_LINES_BASECFG);
    if (ret == 0 && init->others != NULL && init->others[0] != '\0')
        log_printf(&cli->log, LOG_INFO,
          "the extensions that %s names are repeated, since the last list replaces the others: %s",
          ENGINE_LINES_BASECFG, init->others);
    free(text);
    free(list);
    return (ret);
}

/*
 * The lines that an earlier run wrote also name extensions that --extensions gave then.
 */
static int
keep_earlier_others(CLI *cli, INIT *init, STATUS *status)
{
    MIRROR mirror;
    char *list = NULL;
    int ret;

    if (init->old_text == NULL || (init->others != NULL && init->others[0] != '\0'))
        return (0);
    if ((ret = mirror_parse(init->old_text, init->old_len, &mirror, status)) != 0)
        return (ret == STATUS_CORRUPT ? 0 : ret);
    if (mirror.engine_lines != NULL &&
        (ret = engine_lines_find(mirror.engine_lines, strlen(mirror.engine_lines), "extensions",
           NULL, &list, status)) == 0 &&
        list != NULL) {
        free(init->others);
        ret = engine_lines_others(list, &init->others, status);
        if (ret == 0 && init->others[0] != '\0')
            log_printf(
              &cli->log, LOG_INFO, "the extensions named before are kept: %s", init->others);
    }
    free(list);
    mirror_release(&mirror);
    return (ret);
}

static int
refuse_without_keystore(const TARGET *target, const SURVEY *survey, STATUS *status)
{
    if (survey->units != 0) {
        (void)status_set(status, STATUS_NO_KEY, "keystore-missing",
          "%s has encrypted data (%s) and no keystore; a new one could not read it", target->path,
          survey->evidence);
        return (status_hint(
          status, "put it back: wtkms keystore restore --from a backup or one of keystoreCopies"));
    }
    (void)status_set(status, STATUS_REFUSED, "plain-home", "%s has data that is not encrypted (%s)",
      target->path, survey->evidence);
    return (status_hint(status, "prepare an empty home and move the data there: by an initial sync "
                                "from another member, or by "
                                "dump and restore"));
}

static int
create_keystore(const TARGET *target, const KEYRING_OPTIONS *options, INIT *init,
  KEYRING **keyringp, STATUS *status)
{
    SURVEY survey;
    int ret;

    memset(&survey, 0, sizeof(survey));
    if ((ret = home_refuse_unfinished(target->fd, status)) == 0 &&
        (ret = survey_home(target, false, true, &survey, status)) == 0) {
        if (survey.has_data)
            ret = refuse_without_keystore(target, &survey, status);
        else if ((ret = target_refuse_running(target, status)) == 0 &&
                 (ret = keyring_create(
                    target->fd, target->settings, options, false, keyringp, status)) == 0)
            init->created = true;
    }
    survey_release(&survey);
    return (ret);
}

static int
open_keystore(const TARGET *target, const KEYRING_OPTIONS *options, INIT *init, KEYRING **keyringp,
  STATUS *status)
{
    SURVEY survey;
    int ret;

    memset(&survey, 0, sizeof(survey));
    if ((ret = home_refuse_unfinished(target->fd, status)) != 0 ||
        (ret = keyring_open(target->fd, target->settings, options, keyringp, status)) != 0 ||
        (ret = prove_home(target, *keyringp, &init->proved, status)) != 0)
        goto err;
    if (!init->proved) {
        if ((ret = survey_home(target, false, true, &survey, status)) != 0)
            goto err;
        if (survey.has_data && survey.plain_tables != 0) {
            ret = refuse_without_keystore(target, &survey, status);
            goto err;
        }
    }
    if (keyring_source(*keyringp) != KEYRING_FROM_FILE) {
        if ((ret = keyring_adopt(*keyringp, "wtkms init", status)) != 0)
            goto err;
        init->adopted = true;
    }
    keyring_repair_copies(*keyringp);

err:
    survey_release(&survey);
    return (ret);
}

static int
report(
  const OPTIONS *options, const TARGET *target, const INIT *init, KEYRING *keyring, STATUS *status)
{
    const KEYSTORE *keystore = keyring_hold_keystore(keyring);
    bson_t json;
    char *home, uuid[KEYSTORE_UUID_TEXT];
    const char *done = init->created ? "made" : init->adopted ? "restored" : "verified";
    size_t i, r;
    int ret = 0;

    keystore_uuid_text(keystore->uuid, uuid);
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "home", target->path);
        output_json_text(&json, "keystore", done);
        output_json_bool(&json, "proved", init->proved);
        output_json_text(&json, "engineLines", init->lines);
        keystore_view_header(&json, keystore);
        keystore_view_masters(&json, keystore, false);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
    } else {
        home = output_safe(target->path);
        (void)printf("%s: keystore %s %s, generation %lld, opens with:\n", home, uuid, done,
          (long long)keystore->generation);
        for (i = 0; i < keystore->master_count; i++)
            for (r = 0; r < keystore->masters[i].recipient_count; r++)
                (void)printf("  %s: %s %s\n", keystore->masters[i].scope,
                  keystore->masters[i].recipients[r].provider,
                  keystore->masters[i].recipients[r].key_id);
        if (init->proved)
            (void)printf("It decrypts the data of this home.\n");
        (void)printf(
          "%s/%s loads the module at the next start of the database.\n", home, MIRROR_FILE);
        free(home);
    }
    keyring_release_keystore(keyring, keystore);
    return (ret);
}

static int
install(CLI *cli, TARGET *target, const OPTIONS *options, INIT *init, STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .defer_repair = true};
    KEYRING_SOURCE source;
    KEYSTORE *keystore = NULL;
    KEYRING *keyring = NULL;
    int ret;
    bool found;

    if ((ret = absolute(
           options->module == NULL ? WTKMS_MODULE : options->module, &init->module, status)) != 0 ||
        (ret = absolute(options->config == NULL ? CLI_DEFAULT_CONFIG : options->config,
           &init->config, status)) != 0 ||
        (ret = target_load(target, init->config, status)) != 0 ||
        (ret = check_module(init->module, status)) != 0 ||
        (ret = check_users_lines(init, status)) != 0 ||
        (ret = find_others(cli, target, options, init, status)) != 0 ||
        (ret = keep_earlier_others(cli, init, status)) != 0 ||
        (ret = engine_lines_make(init->module, init->config, init->others, &init->lines, status)) !=
          0 ||
        (ret = keyring_locate(
           target->fd, target->settings, &found, &source, &keystore, NULL, NULL, status)) != 0)
        goto err;
    if ((ret = found ? open_keystore(target, &keyring_options, init, &keyring, status)
                     : create_keystore(target, &keyring_options, init, &keyring, status)) != 0 ||
        (ret = keyring_write_mirror(keyring, init->lines, status)) != 0)
        goto err;
    ret = report(options, target, init, keyring, status);

err:
    keystore_free(keystore);
    keyring_close(keyring);
    return (ret);
}

static int
uninstall(const TARGET *target, const OPTIONS *options, const INIT *init, STATUS *status)
{
    SURVEY survey;
    bson_t json;
    char *home, *text = NULL;
    size_t len;
    int ret;

    if ((ret = survey_home(target, false, true, &survey, status)) != 0)
        goto err;
    if (survey.units != 0 || survey.problems != 0) {
        ret = status_set(status, STATUS_REFUSED, "still-encrypted",
          survey.units != 0 ? "%s has encrypted data (%s): without the module it cannot be read"
                            : "%s has blocks that cannot be judged (%s)",
          target->path, survey.evidence == NULL ? "" : survey.evidence);
        goto err;
    }
    if (init->old_text != NULL) {
        if ((ret = mirror_render(
               init->old_text, init->old_len, "", NULL, 0, false, &text, &len, status)) != 0)
            goto err;
        if (len == 0 && unlinkat(target->fd, MIRROR_FILE, 0) != 0)
            ret = status_set_errno(status, errno, "mirror-remove", "removing %s", MIRROR_FILE);
        else if (len != 0)
            ret = file_replace(target->fd, MIRROR_FILE, text, len, 0644, false, status);
        if (ret != 0)
            goto err;
    }
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "home", target->path);
        output_json_bool(&json, "uninstalled", true);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
    } else {
        home = output_safe(target->path);
        (void)printf(
          "%s: %s no longer loads the module. The keystore was left.\n", home, MIRROR_FILE);
        free(home);
    }

err:
    free(text);
    survey_release(&survey);
    return (ret);
}

int
cmd_init(CLI *cli, const OPTIONS *options, STATUS *status)
{
    INIT init;
    TARGET target;
    int ret;

    memset(&init, 0, sizeof(init));
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = read_config_file(&target, &init, status)) == 0)
        ret = options->uninstall ? uninstall(&target, options, &init, status)
                                 : install(cli, &target, options, &init, status);
    release(&init);
    target_close(&target);
    return (ret);
}
