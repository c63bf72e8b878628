# Compiler and linker flags of ours. They go to AM_CFLAGS and AM_LDFLAGS, never to the user's CFLAGS.

# WTKMS_TRY_CFLAG(VARIABLE, FLAG): append FLAG to VARIABLE when the compiler takes it.
AC_DEFUN([WTKMS_TRY_CFLAG], [
  AS_VAR_PUSHDEF([cache], [wtkms_cv_cflag_$2])
  AC_CACHE_CHECK([whether $CC accepts $2], [cache], [
    wtkms_save_CFLAGS=$CFLAGS
    # An unknown -Wno-x is only reported beside another message, so its positive is what is tried.
    CFLAGS="$CFLAGS -Werror m4_bpatsubst([$2], [^-Wno-], [-W])"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[]], [[]])], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    CFLAGS=$wtkms_save_CFLAGS])
  AS_VAR_IF([cache], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([cache])
])

AC_DEFUN([WTKMS_TRY_LDFLAG], [
  AS_VAR_PUSHDEF([cache], [wtkms_cv_ldflag_$2])
  AC_CACHE_CHECK([whether the linker accepts $2], [cache], [
    wtkms_save_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    LDFLAGS=$wtkms_save_LDFLAGS])
  AS_VAR_IF([cache], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([cache])
])

AC_DEFUN([WTKMS_WARNINGS], [
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors (for developers)])], [], [enable_werror=no])
  WTKMS_CFLAGS="-std=gnu11 -D_GNU_SOURCE -fvisibility=hidden"
  m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wcast-align -Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough
    -Wdate-time -Wnull-dereference -Wlogical-op -Wduplicated-cond -Wduplicated-branches
    -Wunused-result -Wno-format-truncation -Wno-unused-command-line-argument],
    [WTKMS_TRY_CFLAG([WTKMS_CFLAGS], flag)])
  AS_VAR_IF([enable_werror], [yes], [WTKMS_CFLAGS="$WTKMS_CFLAGS -Werror"])
  AC_SUBST([WTKMS_CFLAGS])
])

AC_DEFUN([WTKMS_HARDENING], [
  m4_foreach_w([flag], [-fstack-protector-strong -fstack-clash-protection -fcf-protection -fno-common],
    [WTKMS_TRY_CFLAG([WTKMS_CFLAGS], flag)])
  WTKMS_TRY_LDFLAG([WTKMS_LDFLAGS], [-Wl,-z,relro])
  WTKMS_TRY_LDFLAG([WTKMS_LDFLAGS], [-Wl,-z,now])
  WTKMS_TRY_LDFLAG([WTKMS_LDFLAGS], [-Wl,-z,noexecstack])
  AC_SUBST([WTKMS_LDFLAGS])
])

AC_DEFUN([WTKMS_SANITIZER], [
  AC_ARG_ENABLE([sanitizer], [AS_HELP_STRING([--enable-sanitizer=LIST], [build with address,undefined or with thread])],
    [], [enable_sanitizer=no])
  AS_CASE([$enable_sanitizer],
    [no], [WTKMS_TRY_CFLAG([WTKMS_CFLAGS], [-D_FORTIFY_SOURCE=2])],
    [yes], [AC_MSG_ERROR([--enable-sanitizer wants a list: address,undefined or thread])],
    [WTKMS_CFLAGS="$WTKMS_CFLAGS -fsanitize=$enable_sanitizer -fno-sanitize-recover=all -fno-omit-frame-pointer"
     WTKMS_LDFLAGS="$WTKMS_LDFLAGS -fsanitize=$enable_sanitizer"
     AC_DEFINE_UNQUOTED([WTKMS_SANITIZERS], ["$enable_sanitizer"], [the sanitizers this was built with])])
  AM_CONDITIONAL([SANITIZER], [test "$enable_sanitizer" != no])
  AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers], [build the libFuzzer programs (clang)])],
    [], [enable_fuzzers=no])
  AM_CONDITIONAL([FUZZERS], [test "$enable_fuzzers" = yes])
  # The library counts the branches that a fuzzer steers by; the fuzzer itself brings its main.
  AS_VAR_IF([enable_fuzzers], [yes], [WTKMS_CFLAGS="$WTKMS_CFLAGS -fsanitize=fuzzer-no-link"
    AC_SUBST([FUZZER_LDFLAGS], ["-fsanitize=fuzzer"])])
])

AC_DEFUN([WTKMS_COVERAGE], [
  AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [count which lines the tests run])],
    [], [enable_coverage=no])
  AS_VAR_IF([enable_coverage], [yes], [
    WTKMS_CFLAGS="$WTKMS_CFLAGS --coverage -fprofile-update=atomic -O0"
    # Tests whose child processes end by _exit dump the counters themselves, by a weak reference.
    WTKMS_LDFLAGS="$WTKMS_LDFLAGS --coverage -Wl,-u,__gcov_dump"])
])
