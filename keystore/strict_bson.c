/*
 * keystore/strict_bson.c -- A BSON document read field by field. See strict_bson.h.
 */
#include "keystore/strict_bson.h"

#include <string.h>

int
strict_bson_corrupt(const STRICT_BSON *reader, const char *field, const char *what)
{
    if (reader->place == STRICT_BSON_NO_PLACE)
        return (status_set(reader->status, STATUS_CORRUPT, reader->error_id, "%s: %s %s",
          reader->name, field, what));
    return (status_set(reader->status, STATUS_CORRUPT, reader->error_id, "%s %zu: %s %s",
      reader->name, reader->place, field, what));
}

static void
advance(STRICT_BSON *reader)
{
    size_t end = reader->iter.next_off;

    if (bson_iter_next(&reader->iter)) {
        reader->key = bson_iter_key(&reader->iter);
        return;
    }
    reader->key = NULL;
    reader->broken = end != reader->len - 1;
}

int
strict_bson_open(STRICT_BSON *reader, const uint8_t *data, size_t len, const char *name,
  const char *error_id, STATUS *status)
{
    reader->len = len;
    reader->broken = false;
    reader->name = name;
    reader->place = STRICT_BSON_NO_PLACE;
    reader->error_id = error_id;
    reader->status = status;
    if (!bson_iter_init_from_data(&reader->iter, data, len))
        return (strict_bson_corrupt(reader, "its length", "is not what it says"));
    advance(reader);
    return (0);
}

bool
strict_bson_is_at(const STRICT_BSON *reader, const char *field)
{
    return (reader->key != NULL && strcmp(reader->key, field) == 0);
}

int
strict_bson_end(const STRICT_BSON *reader)
{
    if (reader->broken)
        return (strict_bson_corrupt(reader, "an element", "cannot be read"));
    if (reader->key != NULL) {
        (void)strict_bson_corrupt(reader, "a field", "is unknown or repeated");
        return (status_add(reader->status, "\"%.40s\"", reader->key));
    }
    return (0);
}

static int
expect(const STRICT_BSON *reader, const char *field, bson_type_t type)
{
    if (reader->key == NULL)
        return (
          strict_bson_corrupt(reader, field, reader->broken ? "cannot be read" : "is missing"));
    if (!strict_bson_is_at(reader, field)) {
        (void)strict_bson_corrupt(reader, field, "is not where it must be");
        return (status_add(reader->status, "there is \"%.40s\"", reader->key));
    }
    if (bson_iter_type(&reader->iter) != type)
        return (strict_bson_corrupt(reader, field, "has the wrong type"));
    return (0);
}

int
strict_bson_int32(STRICT_BSON *reader, const char *field, int32_t minimum, int32_t *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT32)) != 0)
        return (ret);
    if ((*valuep = bson_iter_int32(&reader->iter)) < minimum)
        return (strict_bson_corrupt(reader, field, "is out of range"));
    advance(reader);
    return (0);
}

int
strict_bson_int64(
  STRICT_BSON *reader, const char *field, int64_t minimum, int64_t maximum, int64_t *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT64)) != 0)
        return (ret);
    *valuep = bson_iter_int64(&reader->iter);
    if (*valuep < minimum || *valuep > maximum)
        return (strict_bson_corrupt(reader, field, "is out of range"));
    advance(reader);
    return (0);
}

int
strict_bson_bool(STRICT_BSON *reader, const char *field, bool *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_BOOL)) != 0)
        return (ret);
    *valuep = bson_iter_bool(&reader->iter);
    advance(reader);
    return (0);
}

int
strict_bson_id(STRICT_BSON *reader, const char *field, uint64_t *idp)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT64)) != 0)
        return (ret);
    if ((*idp = (uint64_t)bson_iter_int64(&reader->iter)) == 0)
        return (strict_bson_corrupt(reader, field, "is 0"));
    advance(reader);
    return (0);
}

int
strict_bson_time(STRICT_BSON *reader, const char *field, int64_t minimum, int64_t *timep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_DATE_TIME)) != 0)
        return (ret);
    if ((*timep = bson_iter_date_time(&reader->iter)) < minimum)
        return (strict_bson_corrupt(reader, field, "is out of range"));
    advance(reader);
    return (0);
}

int
strict_bson_text(
  STRICT_BSON *reader, const char *field, size_t minimum, size_t maximum, const char **textp)
{
    const char *text;
    uint32_t len;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_UTF8)) != 0)
        return (ret);
    text = bson_iter_utf8(&reader->iter, &len);
    if (len < minimum || len > maximum)
        return (strict_bson_corrupt(reader, field, "is too short or too long"));
    if (!bson_utf8_validate(text, len, false))
        return (strict_bson_corrupt(reader, field, "is not UTF-8 text"));
    *textp = text;
    advance(reader);
    return (0);
}

int
strict_bson_word(
  STRICT_BSON *reader, const char *field, const char *const *words, size_t count, size_t *indexp)
{
    const char *text;
    uint32_t len;
    size_t i;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_UTF8)) != 0)
        return (ret);
    text = bson_iter_utf8(&reader->iter, &len);
    for (i = 0; i < count; i++)
        if (len == strlen(words[i]) && memcmp(text, words[i], len) == 0) {
            *indexp = i;
            advance(reader);
            return (0);
        }
    return (strict_bson_corrupt(reader, field, "is unknown"));
}

int
strict_bson_view(STRICT_BSON *reader, const char *field, bson_subtype_t subtype, size_t minimum,
  size_t maximum, const uint8_t **datap, uint32_t *lenp)
{
    bson_subtype_t found;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_BINARY)) != 0)
        return (ret);
    bson_iter_binary(&reader->iter, &found, lenp, datap);
    if (found != subtype || *datap == NULL)
        return (strict_bson_corrupt(reader, field, "has the wrong subtype"));
    if (*lenp < minimum || *lenp > maximum)
        return (strict_bson_corrupt(reader, field, "has the wrong length"));
    advance(reader);
    return (0);
}

int
strict_bson_bytes(
  STRICT_BSON *reader, const char *field, bson_subtype_t subtype, void *out, size_t size)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = strict_bson_view(reader, field, subtype, size, size, &data, &len)) == 0)
        memcpy(out, data, size);
    return (ret);
}

int
strict_bson_document(STRICT_BSON *reader, const char *field, const char *name, STRICT_BSON *inner)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_DOCUMENT)) != 0)
        return (ret);
    bson_iter_document(&reader->iter, &len, &data);
    if ((ret = strict_bson_open(inner, data, len, name, reader->error_id, reader->status)) == 0)
        advance(reader);
    return (ret);
}

/* The next number in decimal; ten thousand of them are no work for printf. */
static void
count_up(char index[16])
{
    size_t len = strlen(index), i = len;

    while (i > 0 && index[i - 1] == '9')
        index[--i] = '0';
    if (i > 0)
        index[i - 1]++;
    else {
        memmove(index + 1, index, len + 1);
        index[0] = '1';
    }
}

int
strict_bson_array(STRICT_BSON *reader, const char *field, const char *element_name,
  int (*read_element)(STRICT_BSON *element, void *context), void *context)
{
    STRICT_BSON array, element;
    const uint8_t *data;
    size_t i;
    uint32_t len;
    char index[16] = "0";
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_ARRAY)) != 0)
        return (ret);
    bson_iter_array(&reader->iter, &len, &data);
    if ((ret = strict_bson_open(&array, data, len, field, reader->error_id, reader->status)) != 0)
        return (ret);
    for (i = 0; array.key != NULL; i++) {
        if ((ret = strict_bson_document(&array, index, element_name, &element)) != 0)
            return (ret);
        element.place = i;
        if ((ret = read_element(&element, context)) != 0 || (ret = strict_bson_end(&element)) != 0)
            return (ret);
        count_up(index);
    }
    if ((ret = strict_bson_end(&array)) != 0)
        return (ret);
    advance(reader);
    return (0);
}
