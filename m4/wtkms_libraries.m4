# The libraries we build on. libbson and libyaml are linked statically into the module: a host may
# export symbols of its own copies (mongod does), and the module's must not meet them.

# WTKMS_STATIC_LIBRARY(VARIABLE, NAME, SYMBOL): find libNAME.a; VARIABLE_STATIC_LIBS is its path,
# or -lNAME where only the shared one is installed.
AC_DEFUN([WTKMS_STATIC_LIBRARY], [
  AC_MSG_CHECKING([for a static lib$2])
  wtkms_a=`$CC $CFLAGS -print-file-name=lib$2.a`
  AS_IF([test -f "$wtkms_a"], [AC_SUBST([$1_STATIC_LIBS], ["$wtkms_a"]) AC_MSG_RESULT([$wtkms_a])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([lib$2.a is needed: the module links it statically])])
])

AC_DEFUN([WTKMS_LIBRARIES], [
  PKG_CHECK_MODULES([CRYPTO], [libcrypto >= 3.0])
  PKG_CHECK_MODULES([BSON], [libbson-static-1.0 >= 1.23])
  # Its inline functions do not pass our warnings: a system header is not ours to mend.
  BSON_CFLAGS=`AS_ECHO(["$BSON_CFLAGS"]) | sed 's/-I/-isystem /g'`
  # From 7.84 on its first use is safe in a program with threads.
  PKG_CHECK_MODULES([CURL], [libcurl >= 7.85])
  PKG_CHECK_MODULES([YAML], [yaml-0.1 >= 0.2.5])
  PKG_CHECK_MODULES([ISAL], [libisal >= 2.30])
  # For wtkms alone, never for the module.
  PKG_CHECK_MODULES([ARCHIVE], [libarchive >= 3.6])
  PKG_CHECK_MODULES([ZSTD], [libzstd >= 1.5])
  # Only the benchmarks measure against it.
  PKG_CHECK_MODULES([SODIUM], [libsodium], [SODIUM_CFLAGS="$SODIUM_CFLAGS -DHAVE_SODIUM"], [have_sodium=no])
  PKG_CHECK_MODULES([CUNIT], [cunit >= 2.1], [have_cunit=yes], [have_cunit=no])
  AM_CONDITIONAL([HAVE_CUNIT], [test "$have_cunit" = yes])
  WTKMS_STATIC_LIBRARY([BSON], [bson-static-1.0])
  WTKMS_STATIC_LIBRARY([YAML], [yaml])
  AC_ARG_VAR([WIREDTIGER_CFLAGS], [C compiler flags that find wiredtiger.h])
  wtkms_save_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $WIREDTIGER_CFLAGS"
  AC_CHECK_HEADERS([wiredtiger.h wiredtiger_ext.h], [],
    [AC_MSG_ERROR([wiredtiger.h is needed (Debian: libwiredtiger-dev, or WIREDTIGER_CFLAGS=-I...)])],
    [[#ifdef HAVE_WIREDTIGER_H
#include <wiredtiger.h>
#endif]])
  CPPFLAGS=$wtkms_save_CPPFLAGS
])

AC_DEFUN([WTKMS_SUMMARY], [
  wtkms_openssl_version=`$PKG_CONFIG --modversion libcrypto`
  wtkms_bson_version=`$PKG_CONFIG --modversion libbson-static-1.0`
  wtkms_curl_version=`$PKG_CONFIG --modversion libcurl`
  wtkms_yaml_version=`$PKG_CONFIG --modversion yaml-0.1`
  wtkms_isal_version=`$PKG_CONFIG --modversion libisal`
  AC_MSG_NOTICE([
  wiredtiger-kms $PACKAGE_VERSION
    compiler        $CC $CFLAGS
    our flags       $WTKMS_CFLAGS
    linker flags    $WTKMS_LDFLAGS
    OpenSSL         $wtkms_openssl_version
    libbson         $wtkms_bson_version (static)
    libcurl         $wtkms_curl_version
    libyaml         $wtkms_yaml_version (static)
    ISA-L           $wtkms_isal_version
    CUnit           $have_cunit (make check needs it)
    sanitizer       $enable_sanitizer
    coverage        $enable_coverage
    fuzzers         $enable_fuzzers
    install under   $prefix])
])
