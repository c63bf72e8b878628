/*
 * kms_clients/azure_form.c -- Forms in secret memory. See azure_form.h.
 */
#include "kms_clients/azure_form.h"

#include <stdbool.h>
#include <string.h>

/* Make room for so many bytes more: what was there moves within secret memory. */
static bool
grow(AZURE_FORM *form, size_t more)
{
    SECRET *larger;

    if (form->error != 0)
        return (false);
    if (form->text != NULL && form->len + more <= secret_len(form->text))
        return (true);
    if ((form->error = secret_new(2 * (form->len + more), &larger, &form->status)) != 0)
        return (false);
    if (form->len > 0)
        memcpy(secret_data(larger), secret_bytes(form->text), form->len);
    secret_free(form->text);
    form->text = larger;
    return (true);
}

static bool
unreserved(uint8_t c)
{
    return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~');
}

static void
put(AZURE_FORM *form, const char *name, const uint8_t *value, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t i, name_len = strlen(name);
    uint8_t *p;

    if (!grow(form, 1 + name_len + 1 + 3 * len))
        return;
    p = secret_data(form->text) + form->len;
    if (form->len > 0)
        *p++ = '&';
    memcpy(p, name, name_len);
    p += name_len;
    *p++ = '=';
    for (i = 0; i < len; i++)
        if (unreserved(value[i]))
            *p++ = value[i];
        else {
            *p++ = '%';
            *p++ = (uint8_t)digits[value[i] >> 4];
            *p++ = (uint8_t)digits[value[i] & 15];
        }
    form->len = (size_t)(p - secret_data(form->text));
}

void
azure_form_put(AZURE_FORM *form, const char *name, const char *value)
{
    put(form, name, (const uint8_t *)value, strlen(value));
}

void
azure_form_put_secret(AZURE_FORM *form, const char *name, const SECRET *value)
{
    put(form, name, secret_bytes(value), secret_len(value));
}

int
azure_form_finish(AZURE_FORM *form, SECRET **textp, STATUS *status)
{
    *textp = NULL;
    if (form->error != 0) {
        *status = form->status;
        return (form->error);
    }
    secret_truncate(form->text, form->len);
    *textp = form->text;
    form->text = NULL;
    form->len = 0;
    return (0);
}

void
azure_form_release(AZURE_FORM *form)
{
    secret_free(form->text);
    memset(form, 0, sizeof(*form));
}
