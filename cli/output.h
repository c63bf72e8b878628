/*
 * cli/output.h -- What wtkms prints: aligned tables, JSON, and text that is safe on a terminal.
 *
 * Layer: cli. Names come from disks that others wrote: control characters and bytes that are no
 * UTF-8 are shown as escapes ("\n", "\x1b") everywhere. No memory ends the process: this is a command,
 * not a library. Not thread-safe.
 */
#ifndef WTKMS_CLI_OUTPUT_H
#define WTKMS_CLI_OUTPUT_H

#include "common/status.h"

#include <bson/bson.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* output_allocate, output_grow -- Memory or the end of the process. */
void *output_allocate(size_t count, size_t size);
void *output_grow(void *old, size_t count, size_t size);
char *output_format(const char *fmt, ...) WTKMS_PRINTF(1, 2);

/* output_safe -- A copy of text for people, one line; the caller frees it. */
char *output_safe(const char *text);

/* output_time -- "2026-11-24T14:40:00Z" of milliseconds since 1970; "-" of 0. Returns buf. */
#define OUTPUT_TIME_SIZE 32
const char *output_time(int64_t ms, char buf[OUTPUT_TIME_SIZE]);

/* output_age -- "12s", "3h", "45d": how long ago that was. Returns buf. */
const char *output_age(int64_t ms, char buf[OUTPUT_TIME_SIZE]);

typedef struct output_table OUTPUT_TABLE;

/* output_table_new -- A table with its headings, ended by NULL. */
OUTPUT_TABLE *output_table_new(const char *heading, ...) __attribute__((sentinel));

/* output_table_cell -- Append a cell, row by row; text is made safe. */
void output_table_cell(OUTPUT_TABLE *table, const char *fmt, ...) WTKMS_PRINTF(2, 3);

/* output_table_print -- Print it, each line indented, and free it. A table without rows prints nothing. */
void output_table_print(OUTPUT_TABLE *table, int indent, FILE *out);

/* Appending to JSON: text is made valid UTF-8; ids are 16 hexadecimal digits. text NULL is null. */
void output_json_text(bson_t *json, const char *name, const char *text);
void output_json_id(bson_t *json, const char *name, uint64_t id);
void output_json_hex(bson_t *json, const char *name, const uint8_t *data, size_t len);
void output_json_time(bson_t *json, const char *name, int64_t ms); /* text, null of 0 */
void output_json_number(bson_t *json, const char *name, int64_t number);
void output_json_bool(bson_t *json, const char *name, bool value);
void output_json_begin(bson_t *json, const char *name, bson_t *child);
void output_json_begin_array(bson_t *json, const char *name, bson_t *child);
void output_json_end(bson_t *json, bson_t *child);
void output_json_end_array(bson_t *json, bson_t *child);
/* An element of an array at index: a document. */
void output_json_element(bson_t *array, uint32_t index, bson_t *child);

/* output_json_print -- Print a document, indented. STATUS_INTERNAL when it cannot be made. */
int output_json_print(const bson_t *json, FILE *out, STATUS *status) WTKMS_CHECKED;

/*
 * output_prometheus -- One sample: name{labels} value. pairs are label names and values, ended by NULL.
 */
void output_prometheus(FILE *out, const char *name, int64_t value, ...) __attribute__((sentinel));

#endif
