/* What the build script learns from the preprocessor: one KEY=value a line, in `cc -E -P`'s output. */
#include "ap_mmn.h"
#include "ap_release.h"
#include "apr.h"
RUST_MMN_MAJOR=MODULE_MAGIC_NUMBER_MAJOR
RUST_MMN_MINOR=MODULE_MAGIC_NUMBER_MINOR
RUST_PATCH=AP_SERVER_PATCHLEVEL_NUMBER
RUST_HAS_THREADS=APR_HAS_THREADS
RUST_HAS_SENDFILE=APR_HAS_SENDFILE
RUST_HAS_MMAP=APR_HAS_MMAP
