/*
 * kms_clients/aws_profile.c -- The AWS tools' shared files. See aws_profile.h.
 *
 * A file is parsed in its own secret memory: sections, names and values are pointers into it.
 */
#include "kms_clients/aws_profile.h"

#include "common/file.h"
#include "crypto/secret.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FILES_MAX 8
#define BLANKS " \t\r"

typedef struct {
    const char *profile;
    const char *name;
    const char *value; /* "" in the entry that a section's header makes */
} ENTRY;

struct aws_profiles {
    SECRET *texts[FILES_MAX];
    size_t text_count;
    ENTRY *entries;
    size_t count, room;
};

int
aws_profiles_new(AWS_PROFILES **profilesp, STATUS *status)
{
    if ((*profilesp = calloc(1, sizeof(**profilesp))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for profiles"));
    return (0);
}

void
aws_profiles_free(AWS_PROFILES *profiles)
{
    size_t i;

    if (profiles == NULL)
        return;
    for (i = 0; i < profiles->text_count; i++)
        secret_free(profiles->texts[i]);
    free(profiles->entries);
    free(profiles);
}

static int
bad_line(const char *path, unsigned line, const char *why, STATUS *status)
{
    return (status_set(status, STATUS_CONFIG, "kms-aws-profile", "%s:%u: %s", path, line, why));
}

static int
add(
  AWS_PROFILES *profiles, const char *profile, const char *name, const char *value, STATUS *status)
{
    ENTRY *entries;
    size_t room;

    if (profiles->count == profiles->room) {
        room = profiles->room == 0 ? 32 : 2 * profiles->room;
        if ((entries = reallocarray(profiles->entries, room, sizeof(*entries))) == NULL)
            return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for profiles"));
        profiles->entries = entries;
        profiles->room = room;
    }
    profiles->entries[profiles->count].profile = profile;
    profiles->entries[profiles->count].name = name;
    profiles->entries[profiles->count++].value = value;
    return (0);
}

static char *
trim(char *text)
{
    size_t len;

    text += strspn(text, BLANKS);
    for (len = strlen(text); len > 0 && strchr(BLANKS, text[len - 1]) != NULL; len--)
        text[len - 1] = '\0';
    return (text);
}

/* A section's header: the profile's name, NULL for sections of other things, "" for a wrong one. */
static const char *
profile_name(char *header, bool config)
{
    static const char word[] = "profile";
    char *end = strchr(header, ']'), *name;
    size_t len;

    if (end == NULL)
        return ("");
    *end = '\0';
    name = trim(header);
    if (config && strcmp(name, "default") != 0) {
        if (strncmp(name, word, sizeof(word) - 1) != 0 ||
            strchr(BLANKS, name[sizeof(word) - 1]) == NULL || name[sizeof(word) - 1] == '\0')
            return (NULL); /* "sso-session x", "services y", "preview" */
        name = trim(name + sizeof(word) - 1);
    }
    len = strlen(name);
    if (len >= 2 && (name[0] == '"' || name[0] == '\'') && name[len - 1] == name[0]) {
        name[len - 1] = '\0';
        name++;
    }
    return (name);
}

typedef struct {
    const char *section; /* NULL: of other things */
    size_t indent;       /* of the last line that was no continuation */
    bool in_section, has_name;
} POSITION;

static int
parse_line(AWS_PROFILES *profiles, const char *path, bool config, unsigned number, char *line,
  POSITION *at, STATUS *status)
{
    size_t indent = strspn(line, BLANKS);
    char *text = trim(line), *separator;
    const char *section;

    if (*text == '\0' || *text == '#' || *text == ';')
        return (0);
    if (at->has_name && indent > at->indent)
        return (0);
    at->indent = indent;
    if (*text == '[') {
        if ((section = profile_name(text + 1, config)) != NULL && *section == '\0')
            return (bad_line(path, number, "a section without a name or ']'", status));
        at->section = section;
        at->in_section = true;
        at->has_name = false;
        return (section == NULL ? 0 : add(profiles, section, "", "", status));
    }
    if (!at->in_section)
        return (bad_line(path, number, "a value before the first section", status));
    if ((separator = strpbrk(text, "=:")) == NULL || separator == text)
        return (bad_line(path, number, "a line that is no \"name = value\"", status));
    *separator = '\0';
    at->has_name = true;
    return (at->section == NULL
              ? 0
              : add(profiles, at->section, trim(text), trim(separator + 1), status));
}

static int
parse_text(AWS_PROFILES *profiles, const char *path, bool config, char *text, STATUS *status)
{
    POSITION at = {NULL, 0, false, false};
    char *end;
    unsigned number;

    for (number = 1; text != NULL; number++, text = end) {
        if ((end = strchr(text, '\n')) != NULL)
            *end++ = '\0';
        if (parse_line(profiles, path, config, number, text, &at, status) != 0)
            return ((int)status->status_class);
        if (profiles->count > AWS_PROFILE_VALUES_MAX)
            return (bad_line(path, number, "too many values", status));
    }
    return (0);
}

/* Takes over text, which ends with a NUL. */
static int
parse_secret(AWS_PROFILES *profiles, const char *path, bool config, SECRET *text, STATUS *status)
{
    size_t len = secret_len(text) - 1;

    if (profiles->text_count == FILES_MAX || memchr(secret_bytes(text), 0, len) != NULL) {
        secret_free(text);
        return (bad_line(path, 1, "no text, or one file too many", status));
    }
    profiles->texts[profiles->text_count++] = text;
    return (parse_text(profiles, path, config, (char *)secret_data(text), status));
}

int
aws_profiles_parse(AWS_PROFILES *profiles, const char *path, bool config, const void *text,
  size_t len, STATUS *status)
{
    SECRET *copy;

    if (len > AWS_PROFILE_FILE_MAX)
        return (bad_line(path, 1, "the file is too large", status));
    if (secret_new(len + 1, &copy, status) != 0)
        return ((int)status->status_class);
    if (len > 0)
        memcpy(secret_data(copy), text, len);
    return (parse_secret(profiles, path, config, copy, status));
}

bool
aws_profiles_has(const AWS_PROFILES *profiles, const char *profile)
{
    size_t i;

    for (i = 0; i < profiles->count; i++)
        if (strcmp(profiles->entries[i].profile, profile) == 0)
            return (true);
    return (false);
}

const char *
aws_profiles_get(const AWS_PROFILES *profiles, const char *profile, const char *name)
{
    const ENTRY *entry;
    size_t i;

    for (i = 0; i < profiles->count; i++) {
        entry = &profiles->entries[i];
        if (entry->value[0] != '\0' && strcmp(entry->profile, profile) == 0 &&
            strcasecmp(entry->name, name) == 0)
            return (entry->value);
    }
    return (NULL);
}

static bool
holds_secret(const AWS_PROFILES *profiles, size_t from)
{
    for (; from < profiles->count; from++)
        if (strcasecmp(profiles->entries[from].name, "aws_secret_access_key") == 0 ||
            strcasecmp(profiles->entries[from].name, "aws_session_token") == 0)
            return (true);
    return (false);
}

static int
load_file(AWS_PROFILES *profiles, const char *path, bool config, bool must, STATUS *status)
{
    SECRET *text = NULL;
    size_t len, before = profiles->count;
    int fd = -1;
    bool found, full;

    if (file_open_read(AT_FDCWD, path, false, must ? NULL : &found, &fd, status) != 0) {
        if (must && status->status_class == STATUS_IO)
            status->status_class = STATUS_CONFIG;
        return ((int)status->status_class);
    }
    if (fd == -1)
        return (0);
    if (secret_new(AWS_PROFILE_FILE_MAX + 1, &text, status) != 0 ||
        file_read_into(
          fd, path, secret_data(text), AWS_PROFILE_FILE_MAX + 1, &len, &full, status) != 0)
        goto err;
    if (full) {
        (void)bad_line(path, 1, "the file is too large", status);
        goto err;
    }
    secret_data(text)[len] = '\0';
    secret_truncate(text, len + 1);
    if (parse_secret(profiles, path, config, text, status) != 0) {
        text = NULL;
        goto err;
    }
    text = NULL;
    /* On the descriptor that was read; ~/.aws/config without keys may be open to all. */
    if (holds_secret(profiles, before) && file_check_secret(fd, path, status) != 0)
        goto err;
    (void)close(fd);
    return (0);

err:
    secret_free(text);
    (void)close(fd);
    return ((int)status->status_class);
}

/* A file's usual place: HOME may be missing in a service. False when there is no home. */
static bool
usual_path(const char *variable, const char *name, char *path, size_t size)
{
    const char *value = getenv(variable);
    struct passwd entry, *found = NULL;
    char memory[4096];
    int len;

    if (value != NULL && value[0] != '\0')
        len = snprintf(path, size, "%s", value);
    else {
        if ((value = getenv("HOME")) == NULL || value[0] == '\0') {
            if (getpwuid_r(geteuid(), &entry, memory, sizeof(memory), &found) != 0 || found == NULL)
                return (false);
            value = entry.pw_dir;
        }
        len = snprintf(path, size, "%s/.aws/%s", value, name);
    }
    return (len > 0 && (size_t)len < size);
}

static int
load_one(AWS_PROFILES *profiles, const char *given, bool config, STATUS *status)
{
    char path[PATH_MAX];

    if (given != NULL)
        return (load_file(profiles, given, config, true, status));
    if (!usual_path(config ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE",
          config ? "config" : "credentials", path, sizeof(path)))
        return (0);
    return (load_file(profiles, path, config, false, status));
}

int
aws_profiles_load(
  const char *credentials_path, const char *config_path, AWS_PROFILES **profilesp, STATUS *status)
{
    AWS_PROFILES *profiles;

    *profilesp = NULL;
    if (aws_profiles_new(&profiles, status) != 0)
        return ((int)status->status_class);
    if (load_one(profiles, credentials_path, false, status) != 0 ||
        load_one(profiles, config_path, true, status) != 0) {
        aws_profiles_free(profiles);
        return ((int)status->status_class);
    }
    *profilesp = profiles;
    return (0);
}
