/*
 * kms_clients/gcp_error.c -- What Google Cloud KMS says when it fails. See gcp_error.h and
 * gcp_reply.h.
 *
 * DISABLED and NOT_FOUND may stop a database, so both need more than the status: google.rpc has the
 * same ones for an API that is not switched on and for a path that no service serves.
 */
#include "kms_clients/gcp_error.h"

#include "kms_clients/gcp_reply.h"

#include <stdio.h>
#include <string.h>

#define DETAILS_MAX 8
#define SAID "%s: %.400s"

bool
gcp_error_read(const HTTP_REPLY *reply, GCP_ERROR *error)
{
    const char *text;
    char path[64];
    STATUS ignored;
    int i;

    memset(error, 0, sizeof(*error));
    error->message = error->reason = error->violation = "";
    if (json_parse(reply->body, reply->body_len, &error->json, &ignored) != 0)
        return (false);
    if ((error->status = json_string(error->json, "error.status")) == NULL) {
        gcp_error_release(error);
        return (false);
    }
    if ((text = json_string(error->json, "error.message")) != NULL)
        error->message = text;
    for (i = 0; i < DETAILS_MAX; i++) {
        (void)snprintf(path, sizeof(path), "error.details.%d.reason", i);
        if (*error->reason == '\0' && (text = json_string(error->json, path)) != NULL)
            error->reason = text;
        (void)snprintf(path, sizeof(path), "error.details.%d.violations.0.type", i);
        if (*error->violation == '\0' && (text = json_string(error->json, path)) != NULL)
            error->violation = text;
    }
    return (true);
}

void
gcp_error_release(GCP_ERROR *error)
{
    json_free(error->json);
    memset(error, 0, sizeof(*error));
}

bool
gcp_error_passing(const GCP_ERROR *error)
{
    static const char *const passing[] = {"RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL",
      "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "UNKNOWN", NULL};
    int i;

    for (i = 0; passing[i] != NULL; i++)
        if (strcmp(error->status, passing[i]) == 0)
            return (true);
    return (false);
}

static bool
one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return (true);
    return (false);
}

/* FAILED_PRECONDITION: the version's state, or something else that is not the key's. */
static int
precondition(const GCP_ERROR *error, STATUS *status)
{
    static const char *const types[] = {
      "KEY_DISABLED", "KEY_DESTROYED", "KEY_DESTROY_SCHEDULED", NULL};
    static const char *const states[] = {"DISABLED", "DESTROYED", "DESTROY_SCHEDULED", NULL};
    static const char phrase[] = "is not enabled, current state is: ";
    const char *at = strstr(error->message, phrase);
    char word[32] = "";

    /* The message tells the state also where the details are left out. */
    if (at != NULL) {
        (void)snprintf(word, sizeof(word), "%.31s", at + sizeof(phrase) - 1);
        word[strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] = '\0';
    }
    if (one_of(error->violation, types) || one_of(error->reason, types) || one_of(word, states)) {
        (void)status_set(
          status, STATUS_DISABLED, "kms-disabled", SAID, error->status, error->message);
        return (status_hint(status, "enable the version again, or restore and then enable it while "
                                    "it is scheduled for destruction: gcloud kms keys versions "
                                    "enable|restore"));
    }
    (void)status_set(
      status, STATUS_UNAVAILABLE, "kms-unavailable", SAID, error->status, error->message);
    return (status_hint(status, "the project, its billing or the key is not ready; the message "
                                "tells which"));
}

static int
denied(GCP_METHOD method, const GCP_ERROR *error, STATUS *status)
{
    static const char *const permissions[] = {"cloudkms.cryptoKeyVersions.useToEncrypt",
      "cloudkms.cryptoKeyVersions.useToDecrypt",
      "cloudkms.cryptoKeys.get and cloudkms.cryptoKeyVersions.get"};

    (void)status_set(status, STATUS_DENIED, "kms-denied", SAID, error->status, error->message);
    if (strcmp(error->reason, "SERVICE_DISABLED") == 0)
        return (status_hint(status, "switch the API on in the project of the key: gcloud services "
                                    "enable cloudkms.googleapis.com"));
    if (strcmp(error->reason, "ACCESS_TOKEN_SCOPE_INSUFFICIENT") == 0)
        return (
          status_hint(status, "give the machine the access scope cloud-platform or cloudkms"));
    if (strcmp(error->reason, "SECURITY_POLICY_VIOLATED") == 0)
        return (
          status_hint(status, "a service perimeter (VPC Service Controls) refuses this call"));
    return (status_hint(status,
      "grant %s on the key; Google answers so, too, when the key does not "
      "exist: compare its name",
      permissions[method]));
}

static int
invalid(GCP_METHOD method, const GCP_ERROR *error, STATUS *status)
{
    if (strstr(error->message, "crc32c") != NULL || strstr(error->message, "Crc32c") != NULL)
        return (status_set(
          status, STATUS_BAD_REPLY, "kms-checksum", SAID, error->status, error->message));
    if (method == GCP_DECRYPT) {
        (void)status_set(status, STATUS_CORRUPT, "kms-does-not-open", "does not open: " SAID,
          error->status, error->message);
        return (
          status_hint(status, "the wrapped key is damaged, or was wrapped with another key or "
                              "for another keystore"));
    }
    (void)status_set(status, STATUS_CONFIG, "kms-invalid", SAID, error->status, error->message);
    return (status_hint(status, "the key must exist in this location and be of purpose "
                                "ENCRYPT_DECRYPT"));
}

static int
missing(const GCP_ERROR *error, STATUS *status)
{
    /* The front end says this of a path that it does not know. */
    if (*error->message == '\0' || strstr(error->message, "Method not found") != NULL) {
        (void)status_set(
          status, STATUS_BAD_REPLY, "kms-bad-reply", SAID, error->status, error->message);
        return (status_hint(status, "this is not Cloud KMS: look at endpoint"));
    }
    (void)status_set(
      status, STATUS_NOT_FOUND, "kms-not-found", SAID, error->status, error->message);
    return (status_hint(status, "compare project, location, key ring and key with gcloud kms keys "
                                "list"));
}

int
gcp_reply_error(GCP_METHOD method, const HTTP_REPLY *reply, STATUS *status)
{
    GCP_ERROR error;
    int ret;

    if (!gcp_error_read(reply, &error))
        return (http_reply_unclear(reply, status));
    if (strcmp(error.status, "FAILED_PRECONDITION") == 0)
        ret = precondition(&error, status);
    else if (strcmp(error.status, "NOT_FOUND") == 0)
        ret = missing(&error, status);
    else if (strcmp(error.status, "PERMISSION_DENIED") == 0)
        ret = denied(method, &error, status);
    else if (strcmp(error.status, "INVALID_ARGUMENT") == 0)
        ret = invalid(method, &error, status);
    else if (strcmp(error.status, "UNAUTHENTICATED") == 0) {
        (void)status_set(
          status, STATUS_UNAUTHENTICATED, "kms-unauthenticated", SAID, error.status, error.message);
        ret = status_hint(status, "the access token was refused: look at the credential and at "
                                  "this machine's clock");
    } else if (gcp_error_passing(&error))
        ret = status_set(
          status, STATUS_UNAVAILABLE, "kms-unavailable", SAID, error.status, error.message);
    else
        ret =
          status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", SAID, error.status, error.message);
    gcp_error_release(&error);
    return (ret);
}
