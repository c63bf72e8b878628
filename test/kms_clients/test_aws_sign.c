/*
 * test/kms_clients/test_aws_sign.c -- AWS's signatures, held to AWS's own test suite.
 */
#include "kms_clients/aws_sign.h"
#include "test/kms_clients/kms_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "AKIDEXAMPLE"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define MOMENT INT64_C(1440938160) /* 2015-08-30T12:36:00Z */
#define HEADERS 4

/* One record of the file; text points into its memory. */
typedef struct {
    const char *test, *method, *path, *query, *token, *body, *signature;
    AWS_SIGN_HEADER headers[HEADERS];
    size_t header_count;
} VECTOR;

static SECRET *
secret_of(const char *text)
{
    SECRET *secret;
    STATUS s;

    if (secret_new_copy(text, strlen(text), &secret, &s) != 0)
        exit(1);
    return (secret);
}

static void
check_vector(const VECTOR *vector)
{
    AWS_SIGNATURE signature;
    SECRET *secret = secret_of(SECRET_KEY);
    SECRET *token = vector->token == NULL ? NULL : secret_of(vector->token);
    const char *body = vector->body == NULL ? "" : vector->body, *found;
    AWS_SIGN_REQUEST request = {.method = vector->method,
      .path = vector->path,
      .query = vector->query == NULL ? "" : vector->query,
      .headers = vector->headers,
      .header_count = vector->header_count,
      .body = body,
      .body_len = strlen(body),
      .region = "us-east-1",
      .service = "service",
      .time = MOMENT,
      .access_key_id = KEY,
      .secret_access_key = secret,
      .session_token = token};
    STATUS s;

    CU_ASSERT_EQUAL(aws_sign(&request, &signature, &s), 0);
    CU_ASSERT_STRING_EQUAL(signature.date, "20150830T123600Z");
    CU_ASSERT_EQUAL(strncmp(signature.authorization,
                      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
                      "aws4_request, SignedHeaders=",
                      95),
      0);
    found = strstr(signature.authorization, "Signature=");
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    if (strcmp(found + 10, vector->signature) != 0)
        (void)fprintf(stderr, "%s: %s\n", vector->test, signature.authorization);
    CU_ASSERT_STRING_EQUAL(found + 10, vector->signature);
    secret_free(secret);
    secret_free(token);
}

static void
set_header(VECTOR *vector, char *text)
{
    char *colon = strchr(text, ':');

    if (colon == NULL || vector->header_count == HEADERS)
        exit(1);
    *colon = '\0';
    vector->headers[vector->header_count].name = text;
    vector->headers[vector->header_count++].value = colon + 1;
}

static void
set_field(VECTOR *vector, const char *name, char *value)
{
    if (strcmp(name, "test") == 0) {
        memset(vector, 0, sizeof(*vector));
        vector->test = value;
        vector->headers[0].name = "Host";
        vector->headers[0].value = "example.amazonaws.com";
        vector->header_count = 1;
    } else if (strcmp(name, "method") == 0)
        vector->method = value;
    else if (strcmp(name, "path") == 0)
        vector->path = value;
    else if (strcmp(name, "query") == 0)
        vector->query = value;
    else if (strcmp(name, "token") == 0)
        vector->token = value;
    else if (strcmp(name, "body") == 0)
        vector->body = value;
    else if (strcmp(name, "header") == 0)
        set_header(vector, value);
    else if (strcmp(name, "signature") == 0)
        vector->signature = value;
    else
        exit(1);
}

static void
suite(void)
{
    FILE *file = fopen(TEST_SRCDIR "/vectors/aws-sigv4.txt", "r");
    VECTOR vector = {.test = NULL};
    char lines[16][1024], *value;
    unsigned count = 0;
    size_t line = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    while (fgets(lines[line], sizeof(lines[line]), file) != NULL) {
        lines[line][strcspn(lines[line], "\n")] = '\0';
        if (lines[line][0] == '#' || lines[line][0] == '\0')
            continue;
        if ((value = strstr(lines[line], " = ")) == NULL)
            exit(1);
        *value = '\0';
        set_field(&vector, lines[line], value + 3);
        if (strcmp(lines[line], "signature") == 0) {
            check_vector(&vector);
            count++;
            line = 0;
        } else
            line++;
    }
    (void)fclose(file);
    CU_ASSERT_EQUAL(count, 12);
}

static void
refusals(void)
{
    SECRET *secret = secret_of(SECRET_KEY);
    char path[70000];
    AWS_SIGN_HEADER headers[AWS_SIGN_HEADERS_MAX + 1];
    AWS_SIGN_REQUEST request = {.method = "GET",
      .path = "/",
      .query = "",
      .headers = headers,
      .body = "",
      .region = "us-east-1",
      .service = "kms",
      .time = MOMENT,
      .access_key_id = KEY,
      .secret_access_key = secret};
    AWS_SIGNATURE signature;
    STATUS s;
    size_t i;

    for (i = 0; i <= AWS_SIGN_HEADERS_MAX; i++) {
        headers[i].name = "x";
        headers[i].value = "y";
    }
    request.header_count = AWS_SIGN_HEADERS_MAX + 1;
    CHECK_STATUS(aws_sign(&request, &signature, &s), &s, STATUS_INTERNAL, "too long");
    request.header_count = 1;
    request.time = -1;
    CHECK_STATUS(aws_sign(&request, &signature, &s), &s, STATUS_INTERNAL, "-1 seconds");
    request.time = INT64_MAX;
    CHECK_STATUS(aws_sign(&request, &signature, &s), &s, STATUS_INTERNAL, "cannot be signed");
    request.time = MOMENT;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    request.path = path; /* long, but it is only digested */
    CU_ASSERT_EQUAL(aws_sign(&request, &signature, &s), 0);
    request.path = "/";
    request.region = path;
    CHECK_STATUS(aws_sign(&request, &signature, &s), &s, STATUS_INTERNAL, "too long");
    request.region = "us-east-1";
    request.access_key_id = path + sizeof(path) - 1000;
    CHECK_STATUS(aws_sign(&request, &signature, &s), &s, STATUS_INTERNAL, "too long");
    secret_free(secret);
}

const TEST aws_sign_tests[] = {{"suite", suite}, {"refusals", refusals}, {NULL, NULL}};
