/*
 * cli/home_status.c -- Looking at a home. See home_status.h.
 */
#include "cli/home_status.h"

#include "cli/home_access.h"
#include "cli/keystore_view.h"
#include "cli/output.h"
#include "cli/status_keys.h"
#include "common/file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void
home_status_warn(HOME_STATUS *home, const char *fmt, ...)
{
    va_list ap;
    char text[2048];

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    home->warnings = output_grow(home->warnings, home->warning_count + 1, sizeof(*home->warnings));
    home->warnings[home->warning_count++] = output_format("%s", text);
}

static char *
describe(const STATUS *status)
{
    char line[2048];

    return (output_format("%s", status_format(status, line, sizeof(line))));
}

static int
read_keystore(const TARGET *target, HOME_STATUS *home, STATUS *status)
{
    int ret;

    ret = keyring_locate(target->fd, target->settings, &home->found, &home->source, &home->keystore,
      NULL, NULL, status);
    if (ret == STATUS_CORRUPT || ret == STATUS_REFUSED || ret == STATUS_IO) {
        home->found = true;
        home->keystore_problem = describe(status);
        home_status_warn(home, "the keystore cannot be read: %s", home->keystore_problem);
        home->unjudged = true;
        ret = 0;
    }
    return (ret);
}

/*
 * The copy in WiredTiger.config against the keystore: what a backup of the engine's files will carry.
 */
static void
judge_mirror(HOME_STATUS *home)
{
    KEYSTORE *copy;
    STATUS status;

    if (home->keystore == NULL || home->source != KEYRING_FROM_FILE)
        return;
    if (!home->mirror.has_keystore) {
        home_status_warn(home,
          MIRROR_FILE " has no copy of the keystore: the engine's backups carry no keys; "
                      "\"wtkms init\" writes it");
        return;
    }
    if (keystore_decode(home->mirror.keystore, home->mirror.keystore_len, &copy, &status) != 0) {
        home_status_warn(
          home, "the copy of the keystore in " MIRROR_FILE " cannot be read: %s", status.message);
        return;
    }
    if (memcmp(copy->uuid, home->keystore->uuid, sizeof(copy->uuid)) != 0)
        home_status_warn(home, "the copy in " MIRROR_FILE " is of another keystore");
    else if (copy->generation < home->keystore->generation)
        home_status_warn(home,
          "the copy in " MIRROR_FILE " is behind: generation %lld, the keystore has %lld; "
          "\"wtkms init\" writes it anew",
          (long long)copy->generation, (long long)home->keystore->generation);
    else if (copy->partial)
        home_status_warn(home,
          "the copy in " MIRROR_FILE " is partial: the whole keystore does not fit, so keep "
          "backups of it or keystoreCopies");
    keystore_free(copy);
}

static int
read_mirror(const TARGET *target, HOME_STATUS *home, STATUS *status)
{
    uint8_t *text = NULL;
    size_t len;
    int ret;
    bool found;

    ret = file_read(target->fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &text, &len, status);
    if (ret == 0 && found) {
        home->has_config_file = true;
        ret = mirror_parse((const char *)text, len, &home->mirror, status);
    }
    free(text);
    if (ret == STATUS_NO_MEMORY)
        return (ret);
    if (ret != 0)
        home_status_warn(home, "%s: %s", MIRROR_FILE, status->message);
    else
        judge_mirror(home);
    return (0);
}

static int
check_seal(const TARGET *target, const LOG *log, HOME_STATUS *home, STATUS *status)
{
    KEYRING_OPTIONS options = {.log = log, .read_only = true};
    KEYRING *keyring;
    int ret;

    if (target->settings == NULL || home->keystore == NULL)
        return (0);
    ret = keyring_open(target->fd, target->settings, &options, &keyring, status);
    if (ret == STATUS_NO_MEMORY)
        return (ret);
    if (ret == 0) {
        home->seal = SEAL_VERIFIED;
        keyring_close(keyring);
        return (0);
    }
    home->seal_problem = describe(status);
    /* Only what was found wrong is a failure; a key service that does not answer proves nothing. */
    home->seal = ret == STATUS_CORRUPT ? SEAL_FAILED : SEAL_NOT_CHECKED;
    home->unjudged = true;
    home_status_warn(home, "the keystore was not opened: %s", home->seal_problem);
    return (0);
}

static int
look_for_host(const TARGET *target, HOME_STATUS *home, STATUS *status)
{
    int ret;

    if ((ret = state_file_read(target->fd, &home->state, status)) != 0) {
        if (ret == STATUS_NO_MEMORY)
            return (ret);
        home_status_warn(home, "%s", status->message);
    }
    /* A lock file that this user may not read says nothing; a copy's lock is nobody's. */
    if (target_host_running(target, &home->host_running, &home->host_pid, status) != 0)
        home_status_warn(home, "%s, so whether a host is running is not known", status->message);
    if (home->state != NULL && home->keystore != NULL && home->host_running &&
        home->state->closed_at == 0 && home->state->generation < home->keystore->generation)
        home_status_warn(home, "the host uses generation %lld, the keystore has %lld",
          (long long)home->state->generation, (long long)home->keystore->generation);
    return (0);
}

static void
judge_units(HOME_STATUS *home)
{
    const SURVEY *survey = &home->survey;
    const KEYSTORE_DATA_KEY *key;
    SURVEY_USE *uses;
    size_t count, i;

    if (survey->problems != 0) {
        home->unjudged = true;
        home_status_warn(home,
          "%llu blocks or records do not hold together, so their files may hold more",
          (unsigned long long)survey->problems);
    }
    if (survey->incomplete) {
        home->unjudged = true;
        home_status_warn(home,
          "WiredTiger.wt, or the file that says where its root is, is missing: this is not a whole "
          "home");
    }
    if (survey->units != 0 && survey->clear_records != 0)
        home_status_warn(home,
          "%llu clear records in the log of an encrypted home: the module refuses it",
          (unsigned long long)survey->clear_records);
    if (survey->units != 0 && !home->found) {
        home->unjudged = true;
        home_status_warn(home, "the data is encrypted and the keystore is missing");
    }
    if (home->keystore == NULL)
        return;
    if (survey->has_data && survey->units == 0)
        home_status_warn(home, "there is a keystore, but no page or log record is encrypted");
    count = survey_uses(survey, &uses);
    for (i = 0; i < count; i++) {
        key = keystore_data_key(home->keystore, uses[i].data_key_id);
        if (key != NULL && key->state != KEYSTORE_RETIRED)
            continue;
        home->unjudged = true;
        home_status_warn(home, "%llu units are under data key %016llx, which the keystore %s",
          (unsigned long long)uses[i].units, (unsigned long long)uses[i].data_key_id,
          key == NULL ? "does not have" : "has retired");
    }
    free(uses);
}

static void
warn_overdue(HOME_STATUS *home, const char *kind, uint64_t id, const char *of, const char *name,
  int64_t created, int64_t max_age)
{
    char age[OUTPUT_TIME_SIZE];

    if (status_keys_overdue(created, max_age))
        home_status_warn(home,
          "the %s %016llx of %s %s is overdue for rotation: %s old, the policy says %lldh", kind,
          (unsigned long long)id, of, name, output_age(created, age),
          (long long)(max_age / 3600000));
}

static void
judge_ages(const TARGET *target, HOME_STATUS *home)
{
    const KEYSTORE *keystore = home->keystore;
    size_t i;

    if (target->settings == NULL || keystore == NULL)
        return;
    home->master_key_max_age = target->settings->policy.master_key_max_age;
    home->data_key_max_age = target->settings->policy.data_key_max_age;
    for (i = 0; i < keystore->master_count; i++)
        if (keystore->masters[i].state == KEYSTORE_ACTIVE)
            warn_overdue(home, "master key", keystore->masters[i].id, "scope",
              keystore->masters[i].scope, keystore->masters[i].created, home->master_key_max_age);
    for (i = 0; i < keystore->data_key_count; i++)
        if (keystore->data_keys[i].state == KEYSTORE_ACTIVE)
            warn_overdue(home, "data key", keystore->data_keys[i].id, "keyid",
              keystore->data_keys[i].keyid, keystore->data_keys[i].created, home->data_key_max_age);
}

static void
judge_engine_lines(HOME_STATUS *home)
{
    if ((!home->found && home->survey.units == 0) || home->mirror.has_engine_lines)
        return;
    home_status_warn(home,
      MIRROR_FILE "%s: a mongod started without them takes the data for corrupted, and --repair "
                  "would destroy it; \"wtkms init\" writes them",
      home->has_config_file ? " has no lines that load the module" : " is missing");
}

int
home_status_gather(
  const TARGET *target, bool full, const LOG *log, HOME_STATUS *home, STATUS *status)
{
    int ret;

    memset(home, 0, sizeof(*home));
    home->path = target->path;
    home->full = full;
    if ((ret = read_keystore(target, home, status)) != 0 ||
        (ret = look_for_host(target, home, status)) != 0 ||
        (ret = survey_home(target, full, false, &home->survey, status)) != 0 ||
        (ret = read_mirror(target, home, status)) != 0)
        return (ret);
    judge_units(home);
    judge_engine_lines(home);
    if ((ret = check_seal(target, log, home, status)) != 0)
        return (ret);
    judge_ages(target, home);
    return (0);
}

void
home_status_release(HOME_STATUS *home)
{
    size_t i;

    survey_release(&home->survey);
    keystore_free(home->keystore);
    free(home->keystore_problem);
    free(home->seal_problem);
    mirror_release(&home->mirror);
    state_file_free(home->state);
    home_access_release(home);
    for (i = 0; i < home->warning_count; i++)
        free(home->warnings[i]);
    free(home->warnings);
    memset(home, 0, sizeof(*home));
}

const char *
home_status_encrypted(const HOME_STATUS *home)
{
    return (home->survey.units != 0 ? "yes" : home->survey.has_data ? "no" : "empty");
}

const char *
home_status_source(const HOME_STATUS *home)
{
    if (!home->found)
        return ("missing");
    if (home->keystore == NULL)
        return ("unreadable");
    return (keystore_view_source(home->source));
}

const char *
home_status_seal(const HOME_STATUS *home)
{
    return (home->seal == SEAL_VERIFIED ? "verified"
            : home->seal == SEAL_FAILED ? "failed"
                                        : "not checked");
}
