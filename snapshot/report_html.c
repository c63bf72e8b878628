/*
 * snapshot/report_html.c -- An inventory as one page. See inventory.h.
 *
 * Everything is in the page: no script, style, font or picture is fetched, and its own policy forbids it.
 */
#include "snapshot/inventory.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char head[] =
  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
  "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
  "<title>Encryption keys of database copies</title>\n<style>\n"
  "body{font:14px/1.45 system-ui,sans-serif;margin:1.5em;color:#1a1a1a;background:#fff}\n"
  "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.6em}\n"
  "table{border-collapse:collapse;width:100%}\n"
  "th,td{text-align:left;vertical-align:top;padding:.35em .6em;border-bottom:1px solid #ccc;"
  "overflow-wrap:anywhere}\n"
  "th{background:#f0f0f0}th button{all:unset;cursor:pointer;font-weight:bold}\n"
  "th button:focus-visible{outline:2px solid #06c}\n"
  "th[aria-sort=ascending] button::after{content:\" \\2191\"}"
  "th[aria-sort=descending] button::after{content:\" \\2193\"}\n"
  ".num{text-align:right;white-space:nowrap}.bad{color:#a00000;font-weight:bold}"
  ".note{color:#555}code{font:13px ui-monospace,monospace}ul{margin:.2em 0;padding-left:1.2em}\n"
  "@media "
  "print{body{margin:0;font-size:10px}tr{break-inside:avoid}thead{display:table-header-group}"
  "th button::after{content:\"\"!important}}\n"
  "</style>\n</head>\n<body>\n";

static const char script[] =
  "<script>\n"
  "for (const button of document.querySelectorAll('th button')) {\n"
  "  button.addEventListener('click', () => {\n"
  "    const th = button.parentNode, row = th.parentNode, table = th.closest('table');\n"
  "    const column = Array.prototype.indexOf.call(row.children, th);\n"
  "    const down = th.getAttribute('aria-sort') === 'ascending';\n"
  "    for (const other of row.children) other.removeAttribute('aria-sort');\n"
  "    th.setAttribute('aria-sort', down ? 'descending' : 'ascending');\n"
  "    const body = table.tBodies[0];\n"
  "    const value = r => { const c = r.children[column];\n"
  "      return c.dataset.value === undefined ? c.textContent : Number(c.dataset.value); };\n"
  "    const rows = Array.from(body.rows).sort((a, b) => { const x = value(a), y = value(b);\n"
  "      const order = typeof x === 'number' && typeof y === 'number' ? x - y :\n"
  "        String(x).localeCompare(String(y)); return down ? -order : order; });\n"
  "    for (const r of rows) body.appendChild(r);\n"
  "  });\n"
  "}\n"
  "</script>\n";

/* Text from disks that others wrote: markup is no markup, and control characters are seen. */
static void
put_text(FILE *out, const char *text)
{
    size_t len, i;
    unsigned char c;

    for (; *text != '\0'; text += len) {
        c = (unsigned char)*text;
        len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        if (strnlen(text, len) < len || !bson_utf8_validate(text, len, false) || c < 0x20 ||
            c == 0x7f || (c == 0xc2 && (unsigned char)text[1] < 0xa0)) {
            (void)fprintf(out, "\\x%02x", c);
            len = 1;
        } else if (strchr("<>&\"'", c) != NULL)
            (void)fprintf(out, "&#%d;", c);
        else
            for (i = 0; i < len; i++)
                (void)fputc(text[i], out);
    }
}

static void
put_time(FILE *out, int64_t ms)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);

    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        (void)fputs("<td data-value=\"0\">-</td>", out);
    else
        (void)fprintf(out, "<td data-value=\"%" PRId64 "\">%s</td>", ms, text);
}

static void
put_headings(FILE *out, const char *const *names)
{
    (void)fputs("<table>\n<thead><tr>", out);
    for (; *names != NULL; names++)
        (void)fprintf(out, "<th scope=\"col\"><button type=\"button\">%s</button></th>", *names);
    (void)fputs("</tr></thead>\n<tbody>\n", out);
}

static void
put_keys(const INVENTORY *inventory, FILE *out)
{
    static const char *const names[] = {
      "Encryption Key ID", "Needed by", "Nothing else opens", "Not judged", "Free after", NULL};
    KEY_NEED_SUMMARY summary;
    char **keys;
    size_t count, i;

    (void)fputs("<h2>Customer keys</h2>\n", out);
    put_headings(out, names);
    count = key_need_all(inventory, &keys);
    for (i = 0; i < count; i++) {
        key_need_summarize(inventory, keys[i], &summary);
        (void)fputs("<tr><td><code>", out);
        put_text(out, keys[i]);
        (void)fprintf(out,
          "</code></td><td class=\"num\" data-value=\"%zu\">%zu</td>"
          "<td class=\"num\" data-value=\"%zu\">%zu</td>"
          "<td class=\"num\" data-value=\"%zu\">%zu</td>",
          summary.needed, summary.needed, summary.only, summary.only, summary.unjudged,
          summary.unjudged);
        put_time(out, summary.free_after);
        (void)fputs("</tr>\n", out);
        bson_free(keys[i]);
    }
    bson_free(keys);
    (void)fputs("</tbody></table>\n", out);
}

static void
put_recipients(const COPY *copy, FILE *out)
{
    const COPY_RECIPIENT *recipient;
    size_t i;

    (void)fputs("<td>", out);
    if (copy->recipient_count == 0) {
        if (copy->state == COPY_KEYSTORE_MISSING || copy->state == COPY_UNKNOWN)
            (void)fputs("<span class=\"bad\">", out);
        put_text(out, copy_state_name(copy->state));
        if (copy->state == COPY_KEYSTORE_MISSING || copy->state == COPY_UNKNOWN)
            (void)fputs("</span>", out);
    }
    for (i = 0; i < copy->recipient_count; i++) {
        recipient = &copy->recipients[i];
        (void)fputs(i == 0 ? "<code>" : "<br><code>", out);
        put_text(out, recipient->key_id);
        (void)fputs("</code> <span class=\"note\">", out);
        put_text(out, recipient->provider);
        if (strcmp(recipient->scope, "default") != 0) {
            (void)fputs(", scope ", out);
            put_text(out, recipient->scope);
        }
        if (recipient->opened)
            (void)fputs(", opened it last", out);
        (void)fputs("</span>", out);
        if (recipient->access != NULL) {
            (void)fprintf(out, " <span class=\"%s\" title=\"",
              strcmp(recipient->access, "opens") == 0 ? "note" : "bad");
            put_text(out, recipient->detail == NULL ? "" : recipient->detail);
            (void)fputs("\">", out);
            put_text(out, recipient->access);
            (void)fputs("</span>", out);
        }
    }
    if (copy->from_mirror)
        (void)fputs("<br><span class=\"note\">keys from mirror</span>", out);
    (void)fputs("</td>", out);
}

static void
put_copy(const COPY *copy, FILE *out)
{
    size_t i;

    (void)fputs("<tr><td>", out);
    put_text(out, copy->host);
    (void)fputs("</td><td>", out);
    put_text(out, copy->node);
    (void)fputs("</td><td>", out);
    put_text(out, copy->path);
    if (copy->member != NULL) {
        (void)fputs(" : ", out);
        put_text(out, copy->member);
    }
    (void)fputs("</td>", out);
    put_time(out, copy->checkpoint);
    (void)fprintf(out, "<td class=\"num\" data-value=\"%" PRIu64 "\">%.1f MB</td>", copy->size,
      (double)copy->size / 1e6);
    put_recipients(copy, out);
    put_time(out, copy->keep_until);
    (void)fputs("<td>", out);
    if (copy->sampled)
        (void)fputs("<span class=\"note\">sampled</span> ", out);
    if (copy->plain_tables != 0)
        (void)fprintf(out, "%" PRIu64 " plain tables ", copy->plain_tables);
    for (i = 0; i < copy->problem_count; i++) {
        (void)fputs(i == 0 ? "<span class=\"bad\">" : "<br><span class=\"bad\">", out);
        put_text(out, copy->problems[i]);
        (void)fputs("</span>", out);
    }
    (void)fputs("</td></tr>\n", out);
}

void
report_html_write(const INVENTORY *inventory, FILE *out)
{
    static const char *const names[] = {"Host", "Node", "Copy", "Checkpoint (UTC)", "Size",
      "Encryption Key ID", "Keep until", "Notes", NULL};
    size_t i;

    (void)fputs(head, out);
    (void)fputs("<h1>Encryption keys of database copies</h1>\n"
                "<p>These places were searched, and nothing else:</p>\n<ul>\n",
      out);
    for (i = 0; i < inventory->place_count; i++) {
        (void)fputs("<li>", out);
        put_text(out, inventory->places[i].host);
        (void)fputs(": <code>", out);
        put_text(out, inventory->places[i].path);
        (void)fputs("</code></li>\n", out);
    }
    (void)fputs("</ul>\n", out);
    put_keys(inventory, out);
    (void)fprintf(out, "<h2>Copies: %zu</h2>\n", inventory->count);
    put_headings(out, names);
    for (i = 0; i < inventory->count; i++)
        put_copy(&inventory->copies[i], out);
    (void)fputs("</tbody></table>\n", out);
    if (inventory->skipped_count != 0)
        (void)fputs("<h2 class=\"bad\">Could not be read</h2>\n<ul>\n", out);
    for (i = 0; i < inventory->skipped_count; i++) {
        (void)fputs("<li>", out);
        put_text(out, inventory->skipped[i]);
        (void)fputs("</li>\n", out);
    }
    if (inventory->skipped_count != 0)
        (void)fputs("</ul>\n", out);
    (void)fputs(script, out);
    (void)fputs("</body>\n</html>\n", out);
}
