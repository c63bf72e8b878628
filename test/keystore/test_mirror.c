/*
 * test/keystore/test_mirror.c -- WiredTiger.config: the user's lines stay, ours are always last.
 */
#include "test/keystore/keystore_tests.h"

static const char engine[] =
  "extensions=[/usr/lib/libwiredtiger_kms.so=(config=(config_file=/etc/wtkms.conf))]\n"
  "encryption=(name=kms,keyid=default)\n";

/* Render and hold the result against what the engine and the parser make of it. */
static char *
render(const char *old, const char *lines, const void *copy, size_t copy_len, bool partial)
{
    STATUS status;
    char *text;
    size_t len;

    CHECK_OK(mirror_render(
      old, old == NULL ? 0 : strlen(old), lines, copy, copy_len, partial, &text, &len, &status));
    if (text != NULL)
        CU_ASSERT_EQUAL(strlen(text), len);
    return (text);
}

static void
check_parsed(const char *text, const char *lines, const void *copy, size_t copy_len, bool partial)
{
    STATUS status;
    MIRROR mirror;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CHECK_OK_FATAL(mirror_parse(text, strlen(text), &mirror, &status));
    CU_ASSERT_EQUAL(mirror.has_keystore, copy != NULL);
    CU_ASSERT_EQUAL(mirror.keystore_len, copy_len);
    if (copy != NULL && mirror.keystore_len == copy_len) {
        CU_ASSERT_EQUAL(memcmp(mirror.keystore, copy, copy_len), 0);
        CU_ASSERT_EQUAL(mirror.partial, partial);
    }
    CU_ASSERT_EQUAL(mirror.has_engine_lines, lines != NULL);
    if (lines == NULL)
        CU_ASSERT_PTR_NULL(mirror.engine_lines)
    else
        CU_ASSERT_STRING_EQUAL(mirror.engine_lines, lines);
    mirror_release(&mirror);
}

static void
test_round_trip(void)
{
    static const size_t sizes[] = {1, 2, 3, 95, 96, 97, 192, 5000, MIRROR_KEYSTORE_MAX_BYTES};
    uint8_t *copy = malloc(MIRROR_KEYSTORE_MAX_BYTES);
    char *text, *again;
    size_t i;

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    for (i = 0; i < MIRROR_KEYSTORE_MAX_BYTES; i++)
        copy[i] = (uint8_t)(i * 7 + (i >> 8));
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        text = render(NULL, engine, copy, sizes[i], i % 2 == 1);
        check_parsed(text, engine, copy, sizes[i], i % 2 == 1);
        CU_ASSERT(strlen(text) <= MIRROR_MAX_BYTES);
        /* The same once more changes nothing, and the engine's lines stay when none are given. */
        again = render(text, NULL, copy, sizes[i], i % 2 == 1);
        CU_ASSERT_STRING_EQUAL(again, text);
        free(again);
        /* The copy goes and comes alone. */
        again = render(text, NULL, NULL, 0, false);
        check_parsed(again, engine, NULL, 0, false);
        free(text);
        text = render(again, "", copy, sizes[i], false);
        check_parsed(text, NULL, copy, sizes[i], false);
        free(again);
        again = render(text, "", NULL, 0, false);
        CU_ASSERT_STRING_EQUAL(again, "");
        free(again);
        free(text);
    }
    free(copy);
}

/*
 * The user's text, before ours and after it, through everything that is done to a mirror, and back.
 */
static void
test_user_lines(void)
{
    static const char *const texts[] = {"", "\n", "cache_size=1GB\n", "cache_size=1GB", "# note\n",
      "a=1\r\nb=2\r\n", "a=1\r\nb=2", "  # indented\nc=(d,\n e)\n",
      "app=\"two\nlines # no comment\"\n", "app=\"#K AAAA\n#K BBBB\"\n", "x=\\\"\n", "x=a\\\nb\n",
      "#K", "#wtkms", "# wtkms", "# say \"hi\n", "# ends with \\\n", "\\q", "x=\"\\\"\"",
      "\t\v\f#K indented is not ours\n", "a=\"b\\\n\"\n"};
    const char *last;
    char *text, *again, joined[512];
    size_t i, j;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text = render(texts[i], engine, "copy", 4, false);
        check_parsed(text, engine, "copy", 4, false);
        CU_ASSERT_EQUAL(strncmp(text, texts[i], strlen(texts[i])), 0);
        /* Ours come last, and end with a newline: the engine loses a file's last byte. */
        last = strstr(text, "#wtkms-keystore END\n");
        CU_ASSERT_PTR_NOT_NULL_FATAL(last);
        CU_ASSERT_STRING_EQUAL(last, "#wtkms-keystore END\n");
        again = render(text, NULL, "another", 7, true);
        check_parsed(again, engine, "another", 7, true);
        free(text);
        text = render(again, "", NULL, 0, false);
        CU_ASSERT_STRING_EQUAL(text, texts[i]);
        free(text);
        /* Lines that the user writes behind ours move before them. */
        for (j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
            (void)snprintf(joined, sizeof(joined), "%s%s%s", texts[i],
              texts[i][0] == '\0' || texts[i][strlen(texts[i]) - 1] == '\n' ? "" : "\n", texts[j]);
            text = malloc(strlen(again) + strlen(texts[j]) + 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(text);
            (void)sprintf(text, "%s%s", again, texts[j]);
            free(again);
            again = render(text, NULL, "third", 5, false);
            check_parsed(again, engine, "third", 5, false);
            CU_ASSERT_EQUAL(strncmp(again, joined, strlen(joined)), 0);
            free(text);
            text = render(again, "", NULL, 0, false);
            if (texts[j][0] != '\0')
                CU_ASSERT_STRING_EQUAL(text, joined);
            free(again);
            again = render(texts[i], engine, "another", 7, true);
            free(text);
        }
        free(again);
    }
}

/* What ours would become a part of. */
static void
test_open_lines(void)
{
    static const char *const texts[] = {"app=\"open", "app=\"open\n", "x=1\\", "x=1\\\n",
      "a=\"b\\\"", "a=\"b\"\nc=\"d\n# not a comment\n", "a=\"\\"};
    STATUS status;
    char *text;
    size_t i, len;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CHECK_FAILS(mirror_render(texts[i], strlen(texts[i]), NULL, (const uint8_t *)"copy", 4,
                      false, &text, &len, &status),
          STATUS_REFUSED, "mirror-open-line");
        CU_ASSERT_PTR_NULL(text);
        /* Nothing of ours: nothing to refuse. */
        text = render(texts[i], NULL, NULL, 0, false);
        CU_ASSERT_STRING_EQUAL(text, texts[i]);
        free(text);
    }
}

static void
test_crlf_editor(void)
{
    char *text = render("a=1\n", engine, "copy", 4, false), *crlf, *p, *q, *again;
    STATUS status;
    MIRROR mirror;

    /* An editor that ends every line in CRLF does not damage the copy. */
    crlf = malloc(2 * strlen(text) + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(crlf);
    for (p = text, q = crlf; *p != '\0'; p++) {
        if (*p == '\n')
            *q++ = '\r';
        *q++ = *p;
    }
    *q = '\0';
    CHECK_OK(mirror_parse(crlf, strlen(crlf), &mirror, &status));
    CU_ASSERT_EQUAL(mirror.keystore_len, 4);
    CU_ASSERT(mirror.has_engine_lines);
    mirror_release(&mirror);
    again = render(crlf, "", NULL, 0, false);
    CU_ASSERT_STRING_EQUAL(again, "a=1\r\n");
    free(again);
    free(crlf);
    free(text);
}

static void
test_damage(void)
{
    static const char *const texts[] = {"#K AAAA\n", "#wtkms-keystore END\n", "#wtkms-what\n",
      "#wtkms-keystore BEGIN full 3\n#K AAAA\n",
      "#wtkms-keystore BEGIN full 3\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 2\n#K AAAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 3\n#K AAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 3\n#K A!AA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 0\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 65537\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 99999999999999\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN half 3\n#K AAAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 3 \n#K AAAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full -3\n#K AAAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 3\n#wtkms-keystore BEGIN full 3\n#K AAAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN full 3\n#K AAAA\n#wtkms-keystore END\n#K AAAA\n",
      "#wtkms-keystore BEGIN full 3\n#K AAAA\n#wtkms-keystore END\n"
      "#wtkms-keystore BEGIN full 3\n#K AAAA\n#wtkms-keystore END\n",
      "#wtkms-keystore BEGIN fullfullfullfullfullfullfullfullfullfullfullfullfullfullfullfullfull "
      "3333333333333333333333333333\n"};
    STATUS status;
    MIRROR mirror;
    char *text, longer[300];
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CHECK_FAILS(mirror_parse(texts[i], strlen(texts[i]), &mirror, &status), STATUS_CORRUPT,
          "mirror-damaged");
        CU_ASSERT_FALSE(mirror.has_keystore);
        CU_ASSERT_PTR_NULL(mirror.keystore);
        /* All of it is ours: the next write drops it. */
        text = render(texts[i], "", NULL, 0, false);
        CU_ASSERT_STRING_EQUAL(text, "");
        free(text);
    }
    /* A line longer than any that we write. */
    (void)snprintf(longer, sizeof(longer), "#wtkms-keystore BEGIN full 99\n#K %0132d\n", 0);
    CHECK_FAILS(
      mirror_parse(longer, strlen(longer), &mirror, &status), STATUS_CORRUPT, "mirror-damaged");
    /* Every byte of a text changed: never a copy that is not the one that was put in. */
    text = render("a=1\n", engine, "0123456789", 10, false);
    for (i = 0; i < strlen(text); i++) {
        text[i] ^= 1;
        status_clear(&status);
        if (mirror_parse(text, strlen(text), &mirror, &status) == 0) {
            CU_ASSERT(!mirror.has_keystore || mirror.keystore_len == 10);
            mirror_release(&mirror);
        }
        text[i] ^= 1;
    }
    free(text);
}

static void
test_engine_lines(void)
{
    static const char *const wrong[] = {
      "extensions=[]", "# comment\n", "a=\"\n", "#wtkms-engine END\n", "a=1\\\n", " #K AAAA\n"};
    STATUS status;
    MIRROR mirror;
    char *text;
    size_t i, len;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_FAILS(mirror_render(NULL, 0, wrong[i], NULL, 0, false, &text, &len, &status),
          STATUS_CONFIG, "mirror-engine-lines");
        CU_ASSERT_PTR_NULL(text);
    }
    /* Without its end marker the lines are the user's: what he wrote there is not ours to drop. */
    text = render("#wtkms-engine BEGIN\nextensions=[x]\n", NULL, "copy", 4, false);
    CU_ASSERT_EQUAL(strncmp(text, "extensions=[x]\n# wtkms: ", 24), 0);
    free(text);
    CHECK_OK(mirror_parse("#wtkms-engine BEGIN\na=1\n", 24, &mirror, &status));
    CU_ASSERT(mirror.has_engine_lines);
    CU_ASSERT_PTR_NULL(mirror.engine_lines);
    mirror_release(&mirror);
}

static void
test_limit(void)
{
    STATUS status;
    char *text, *user;
    uint8_t *copy = calloc(1, MIRROR_KEYSTORE_MAX_BYTES + 1);
    size_t len, ours, room;

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    text = render(NULL, engine, copy, MIRROR_KEYSTORE_MAX_BYTES, false);
    ours = strlen(text);
    free(text);
    room = MIRROR_MAX_BYTES - ours;
    user = malloc(MIRROR_MAX_BYTES + 2);
    CU_ASSERT_PTR_NOT_NULL_FATAL(user);
    memset(user, ' ', MIRROR_MAX_BYTES + 1);
    user[room - 1] = '\n';
    user[room] = '\0';
    text = render(user, engine, copy, MIRROR_KEYSTORE_MAX_BYTES, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL(strlen(text), MIRROR_MAX_BYTES);
    free(text);
    /* One byte more is over the engine's limit. */
    user[room - 1] = ' ';
    user[room] = '\n';
    user[room + 1] = '\0';
    CHECK_FAILS(mirror_render(user, room + 1, engine, copy, MIRROR_KEYSTORE_MAX_BYTES, false, &text,
                  &len, &status),
      STATUS_REFUSED, "mirror-too-long");
    CU_ASSERT_PTR_NULL(text);
    CHECK_FAILS(mirror_render(NULL, 0, engine, copy, MIRROR_KEYSTORE_MAX_BYTES + 1, false, &text,
                  &len, &status),
      STATUS_REFUSED, "mirror-too-long");
    CHECK_FAILS(mirror_render(user, MIRROR_MAX_BYTES + 1, "", NULL, 0, false, &text, &len, &status),
      STATUS_REFUSED, "mirror-too-long");
    free(user);
    free(copy);
}

const TEST mirror_tests[] = {{"round trip", test_round_trip}, {"the user's lines", test_user_lines},
  {"lines that are not ended", test_open_lines}, {"an editor that writes CRLF", test_crlf_editor},
  {"damage", test_damage}, {"the engine's lines", test_engine_lines},
  {"the size limit", test_limit}, {NULL, NULL}};
