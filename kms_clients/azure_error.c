/*
 * kms_clients/azure_error.c -- Why a vault or Entra refuses, and the tokens of the latter. See
 * azure_reply.h.
 */
#include "kms_clients/azure_reply.h"

#include "kms_clients/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CODE_MAX 64
#define SAID_MAX 200
#define LIFETIME_MAX_S (30 * 24 * 3600)

/* A code is one word; whatever else stands there is not repeated. */
static void
copy_code(const char *text, char *code)
{
    size_t len = text == NULL ? 0
                              : strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_.-");

    if (len == 0 || len > CODE_MAX || text[len] != '\0')
        len = 0;
    else
        memcpy(code, text, len);
    code[len] = '\0';
}

/* The first line, or sentence, of what a server says. */
static void
copy_said(const char *text, char *said)
{
    const char *end;
    size_t len;

    if (text == NULL)
        text = "";
    len = strcspn(text, "\r\n");
    if ((end = strstr(text, ". ")) != NULL && (size_t)(end - text) < len)
        len = (size_t)(end - text);
    if (len > SAID_MAX)
        len = SAID_MAX;
    memcpy(said, text, len);
    said[len] = '\0';
}

typedef struct {
    const char *code; /* outer or inner */
    STATUS_CLASS status_class;
    const char *id;
    const char *hint;
} MEANING;

/* Inner codes first: "Forbidden" alone says less than they do. */
static const MEANING meanings[] = {
  {"KeyDisabled", STATUS_DISABLED, "kms-disabled", "enable this version of the key in the vault"},
  {"KeyNotYetValid", STATUS_DISABLED, "kms-disabled", "the key's nbf is in the future"},
  {"KeyExpired", STATUS_DISABLED, "kms-disabled", "move the key's expiry date"},
  {"ObjectIsDeletedButRecoverable", STATUS_DISABLED, "kms-disabled",
    "recover the key: az keyvault key recover"},
  {"ObjectIsBeingDeleted", STATUS_DISABLED, "kms-disabled",
    "wait for the deletion, then recover the key: az keyvault key recover"},
  {"ObjectIsBeingRecovered", STATUS_UNAVAILABLE, "kms-unavailable", "the key is being recovered"},
  {"KeyNotFound", STATUS_NOT_FOUND, "kms-not-found",
    "a deleted key can be recovered while the vault keeps it: az keyvault key recover"},
  {"ForbiddenByRbac", STATUS_DENIED, "kms-denied",
    "assign a role with keys/read, keys/unwrap/action and, to wrap, keys/wrap/action; new roles "
    "take some minutes"},
  {"ForbiddenByPolicy", STATUS_DENIED, "kms-denied",
    "the vault's access policy must give get, unwrapKey and, to wrap, wrapKey"},
  {"AccessDenied", STATUS_DENIED, "kms-denied",
    "the vault must give get, unwrapKey and, to wrap, wrapKey"},
  {"ForbiddenByFirewall", STATUS_DENIED, "kms-denied",
    "the vault's firewall does not let this address in"},
  {"ForbiddenByConnection", STATUS_DENIED, "kms-denied",
    "the vault takes private endpoints only, and this connection came over none"},
  {"KeyOperationForbidden", STATUS_DENIED, "kms-denied",
    "the key's permitted operations (key_ops) lack this one"},
  {"Forbidden", STATUS_DENIED, "kms-denied",
    "the vault must give get, unwrapKey and, to wrap, wrapKey"},
  {"Unauthorized", STATUS_UNAUTHENTICATED, "kms-unauthenticated",
    "the vault does not take the token: look at tenantId, authority and vaultSuffix"},
  {"Throttled", STATUS_UNAVAILABLE, "kms-unavailable", "the vault limits how often it is asked"},
  {NULL, STATUS_OK, NULL, NULL}};

static const MEANING *
find_meaning(const char *code)
{
    const MEANING *meaning;

    for (meaning = meanings; meaning->code != NULL; meaning++)
        if (strcasecmp(meaning->code, code) == 0)
            return (meaning);
    return (NULL);
}

static int
record(
  const MEANING *meaning, const char *code, const char *inner, const char *said, STATUS *status)
{
    (void)status_set(status, meaning->status_class, meaning->id, "%s%s%s%s: %s", code,
      inner[0] == '\0' ? "" : " (", inner, inner[0] == '\0' ? "" : ")", said);
    return (status_hint(status, "%s", meaning->hint));
}

int
azure_reply_error(const HTTP_REPLY *reply, bool unwrap, STATUS *status)
{
    const MEANING *meaning;
    JSON *json;
    char code[CODE_MAX + 1] = "", inner[CODE_MAX + 1] = "", said[SAID_MAX + 1] = "";

    if (json_parse(reply->body, reply->body_len, &json, status) == 0) {
        copy_code(json_string(json, "error.code"), code);
        copy_code(json_string(json, "error.innererror.code"), inner);
        if (inner[0] == '\0')
            copy_code(json_string(json, "error.innerError.code"), inner);
        copy_said(json_string(json, "error.message"), said);
        json_free(json);
    } else if (status->status_class == STATUS_NO_MEMORY)
        return (STATUS_NO_MEMORY);
    if (code[0] == '\0' || reply->code == 429 || reply->code >= 500)
        return (http_reply_unclear(reply, status));
    if ((meaning = find_meaning(inner)) != NULL || (meaning = find_meaning(code)) != NULL)
        return (record(meaning, code, inner, said, status));
    if (reply->code == 401)
        return (record(find_meaning("Unauthorized"), code, inner, said, status));
    if (reply->code == 403)
        return (record(find_meaning("Forbidden"), code, inner, said, status));
    /* What the server says of a parameter may quote it: the code must do. */
    if (reply->code == 400 && unwrap)
        return (status_set(status, STATUS_CORRUPT, "kms-unwrap",
          "the key does not open it (%s): wrapped with another key, or changed", code));
    return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "the vault answers %s%s%s", code,
      inner[0] == '\0' ? "" : ", ", inner));
}

/* Platforms write numbers as strings. */
static bool
read_number(const JSON *json, const char *name, int64_t *valuep)
{
    const char *text;
    char *end;

    if (json_int(json, name, valuep))
        return (*valuep >= 0);
    if ((text = json_string(json, name)) == NULL || text[0] < '0' || text[0] > '9' ||
        strlen(text) > 18)
        return (false);
    *valuep = strtoll(text, &end, 10);
    return (*end == '\0');
}

int
azure_reply_token(
  const HTTP_REPLY *reply, int64_t now, SECRET **tokenp, int64_t *lifetimep, STATUS *status)
{
    JSON *json;
    const char *type;
    int64_t number;
    size_t i;
    int ret;

    *tokenp = NULL;
    *lifetimep = 0;
    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        return ((int)status->status_class);
    if ((ret = json_secret(json, "access_token", tokenp, status)) != 0)
        goto err;
    type = json_string(json, "token_type");
    if (*tokenp == NULL || (type != NULL && strcasecmp(type, "Bearer") != 0)) {
        ret =
          status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer holds no bearer token");
        goto err;
    }
    for (i = 0; i < secret_len(*tokenp); i++)
        if (secret_bytes(*tokenp)[i] <= ' ' || secret_bytes(*tokenp)[i] >= 0x7f) {
            ret = status_set(
              status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer's token is no token");
            goto err;
        }
    if (read_number(json, "expires_in", &number))
        *lifetimep = number;
    else if (read_number(json, "expires_on", &number) && number > now)
        *lifetimep = number - now;
    if (*lifetimep > LIFETIME_MAX_S)
        *lifetimep = LIFETIME_MAX_S;
    json_free(json);
    return (0);

err:
    secret_free(*tokenp);
    *tokenp = NULL;
    json_free(json);
    return (ret);
}

/* What Entra's numbers mean for a DBA. */
static const struct {
    const char *number;
    const char *hint;
} entra_hints[] = {
  {"AADSTS7000215", "the client secret is wrong: its value is needed, not its id"},
  {"AADSTS7000222", "the client secret has expired: make another and replace clientSecretFile"},
  {"AADSTS700016", "clientId is not an application of the tenant in tenantId"},
  {"AADSTS90002", "there is no such tenant: look at tenantId and authority"},
  {"AADSTS700027",
    "the certificate is not registered with the application, or has expired or another key"},
  {"AADSTS700024", "the assertion is not yet or no longer good: look at this machine's clock"},
  {"AADSTS70021", "no federated credential of the application matches this workload"},
  {"AADSTS700213", "no federated credential of the application matches this workload"},
  {"AADSTS500011", "the tenant does not know the vault's service: look at vaultSuffix"},
  {"AADSTS53003", "a conditional access policy of the tenant refuses this workload"},
};

static void
entra_number(const char *description, char *number, size_t size)
{
    size_t len;

    number[0] = '\0';
    if (description == NULL || strncmp(description, "AADSTS", 6) != 0)
        return;
    len = 6 + strspn(description + 6, "0123456789");
    if (len > 6 && len < size) {
        memcpy(number, description, len);
        number[len] = '\0';
    }
}

int
azure_reply_token_error(const HTTP_REPLY *reply, STATUS *status)
{
    JSON *json;
    char code[CODE_MAX + 1] = "", number[32] = "";
    size_t i;

    if (json_parse(reply->body, reply->body_len, &json, status) == 0) {
        copy_code(json_string(json, "error"), code);
        if (code[0] == '\0')
            copy_code(json_string(json, "error.code"), code);
        entra_number(json_string(json, "error_description"), number, sizeof(number));
        json_free(json);
    } else if (status->status_class == STATUS_NO_MEMORY)
        return (STATUS_NO_MEMORY);
    if (code[0] == '\0' || reply->code == 429 || reply->code >= 500 || reply->code < 400)
        return (http_reply_unclear(reply, status));
    if (strcmp(code, "temporarily_unavailable") == 0 || strcmp(code, "server_error") == 0)
        return (status_set(status, STATUS_UNAVAILABLE, "kms-unavailable", "no token: %s", code));
    (void)status_set(status, STATUS_UNAUTHENTICATED, "kms-unauthenticated", "no token: %s%s%s",
      code, number[0] == '\0' ? "" : " ", number);
    for (i = 0; i < sizeof(entra_hints) / sizeof(entra_hints[0]); i++)
        if (strcmp(entra_hints[i].number, number) == 0)
            return (status_hint(status, "%s", entra_hints[i].hint));
    return (status_hint(status, "look at tenantId, clientId and the credential"));
}
