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
/* Makes a brigade whose owner destroys the buckets: the pool does not. */
apr_bucket_brigade *rust_brigade_create(apr_pool_t *pool, apr_bucket_alloc_t *list);
int rust_brigade_is_empty(apr_bucket_brigade *bb);
void rust_brigade_append(apr_bucket_brigade *bb, apr_bucket *b);

/* Reads the first bucket that is not metadata, and deletes those before it: none, the end, data of at
 * least one byte, or `status`, why it cannot be read. */
#define RUST_FIRST_NONE 0
#define RUST_FIRST_END 1
#define RUST_FIRST_DATA 2
#define RUST_FIRST_FAILED 3
typedef struct {
    const char *data;
    apr_size_t length;
    apr_status_t status;
} rust_first;
int rust_brigade_read_first(apr_bucket_brigade *bb, int block, rust_first *first);
/* Moves the first bucket to the end of `kept`, if its memory stays where it is for as long as it
 * lives. */
int rust_brigade_keep_first(apr_bucket_brigade *bb, apr_bucket_brigade *kept);
void rust_brigade_delete_first(apr_bucket_brigade *bb);

/* Copies a few bytes to the end of a brigade. Pieces that follow each other share buckets, which
 * apr_brigade_write does only until the first is full. */
void rust_brigade_copy(apr_bucket_brigade *bb, const char *data, apr_size_t length);
/* Appends what one read gives of a file at `start`, `most` bytes at most. Returns their number, or -1
 * with errno. */
apr_ssize_t rust_brigade_pread(apr_bucket_brigade *bb, int fd, apr_off_t start, apr_size_t most);
/* Appends a part of a file, which is read and not mapped. */
void rust_brigade_file(apr_bucket_brigade *bb, apr_file_t *file, apr_off_t start, apr_off_t length,
                       apr_pool_t *pool);
/* The status of the first error bucket (AP_BUCKET_IS_ERROR), or 0. */
int rust_brigade_error(apr_bucket_brigade *bb);

/* Passes `brigade` on to the network's own filter in slices of about `slice` bytes, for as long as it
 * takes them without a wait, and without the flushes in it. The rest goes behind what `held` has.
 * `part` is empty, and stays so. */
apr_status_t rust_brigade_pace(ap_filter_t *network, apr_bucket_brigade *brigade,
                               apr_bucket_brigade *held, apr_bucket_brigade *part,
                               apr_off_t slice);

/* A bucket whose data comes from Rust. `owner` gets the place for the data's owner, of `size` bytes,
 * which is handed to `destroy` once, when the last bucket that refers to it is destroyed. */
typedef void rust_bucket_free(void *owner);
apr_bucket *rust_bucket_owned(const char *data, apr_size_t length, apr_size_t size,
                              rust_bucket_free *destroy, apr_bucket_alloc_t *list, void **owner);

#endif
