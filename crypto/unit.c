/*
 * crypto/unit.c -- The header of an encrypted unit. See unit.h.
 */
#include "crypto/unit.h"

#include <endian.h>
#include <string.h>

int
unit_parse(const uint8_t *unit, size_t len, UNIT_HEADER *headerp, STATUS *status)
{
    uint64_t id;
    uint32_t balance;

    memset(headerp, 0, sizeof(*headerp));
    if (len < UNIT_OVERHEAD || len > UINT32_MAX)
        return (status_set(
          status, STATUS_BAD_UNIT, "unit-length", "%zu bytes cannot be an encrypted unit", len));
    if (unit[0] != 'W' || unit[1] != 'K')
        return (status_set(status, STATUS_BAD_UNIT, "unit-magic",
          "not an encrypted unit of ours: it starts with %02x%02x", unit[0], unit[1]));
    if (unit[2] != UNIT_FORMAT || unit[3] != UNIT_CIPHER_XAES_256_GCM) {
        status_set(status, STATUS_NO_KEY, "unit-version",
          "unit format %u with cipher %u is not known to this version", unit[2], unit[3]);
        return (status_hint(status, "a newer version wrote it: use that one"));
    }
    memcpy(&id, unit + 4, sizeof(id));
    memcpy(&balance, unit + 12, sizeof(balance));
    headerp->format = unit[2];
    headerp->cipher = unit[3];
    headerp->data_key_id = le64toh(id);
    headerp->balance = le32toh(balance);
    return (0);
}

void
unit_header_write(uint8_t *unit, uint64_t data_key_id)
{
    uint64_t id = htole64(data_key_id);

    unit[0] = 'W';
    unit[1] = 'K';
    unit[2] = UNIT_FORMAT;
    unit[3] = UNIT_CIPHER_XAES_256_GCM;
    memcpy(unit + 4, &id, sizeof(id));
    memset(unit + 12, 0, 4);
}
