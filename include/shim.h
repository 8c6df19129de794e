/* What of httpd's C interface has no symbol: macros with arguments and bit fields. */
#ifndef MOD_RUST_SHIM_H
#define MOD_RUST_SHIM_H

#include "httpd.h"
#include "util_filter.h"
#include "apr_buckets.h"

/* r->connection->aborted, c->keepalive and friends are bit fields: their place in the struct is
 * the compiler's. */
int rust_conn_aborted(const conn_rec *c);
void rust_conn_close(conn_rec *c);
void rust_conn_abort(conn_rec *c);
int rust_conn_is_clogged(const conn_rec *c);
void rust_conn_set_clogged(conn_rec *c, int clogged);
int rust_conn_has_unsent_output(const conn_rec *c);

/* r->expecting_100 */
int rust_request_expecting_100(const request_rec *r);

/* Whether credentials become CGI variables (CGIPassAuth), and whether CGIVar has rules. */
int rust_request_passes_auth(const request_rec *r);
int rust_request_has_cgi_rules(const request_rec *r);

/* What per-module log levels come down to (APLOG_R_IS_LEVEL, APLOG_IS_LEVEL). */
int rust_log_request_level(const request_rec *r, int module_index);
int rust_log_server_level(const server_rec *s, int module_index);

/* Has `stopping` called when a child of httpd's begins to end: with httpd 2.4.49 and later. */
typedef void rust_child_stopping(apr_pool_t *pchild, int graceful);
void rust_hook_child_stopping(rust_child_stopping *stopping, int order);

/* Brigades are intrusive rings. */
apr_bucket *rust_brigade_first(apr_bucket_brigade *bb);
int rust_brigade_is_empty(apr_bucket_brigade *bb);
void rust_brigade_append(apr_bucket_brigade *bb, apr_bucket *b);
void rust_bucket_delete(apr_bucket *b);

/* Copies a few bytes to the end of a brigade. Pieces that follow each other share buckets, which
 * apr_brigade_write does only until the first is full. */
void rust_brigade_copy(apr_bucket_brigade *bb, const char *data, apr_size_t length);
/* Appends a part of a file, which is read and not mapped. */
void rust_brigade_file(apr_bucket_brigade *bb, apr_file_t *file, apr_off_t start, apr_off_t length,
                       apr_pool_t *pool);
int rust_bucket_is_eos(const apr_bucket *b);
int rust_bucket_is_metadata(const apr_bucket *b);
/* The status of the first error bucket (AP_BUCKET_IS_ERROR), or 0. */
int rust_brigade_error(apr_bucket_brigade *bb);
/* Moves a bucket to the end of `kept`, if its memory stays where it is for as long as it lives. */
int rust_bucket_keep(apr_bucket *b, apr_bucket_brigade *kept);
apr_status_t rust_bucket_read(apr_bucket *b, const char **data, apr_size_t *length, int block);

/* Passes `brigade` on to the network's own filter in slices of about `slice` bytes, for as long as it
 * takes them without a wait, and without the flushes in it. The rest goes behind what `held` has.
 * `part` is empty, and stays so. */
apr_status_t rust_brigade_pace(ap_filter_t *network, apr_bucket_brigade *brigade,
                               apr_bucket_brigade *held, apr_bucket_brigade *part,
                               apr_off_t slice);

/* A bucket whose data and owner come from Rust. `owner` is handed back to `destroy` once, when the
 * last bucket that refers to it is destroyed. */
typedef void rust_bucket_free(void *owner);
apr_bucket *rust_bucket_owned(const char *data, apr_size_t length, void *owner,
                              rust_bucket_free *destroy, apr_bucket_alloc_t *list);

#endif
