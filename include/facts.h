/* What the build script learns from the preprocessor: one KEY=value a line, in `cc -E -P`'s output. */
#include "ap_mmn.h"
#include "ap_release.h"
RUST_MMN_MAJOR=MODULE_MAGIC_NUMBER_MAJOR
RUST_MMN_MINOR=MODULE_MAGIC_NUMBER_MINOR
RUST_PATCH=AP_SERVER_PATCHLEVEL_NUMBER
