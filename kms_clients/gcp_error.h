/*
 * kms_clients/gcp_error.h -- The errors of Google's services: google.rpc.Status in JSON.
 *
 * Layer: kms_clients. Pure; thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_ERROR_H
#define WTKMS_KMS_CLIENTS_GCP_ERROR_H

#include "kms_clients/http.h"
#include "kms_clients/json.h"

#include <stdbool.h>

typedef struct {
    JSON *json;            /* owns the strings */
    const char *status;    /* "PERMISSION_DENIED" */
    const char *message;   /* never NULL */
    const char *reason;    /* ErrorInfo's, or "" */
    const char *violation; /* the first violation's type of PreconditionFailure, or "" */
} GCP_ERROR;

/*
 * gcp_error_read -- Read the envelope {"error":{"code","status","message","details"}}; false when the
 *     reply has none. On success the caller calls gcp_error_release.
 */
bool gcp_error_read(const HTTP_REPLY *reply, GCP_ERROR *error);
void gcp_error_release(GCP_ERROR *error);

/* gcp_error_passing -- Whether the status is of those that pass by themselves. */
bool gcp_error_passing(const GCP_ERROR *error);

#endif
