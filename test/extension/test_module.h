/*
 * test/extension/test_module.h -- The built module inside WiredTiger, in this process.
 */
#ifndef WTKMS_TEST_MODULE_H
#define WTKMS_TEST_MODULE_H

#include "test/testmain.h"

#include <stdbool.h>
#include <stddef.h>
#include <wiredtiger.h>

extern const TEST test_module_open[];
extern const TEST test_module_refusals[];
extern const TEST test_module_life[];

/* What mongod 4.2 says to wiredtiger_open, without what is ours. */
#define MODULE_MONGOD_OPEN                                                             \
    "create,cache_size=256M,session_max=33000,eviction=(threads_min=4,threads_max=4)," \
    "config_base=false,statistics=(fast),log=(enabled=true,archive=true,path=journal," \
    "compressor=),file_manager=(close_idle_time=100000,close_scan_interval=10,"        \
    "close_handle_minimum=250),statistics_log=(wait=0),verbose=[recovery_progress,"    \
    "checkpoint_progress]"

/* A fresh home with a journal directory, a key file and a configuration below the scratch. */
typedef struct {
    char home[512];
    char key[512];
    char conf[512];
    char errors[16384]; /* what the engine's error handler was told, lines */
    char messages[16384];
    WT_EVENT_HANDLER handler;
} MODULE_HOME;

/* module_home_new -- Make one; extra_conf is appended to its wtkms.conf. */
void module_home_new(MODULE_HOME *mh, const char *extra_conf);

/* module_open -- Open it with mongod's string and the module; extra is appended. Returns the engine's code. */
int module_open(MODULE_HOME *mh, const char *extra, WT_CONNECTION **connp);

/* module_fill, module_check -- Write and read back `rows` rows of a table; create configuration extra. */
int module_fill(WT_CONNECTION *conn, const char *uri, const char *create, int rows);
int module_check(WT_CONNECTION *conn, const char *uri, int rows);

/* module_write_file -- Replace a file's content (mode 0600). */
void module_write_file(const char *path, const char *text);

/* module_new_key -- Write another random key into a key file. */
void module_new_key(const char *path);

/* module_path -- A path below the home; static buffer, one at a time. */
const char *module_path(const MODULE_HOME *mh, const char *name);

#endif
