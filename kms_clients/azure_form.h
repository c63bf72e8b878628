/*
 * kms_clients/azure_form.h -- Forms (application/x-www-form-urlencoded) in secret memory.
 *
 * Layer: kms_clients. Pure. Not thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_AZURE_FORM_H
#define WTKMS_KMS_CLIENTS_AZURE_FORM_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>

/* Zeroed to begin with. The first error is remembered, and told by azure_form_finish. */
typedef struct {
    SECRET *text;
    size_t len;
    int error;
    STATUS status;
} AZURE_FORM;

/* azure_form_put, azure_form_put_secret -- Append name=value. name is taken as it is. */
void azure_form_put(AZURE_FORM *form, const char *name, const char *value);
void azure_form_put_secret(AZURE_FORM *form, const char *name, const SECRET *value);

/* azure_form_finish -- The text, for the caller to free; the form is empty then. STATUS_NO_MEMORY. */
int azure_form_finish(AZURE_FORM *form, SECRET **textp, STATUS *status) WTKMS_CHECKED;
void azure_form_release(AZURE_FORM *form);

#endif
