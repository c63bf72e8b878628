# dist/style.sh -- Sourced by the s_* scripts that are shell: findings, and where things are.
set -u
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
style_findings=0

# finding TEXT -- Print a finding; the check fails.
finding() {
    echo "$*"
    style_findings=$((style_findings + 1))
}

# findings -- The same for every line of standard input.
findings() {
    local line

    while IFS= read -r line; do
        [ -z "$line" ] || finding "$line"
    done
}

# skip REASON -- The check cannot be made here.
skip() {
    echo "$*"
    exit 77
}

finish() { exit $((style_findings > 0)); }

# style_files [PATTERN...] -- The project's own files, those whose path matches one of the shell
# patterns; as in source.py.
style_files() {
    local file pattern

    python3 -c 'import sys; sys.path.insert(0, "dist"); sys.dont_write_bytecode = True
import source
print("\n".join(source.files()))' | while IFS= read -r file; do
        [ $# -gt 0 ] || echo "$file"
        for pattern in "$@"; do
            # shellcheck disable=SC2254
            case $file in
            $pattern)
                echo "$file"
                break
                ;;
            esac
        done
    done
}

# style_built FILE -- Where the build tree has it: WTKMS_BUILD names the tree, else that of dist/check,
# else the source tree itself.
style_built() {
    local tree

    for tree in ${WTKMS_BUILD:+"$WTKMS_BUILD"} .build/gcc .; do
        if [ -e "$tree/$1" ]; then
            echo "$tree/$1"
            return 0
        fi
    done
    return 1
}

# style_scripts -- Every shell script, by name or by its first line.
style_scripts() {
    local file first

    style_files | while IFS= read -r file; do
        case $file in
        *.sh)
            echo "$file"
            continue
            ;;
        *.*/* | *.md | *.[ch1-8] | *.py | *.m4) ;;
        esac
        IFS= read -r first <"$file" 2>/dev/null || continue
        case $first in
        '#!'*bash* | '#!'*/sh*) echo "$file" ;;
        esac
    done
}
