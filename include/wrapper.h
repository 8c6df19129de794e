/* What bindgen reads: the headers of httpd, APR and APR-util that the layers use, and a name for
 * each macro that it cannot translate. */
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_log_config.h"
#include "mod_status.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "scoreboard.h"
#include "util_filter.h"
#include "util_script.h"
#include "unixd.h"
#include "apr_buckets.h"
#include "apr_date.h"
#include "apr_file_io.h"
#include "apr_hash.h"
#include "apr_optional.h"
#include "apr_optional_hooks.h"
#include "apr_portable.h"
#include "apr_strings.h"
#include "apr_tables.h"
#include "apr_thread_proc.h"

static const unsigned long RUST_MODULE_MAGIC_COOKIE = MODULE_MAGIC_COOKIE;
static const int RUST_MODULE_MAGIC_NUMBER_MAJOR = MODULE_MAGIC_NUMBER_MAJOR;
static const int RUST_MODULE_MAGIC_NUMBER_MINOR = MODULE_MAGIC_NUMBER_MINOR;
static const int RUST_APR_SUCCESS = APR_SUCCESS;
static const int RUST_APR_EGENERAL = APR_EGENERAL;
static const int RUST_APR_EOF = APR_EOF;
static const int RUST_APR_EAGAIN = APR_EAGAIN;
static const int RUST_APR_TIMEUP = APR_TIMEUP;
static const int RUST_APR_ENOSPC = APR_ENOSPC;

#include "shim.h"
