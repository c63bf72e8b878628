/*
 * kms_clients/vault_reply.c -- What Vault and OpenBao answer, and their identifiers. See vault.h.
 *
 * Their errors are sentences. Those that decide a class are matched by the words that have been in them
 * since transit exists; all others are told as they are, in a class that stops no database.
 */
#include "kms_clients/vault.h"

#include "crypto/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_DIGITS 9
#define ERRORS_MAX 4

bool
vault_is_path(const char *text)
{
    static const char allowed[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len;

    for (;; text += len + 1) {
        len = strspn(text, allowed);
        if (len == 0 || (len == 1 && text[0] == '.') || (len == 2 && memcmp(text, "..", 2) == 0))
            return (false);
        if (text[len] == '\0')
            return (true);
        if (text[len] != '/')
            return (false);
    }
}

/* A number from 1 without a zero before it; 0 when it is none. */
static int64_t
read_version(const char *digits, size_t len)
{
    int64_t version = 0;
    size_t i;

    if (len == 0 || len > VERSION_DIGITS || digits[0] == '0')
        return (0);
    for (i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return (0);
        version = version * 10 + (digits[i] - '0');
    }
    return (version);
}

bool
vault_id_split(const char *key_id, size_t *lenp, int64_t *versionp)
{
    char path[KMS_KEY_ID_MAX + 1];
    const char *at = strchr(key_id, '@');
    size_t len = strlen(key_id), prefix = strlen(VAULT_ID_PREFIX);

    *versionp = 0;
    if (len > KMS_KEY_ID_MAX || strncmp(key_id, VAULT_ID_PREFIX, prefix) != 0)
        return (false);
    *lenp = at == NULL ? len : (size_t)(at - key_id);
    if (at != NULL && (at[1] != 'v' || (*versionp = read_version(at + 2, strlen(at + 2))) == 0))
        return (false);
    memcpy(path, key_id + prefix, *lenp - prefix);
    path[*lenp - prefix] = '\0';
    return (vault_is_path(path) && strchr(path, '/') != NULL);
}

/* The text is what a keystore says: no NUL ends it. */
int64_t
vault_version(const char *text, size_t len)
{
    const char *colon, *p, *end = text + len;

    if (len < 9 || memcmp(text, "vault:v", 7) != 0)
        return (0);
    if ((colon = memchr(text + 7, ':', len - 7)) == NULL)
        return (0);
    for (p = colon + 1; p < end; p++)
        if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
              *p == '+' || *p == '/' || *p == '='))
            return (0);
    return (read_version(text + 7, (size_t)(colon - text) - 7));
}

/* The words of the envelope, in one line. */
static void
join_errors(const JSON *json, char *text, size_t size)
{
    char path[16];
    const char *word;
    size_t used = 0;
    int i, len;

    text[0] = '\0';
    for (i = 0; i < ERRORS_MAX; i++) {
        (void)snprintf(path, sizeof(path), "errors.%d", i);
        if ((word = json_string(json, path)) == NULL)
            break;
        len = snprintf(text + used, size - used, "%s%.*s", i == 0 ? "" : "; ", 200, word);
        if (len < 0 || (size_t)len >= size - used)
            break;
        used += (size_t)len;
    }
}

static int
refused_request(const char *words, STATUS *status)
{
    static const struct {
        const char *words;
        STATUS_CLASS status_class;
        const char *id;
        const char *hint;
    } known[] = {{"encryption key not found", STATUS_NOT_FOUND, "kms-key-not-found",
                   "look at key and mount; was the key deleted?"},
      /* A wrap names a type that is none, so that a service that may create the key does not. */
      {"unknown key type", STATUS_NOT_FOUND, "kms-key-not-found",
        "there is no such key: make it first, vault write -f MOUNT/keys/KEY"},
      {"disallowed by policy (too old)", STATUS_DISABLED, "kms-key-disabled",
        "min_decryption_version of the key is higher than what wrapped: lower it, or rotate cmk "
        "before you raise it"},
      {"authentication failed", STATUS_CORRUPT, "kms-wrapped-tag",
        "what was wrapped was changed, or belongs to another keystore"},
      {"version is too new", STATUS_CORRUPT, "kms-wrapped-version",
        "the key was made anew or brought back from an older backup of the service"},
      {"invalid ciphertext", STATUS_CORRUPT, "kms-wrapped-tag", "what was wrapped was changed"},
      {"invalid role", STATUS_UNAUTHENTICATED, "kms-login",
        "look at roleId, role and secretIdFile; a secret id may be used up or expired"},
      {"invalid secret id", STATUS_UNAUTHENTICATED, "kms-login",
        "the secret id is wrong, used up or expired: write a new one to secretIdFile"},
      {"missing client token", STATUS_UNAUTHENTICATED, "kms-login", "the token file is empty"},
      {"invalid certificate", STATUS_UNAUTHENTICATED, "kms-login",
        "no role of the service takes clientCertificate"},
      {"failed to match all constraints", STATUS_UNAUTHENTICATED, "kms-login",
        "the role does not take clientCertificate"}};
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strstr(words, known[i].words) != NULL) {
            (void)status_set(status, known[i].status_class, known[i].id, "%s", words);
            return (status_hint(status, "%s", known[i].hint));
        }
    return (status_set(status, STATUS_BAD_REPLY, "kms-vault-refused", "%s", words));
}

static int
read_error(const HTTP_REPLY *reply, const JSON *json, VAULT_REQUEST *request, STATUS *status)
{
    char words[512];

    if (!json_has(json, "errors"))
        return (http_reply_unclear(reply, status));
    join_errors(json, words, sizeof(words));
    if (reply->code == 429 || reply->code >= 500) {
        (void)status_set(status, STATUS_UNAVAILABLE, "kms-unavailable", "%s",
          words[0] == '\0' ? "the service has no answer now" : words);
        return (status_hint(status, "%s",
          strstr(words, "sealed") != NULL ? "unseal the service"
                                          : "look at the state of the service"));
    }
    if (reply->code == 404 && words[0] == '\0') {
        if (request != NULL)
            request->missing = true;
        return (status_set(status, STATUS_BAD_REPLY, "kms-vault-refused", "nothing is there"));
    }
    if (reply->code == 404) {
        (void)status_set(status, STATUS_BAD_REPLY, "kms-vault-path", "%s", words);
        return (status_hint(status, "look at mount, namespace and authMount"));
    }
    if (reply->code == 403) {
        if (request != NULL)
            request->forbidden = true;
        return (status_set(status,
          strstr(words, "invalid token") != NULL ? STATUS_UNAUTHENTICATED : STATUS_DENIED,
          "kms-forbidden", "%s", words));
    }
    return (refused_request(words, status));
}

int
vault_reply_read(const HTTP_REPLY *reply, VAULT_REQUEST *request, JSON **jsonp, STATUS *status)
{
    char type[64];
    JSON *json = NULL;
    int ret;

    *jsonp = NULL;
    if (reply->code == 204)
        return (0);
    if (!http_reply_header(reply, "Content-Type", type, sizeof(type)) ||
        strncmp(type, "application/json", 16) != 0)
        return (http_reply_unclear(reply, status));
    if (json_parse(reply->body, reply->body_len, &json, status) != 0) {
        if (status->status_class == STATUS_BAD_REPLY && reply->code >= 300)
            return (http_reply_unclear(reply, status));
        return ((int)status->status_class);
    }
    if (reply->code == 200) {
        *jsonp = json;
        return (0);
    }
    ret = read_error(reply, json, request, status);
    json_free(json);
    return (ret);
}

int
vault_reply_wrapped(const JSON *json, const char **textp, int64_t *versionp, STATUS *status)
{
    const char *text = json == NULL ? NULL : json_string(json, "data.ciphertext");
    int64_t version;

    *textp = NULL;
    if (text == NULL || strlen(text) > KMS_WRAPPED_MAX ||
        (*versionp = vault_version(text, strlen(text))) == 0)
        return (status_set(
          status, STATUS_BAD_REPLY, "kms-bad-wrapped", "the answer has no ciphertext of transit"));
    if (json_int(json, "data.key_version", &version) && version != *versionp)
        return (status_set(status, STATUS_BAD_REPLY, "kms-other-key",
          "the answer names two versions of the key, %lld and %lld", (long long)version,
          (long long)*versionp));
    *textp = text;
    return (0);
}

int
vault_reply_plaintext(const JSON *json, SECRET **plaintextp, STATUS *status)
{
    const char *text = json == NULL ? NULL : json_string(json, "data.plaintext");

    *plaintextp = NULL;
    if (text != NULL && text[0] != '\0') {
        if (encode_base64_decode_secret(text, strlen(text), plaintextp, status) == 0)
            return (0);
        if (status->status_class == STATUS_NO_MEMORY)
            return (STATUS_NO_MEMORY);
    }
    return (status_set(
      status, STATUS_BAD_REPLY, "kms-bad-plaintext", "the answer has no plaintext in base64"));
}

void
vault_reply_key(const JSON *json, int64_t version, KMS_KEY_INFO *info, int64_t *newestp)
{
    int64_t newest, oldest;
    bool deleted = false;

    *newestp = 0;
    info->state = KMS_KEY_UNKNOWN;
    if (json == NULL || !json_int(json, "data.latest_version", &newest) ||
        !json_int(json, "data.min_decryption_version", &oldest) || newest < 1)
        return;
    *newestp = newest;
    if (json_bool(json, "data.soft_deleted", &deleted) && deleted) {
        info->state = KMS_KEY_PENDING_DELETION;
        (void)snprintf(info->detail, sizeof(info->detail), "soft deleted");
        return;
    }
    info->state = version != 0 && version < oldest ? KMS_KEY_DISABLED : KMS_KEY_ENABLED;
    (void)snprintf(info->detail, sizeof(info->detail),
      "newest version %lld, decrypts from version %lld", (long long)newest, (long long)oldest);
}
