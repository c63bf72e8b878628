/*
 * cli/commands.c -- The table of commands. wtkms(1) is held to it.
 */
#include "cli/cli.h"

const CLI_COMMAND cli_commands[] = {
  {"keygen", "FILE", 1, "Make a key file for the provider \"local\".",
    "Writes 32 random bytes in base64, mode 0600, and never over an existing file. For\n"
    "tests and for homes without a key service: who has the file has the data.",
    false, NULL, cmd_keygen},
  {"init", "HOME", 1, "Prepare a database's home for encryption.",
    "Makes the keystore when the home is fresh, or verifies the one that is there, and\n"
    "writes the two lines that load the module into HOME/WiredTiger.config, where lines of\n"
    "your own stay. Safe to run again: it repairs what is missing. A home with plain data is\n"
    "refused; start an empty one and move the data by an initial sync or by dump and restore.\n"
    "HOME must exist. --uninstall removes the two lines when no data is encrypted.",
    false, cmd_init_options, cmd_init},
  {"status", "PATH", 1, "Say what a home or a copy of one needs to be read.",
    "Needs no key: PATH may be a copy anywhere. With --config it also opens the keystore\n"
    "through the key service and checks the seal; --check asks the key service of each\n"
    "recipient besides. By default only the headers of blocks and\n"
    "log records are read; --full checks their checksums too. Exit code 4: something could\n"
    "not be judged, the keystore is missing for instance.",
    true, cmd_status_options, cmd_status},
  {"check", "HOME", 1, "Authenticate every encrypted page and log record.",
    "Opens the keystore through the key service, checks its seal, decrypts every unit, and\n"
    "reports clear log records, data in padding, and what the engine would refuse. Each\n"
    "failure is named with file and offset. The configuration is --config, by default\n"
    "/etc/wtkms.conf. Exit code 1: something failed.",
    false, cmd_check_options, cmd_check},
  {"abi", "BINARY", 1, "Say whether the module loads into a program, before an upgrade.",
    "Finds WiredTiger's version in a mongod or a libwiredtiger.so. Exit code 0: known,\n"
    "1: the module would refuse it.",
    false, NULL, cmd_abi},
  {"rotate cmk", "HOME", 1, "Let other customer keys open the keystore.",
    "Opens the master keys through any recipient of the configuration or of --from that\n"
    "still works, wraps them for the recipients of the configuration and no others, and\n"
    "proves each new one by unwrapping before it writes. --config is the new configuration\n"
    "and --from the old one, by default /etc/wtkms.conf. The database may run.",
    false, cmd_rotate_cmk_options, cmd_rotate_cmk},
  {"rotate master", "HOME", 1, "Make new master keys; wrap the data keys again.",
    "One scope, or all. The configuration must be the one that the running database has: it\n"
    "unwraps the new master key through it, within seconds and without a restart.",
    false, cmd_rotate_master_options, cmd_rotate_master},
  {"rotate data", "HOME", 1, "Make new data keys for what is written from now on.",
    "One keyid, or all. A running database uses them within seconds; what was written before\n"
    "stays readable under the old ones.",
    false, cmd_rotate_data_options, cmd_rotate_data},
  {"reencrypt", "HOME", 1, "Rewrite all that is not under the active data keys, in place.",
    "Every page and log record, live or stale, whose data key is not the active one of its\n"
    "keyid is encrypted again where it stands; sizes stay. The database must be stopped, and\n"
    "cannot start meanwhile. After a kill at any point the same command goes on; Ctrl-C stops\n"
    "where all is in order. Exit code 4: something stayed as it was, and is named.\n"
    "Afterwards take a new full backup: incremental ones do not know what changed.",
    false, cmd_reencrypt_options, cmd_reencrypt},
  {"kms test", "", 0, "Try the key services of a configuration.",
    "Describes each key, wraps random bytes and unwraps them again, for every recipient of\n"
    "every scope, and says what works, how long it took, and for what does not, what to do.\n"
    "Needs no home and changes nothing. Exit code 1: something did not work.",
    false, NULL, cmd_kms_test},
  {"kms create-key", "", 0, "Make a customer key on a KMIP server.",
    "Creates and activates an AES key of 256 bits under the keyName of the first entry of a\n"
    "KMIP server, and prints its unique identifier. Refused when the server has a key of that\n"
    "name. For other providers it says what command makes one.",
    false, cmd_kms_create_key_options, cmd_kms_create_key},
  {"key list", "HOME", 1, "List master keys and data keys of a home.",
    "Reads the keystore without any key, so its seal is not checked.", false, NULL, cmd_key_list},
  {"key prune", "HOME [COPY...]", 1, "Retire data keys that nothing uses any more.",
    "Reads every block and log record of the home and of the copies named, and retires the\n"
    "versions that no unit is under, never the active ones. Retired keys are dropped by the\n"
    "next write of the keystore. What cannot be read whole is named, and then every key stays:\n"
    "exit code 4. Copies that are not named are not known to it; it waits for one that\n"
    "\"snapshot create\" is making.",
    false, cmd_key_prune_options, cmd_key_prune},
  {"key remove", "HOME", 1, "Destroy the data keys of one keyid.",
    "Refused while a file has a unit under them: drop the tables and take a checkpoint first.\n"
    "The keystore, its copies, WiredTiger.config and the previous generation lose the keys.\n"
    "The host must be stopped, and the keyid be typed, or given by --yes.",
    false, cmd_key_remove_options, cmd_key_remove},
  {"key usage", "[KEYID] PATH...", 0, "Say what a customer key is still needed for.",
    "Searches the paths as snapshot list does, or the inventory of many hosts, and names every\n"
    "live home, copy and archive that is wrapped for the key KEYID, and which other recipient\n"
    "would still open each. Exit code 0: nothing in these places needs it; 3: something does;\n"
    "4: nothing known does, but something could not be judged.",
    false, cmd_key_usage_options, cmd_key_usage},
  {"keystore show", "HOME|FILE", 1, "Print all that a keystore says in clear, as JSON.",
    "Reads a home's keystore, or a backup of one, without any key.", false, NULL,
    cmd_keystore_show},
  {"keystore backup", "HOME DEST", 2, "Copy a home's keystore away.",
    "Writes the new file DEST durably, never over an existing one. With --config the\n"
    "keystore is opened first, so that a backup is known to be good.",
    false, NULL, cmd_keystore_backup},
  {"keystore fork", "HOME", 1, "Make the keystore of a cloned volume one of its own.",
    "A new uuid with the old one as parent, and new master keys wrapped for the recipients of\n"
    "the configuration. The data keys stay, as the files are under them. Run it in the clone,\n"
    "with the clone's configuration, before its first start. The host must be stopped.",
    false, cmd_keystore_fork_options, cmd_keystore_fork},
  {"keystore restore", "HOME", 1, "Put a backup of the keystore back.",
    "The backup must be of the home's own line of keys (its uuid), hold every data key that\n"
    "the home's files use, open through the configuration's key service, and decrypt a unit\n"
    "of the home. One that is older than what is there needs --force and --reason besides.\n"
    "The host must be stopped.",
    false, cmd_keystore_restore_options, cmd_keystore_restore},
  {"keystore recover", "HOME", 1, "Open a keystore by the offline key, when all else is lost.",
    "Opens the recipient \"publickey\" with its private key, then wraps every master key for\n"
    "the recipients of the configuration, which may be new ones, and records it in the\n"
    "history. The host must be stopped.",
    false, cmd_keystore_recover_options, cmd_keystore_recover},
  {"oplog seal", "ARCHIVE [FILE...]", 1, "Append oplog entries to a sealed archive.",
    "Reads BSON documents from the files or the input, as mongodump writes the oplog, checks\n"
    "each and their order, and appends them compressed and encrypted. A new archive has a\n"
    "key of its own, wrapped for the recipients of the configuration: it can be opened\n"
    "without the home, and whatever is rotated there. What an interrupted run left\n"
    "unfinished is cut back to its last whole frame. Several appends make one archive.",
    false, cmd_oplog_seal_options, cmd_oplog_seal},
  {"oplog list", "PATH...", 1, "List sealed oplog archives.",
    "At and below the paths, without any key: node, times of the first and the last entry,\n"
    "customer keys. What is listed so is not verified. Exit code 4: an archive is damaged.",
    false, NULL, cmd_oplog_list},
  {"oplog verify", "PATH...", 1, "Authenticate sealed oplog archives; find gaps.",
    "Every frame is decrypted and its entries are checked. Two archives of one node that have\n"
    "no entry in common may have a gap between them; inside of one, a long silence, a term\n"
    "without its first entry, and a write that follows one that is not there tell of gaps.\n"
    "Exit code 1: something failed, 4: there may be a gap, or there are no archives.",
    false, cmd_oplog_verify_options, cmd_oplog_verify},
  {"oplog open", "PATH...", 1, "Write the entries of sealed oplog archives.",
    "To the output, as mongorestore with oplogReplay takes them. Archives of one node are put\n"
    "in order, and what two of them have is written once. TIME is seconds:increment as in ts,\n"
    "or like 2026-11-24T19:00:00Z. Exit code 1: what was written is not all, or not as far as\n"
    "asked: an open end is refused at the end unless --allow-open-end is given.",
    false, cmd_oplog_open_options, cmd_oplog_open},
  {"snapshot create", "HOME DEST", 2, "Copy a home, with a manifest of what the copy is.",
    "Of a stopped home, which cannot start meanwhile; or of one that does not change\n"
    "(--frozen); or of a running one, from a backup cursor's list (--files). Keystore and\n"
    "mirror go with it, last. The home's keystore is opened first, through its key service.\n"
    "DEST is a new or an empty directory, or - for a tar archive on standard output. Files\n"
    "share their blocks with the home where the file system can. \"key prune\" waits until\n"
    "copies are done. What failed or was stopped is removed; after a kill DEST has the file\n"
    "wtkms.unfinished, and is to be removed.",
    false, cmd_snapshot_create_options, cmd_snapshot_create},
  {"snapshot expire", "PATH...", 1, "Remove copies whose date has passed.",
    "Searches the paths as snapshot list does. A copy goes when snapshot create made it with\n"
    "--keep-until, that is over, nothing else is in it, nobody has used it as a home and no\n"
    "process has it open; an archive, when snapshot create wrote it. What stays says why:\n"
    "exit code 1. Asks, unless --yes or --plan is given. Says which customer keys nothing in\n"
    "these places needs any more. After an interruption the same command goes on.",
    false, cmd_snapshot_expire_options, cmd_snapshot_expire},
  {"snapshot list", "PATH...", 1, "List copies of homes with the keys that they need.",
    "Finds homes, volume snapshots, copies of files and tar archives (plain, gzip, zstd, xz)\n"
    "under the paths; - is an archive on standard input. Archives are not unpacked. Large files\n"
    "are sampled, which the row says. Needs no key. Exit code 4: something could not be judged;\n"
    "with --check, 1: a recipient that was asked does not open.",
    false, cmd_snapshot_list_options, cmd_snapshot_list},
  {"snapshot restore", "COPY HOME", 2, "Make a home of its own of a copy.",
    "COPY is a directory, a tar archive (plain, gzip, zstd, xz), or - for one on standard\n"
    "input. HOME is an empty directory. Opens the copy's keystore through --config, --from or\n"
    "--trust-key, copies, authenticates every unit, and gives HOME a keystore of its own: a new\n"
    "uuid with the copy's as parent, new master keys, wrapped for the recipients of --config\n"
    "and no others. From then on the copy's customer key is not needed. --reencrypt makes new\n"
    "data keys too. After an interruption the same command goes on; until it is done nothing\n"
    "opens HOME. A copy that is not encrypted or does not hold is refused.",
    false, cmd_snapshot_restore_options, cmd_snapshot_restore},
  {"snapshot verify", "COPY", 1, "Authenticate every page and log record of a copy.",
    "Compares names, sizes and hashes with the manifest, where snapshot create made one, and\n"
    "authenticates each unit with the keystore that is with the copy, or the one in its\n"
    "WiredTiger.config. Each failure is named with file and offset. Without the customer key\n"
    "what can be checked is checked. Exit code 1: something failed; 4: something could not be\n"
    "judged.",
    false, cmd_snapshot_verify_options, cmd_snapshot_verify},
  {"inventory export", "PATH...", 1, "Write down what snapshot list finds, for other hosts.",
    "Prints JSON: run it on each node and backup host, then merge.", false, NULL,
    cmd_inventory_export},
  {"inventory merge", "FILE...", 1, "Join the inventories of several hosts.",
    "Prints one inventory. Of a copy that two of them have, same host and path, what was\n"
    "seen last stays.",
    false, NULL, cmd_inventory_merge},
  {NULL, NULL, 0, NULL, NULL, false, NULL, NULL}};
