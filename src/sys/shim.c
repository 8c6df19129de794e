/* See include/shim.h. */
#include "shim.h"
#include "apu_version.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "mpm_common.h"

#include <errno.h>
#include <unistd.h>

int rust_conn_aborted(const conn_rec *c)
{
    return c->aborted;
}

void rust_conn_close(conn_rec *c)
{
    c->keepalive = AP_CONN_CLOSE;
}

void rust_conn_abort(conn_rec *c)
{
    c->aborted = 1;
}

int rust_conn_is_clogged(const conn_rec *c)
{
    return c->clogging_input_filters;
}

void rust_conn_set_clogged(conn_rec *c, int clogged)
{
    c->clogging_input_filters = clogged != 0;
}

int rust_conn_has_unsent_output(const conn_rec *c)
{
    return c->data_in_output_filters;
}

int rust_request_expecting_100(const request_rec *r)
{
    return r->expecting_100;
}

int rust_request_passes_auth(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    return core->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
}

int rust_request_has_cgi_rules(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    return core->cgi_var_rules != NULL;
}

int rust_log_request_level(const request_rec *r, int module_index)
{
    return ap_get_request_module_loglevel(r, module_index);
}

int rust_log_server_level(const server_rec *s, int module_index)
{
    return ap_get_server_module_loglevel(s, module_index);
}

void rust_hook_child_stopping(rust_child_stopping *stopping, int order)
{
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
    ap_hook_child_stopping(stopping, NULL, NULL, order);
#else
    (void)stopping;
    (void)order;
#endif
}

int rust_brigade_read_first(apr_bucket_brigade *bb, int block, rust_first *first)
{
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_EOS(b)) {
            return RUST_FIRST_END;
        }
        if (!APR_BUCKET_IS_METADATA(b)) {
            first->status = apr_bucket_read(b, &first->data, &first->length,
                                            block ? APR_BLOCK_READ : APR_NONBLOCK_READ);
            if (first->status != APR_SUCCESS) {
                return RUST_FIRST_FAILED;
            }
            if (first->length > 0) {
                return RUST_FIRST_DATA;
            }
        }
        apr_bucket_delete(b);
    }
    return RUST_FIRST_NONE;
}

int rust_brigade_keep_first(apr_bucket_brigade *bb, apr_bucket_brigade *kept)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);

    if (APR_BRIGADE_EMPTY(bb) || !APR_BUCKET_IS_HEAP(b)) {
        return 0;
    }
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(kept, b);
    return 1;
}

void rust_brigade_delete_first(apr_bucket_brigade *bb)
{
    if (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket_delete(APR_BRIGADE_FIRST(bb));
    }
}

apr_bucket_brigade *rust_brigade_create(apr_pool_t *pool, apr_bucket_alloc_t *list)
{
    /* apr_brigade_create without its cleanup, which costs more than the brigade. */
    apr_bucket_brigade *bb = apr_palloc(pool, sizeof(*bb));

    bb->p = pool;
    bb->bucket_alloc = list;
    APR_RING_INIT(&bb->list, apr_bucket, link);
    return bb;
}

int rust_brigade_is_empty(apr_bucket_brigade *bb)
{
    return APR_BRIGADE_EMPTY(bb);
}

void rust_brigade_append(apr_bucket_brigade *bb, apr_bucket *b)
{
    APR_BRIGADE_INSERT_TAIL(bb, b);
}

void rust_brigade_copy(apr_bucket_brigade *bb, const char *data, apr_size_t length)
{
    apr_bucket *last = APR_BRIGADE_EMPTY(bb) ? NULL : APR_BRIGADE_LAST(bb);
    apr_bucket *b;

    if (last && APR_BUCKET_IS_HEAP(last)) {
        apr_bucket_heap *heap = last->data;

        if (heap->refcount.refcount == 1
            && heap->alloc_len - (apr_size_t)last->start - last->length >= length) {
            memcpy(heap->base + last->start + last->length, data, length);
            last->length += length;
            return;
        }
    }
    if (!last || length > APR_BUCKET_BUFF_SIZE) {
        /* It may stay the only one: no more room than it needs. */
        b = apr_bucket_heap_create(data, length, NULL, bb->bucket_alloc);
    }
    else {
        char *room = apr_bucket_alloc(APR_BUCKET_BUFF_SIZE, bb->bucket_alloc);

        memcpy(room, data, length);
        b = apr_bucket_heap_create(room, APR_BUCKET_BUFF_SIZE, apr_bucket_free, bb->bucket_alloc);
        b->length = length;
    }
    APR_BRIGADE_INSERT_TAIL(bb, b);
}

apr_ssize_t rust_brigade_pread(apr_bucket_brigade *bb, int fd, apr_off_t start, apr_size_t most)
{
    char *room = apr_bucket_alloc(most, bb->bucket_alloc);
    apr_ssize_t count;

    do {
        count = pread(fd, room, most, start);
    } while (count < 0 && errno == EINTR);
    if (count <= 0) {
        int error = errno;

        apr_bucket_free(room);
        errno = error;
        return count;
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(room, (apr_size_t)count, apr_bucket_free,
                                                       bb->bucket_alloc));
    return count;
}

void rust_brigade_file(apr_bucket_brigade *bb, apr_file_t *file, apr_off_t start, apr_off_t length,
                       apr_pool_t *pool)
{
    /* The last bucket; those before it share its record of the file. */
    apr_bucket *b = apr_brigade_insert_file(bb, file, start, length, pool);

#if APR_HAS_MMAP
    apr_bucket_file_enable_mmap(b, 0);
#endif
#if APU_MAJOR_VERSION > 1 || (APU_MAJOR_VERSION == 1 && APU_MINOR_VERSION >= 6)
    /* In place of 8,000 bytes a read, which is little where nothing is mapped. */
    apr_bucket_file_set_buf_size(b, 32 * 1024);
#endif
}

int rust_brigade_error(apr_bucket_brigade *bb)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        if (AP_BUCKET_IS_ERROR(b)) {
            return ((ap_bucket_error *)b->data)->status;
        }
    }
    return 0;
}

apr_status_t rust_brigade_pace(ap_filter_t *network, apr_bucket_brigade *brigade,
                               apr_bucket_brigade *held, apr_bucket_brigade *part,
                               apr_off_t slice)
{
    conn_rec *c = network->c;
    apr_bucket *b, *next;
    apr_status_t status = APR_SUCCESS;

    for (b = APR_BRIGADE_FIRST(brigade); b != APR_BRIGADE_SENTINEL(brigade); b = next) {
        next = APR_BUCKET_NEXT(b);
        if (APR_BUCKET_IS_FLUSH(b)) {
            apr_bucket_delete(b);
        }
    }
    if (brigade == held || APR_BRIGADE_EMPTY(held)) {
        while (!APR_BRIGADE_EMPTY(brigade)) {
            if (c->data_in_output_filters) {
                status = network->frec->filter_func.out_func(network, NULL);
                if (status != APR_SUCCESS || c->data_in_output_filters) {
                    break;
                }
            }
            /* APR_INCOMPLETE: it is shorter, and `next` its end. */
            status = apr_brigade_partition(brigade, slice, &next);
            if (status != APR_SUCCESS && !APR_STATUS_IS_INCOMPLETE(status)) {
                break;
            }
            while ((b = APR_BRIGADE_FIRST(brigade)) != next
                   && b != APR_BRIGADE_SENTINEL(brigade)) {
                APR_BUCKET_REMOVE(b);
                APR_BRIGADE_INSERT_TAIL(part, b);
            }
            status = ap_pass_brigade(network, part);
            apr_brigade_cleanup(part);
            if (status != APR_SUCCESS) {
                break;
            }
        }
    }
    if (status != APR_SUCCESS) {
        apr_brigade_cleanup(brigade);
        apr_brigade_cleanup(held);
        return status;
    }
    if (brigade != held && !APR_BRIGADE_EMPTY(brigade)) {
        for (b = APR_BRIGADE_FIRST(brigade); b != APR_BRIGADE_SENTINEL(brigade);
             b = APR_BUCKET_NEXT(b)) {
            status = apr_bucket_setaside(b, held->p);
            if (status != APR_SUCCESS && !APR_STATUS_IS_ENOTIMPL(status)) {
                return status;
            }
        }
        APR_BRIGADE_CONCAT(held, brigade);
    }
    return APR_SUCCESS;
}

/* ---- the bucket type of bytes that Rust owns ---- */

typedef struct {
    apr_bucket_refcount refcount;
    const char *data;
    rust_bucket_free *destroy;
    /* The owner itself, as large as it is. */
    void *owner[1];
} owned_data;

static void owned_destroy(void *data)
{
    owned_data *owned = data;

    if (apr_bucket_shared_destroy(owned)) {
        owned->destroy(owned->owner);
        apr_bucket_free(owned);
    }
}

static apr_status_t owned_read(apr_bucket *b, const char **data, apr_size_t *length,
                               apr_read_type_e block)
{
    owned_data *owned = b->data;

    *data = owned->data + b->start;
    *length = b->length;
    return APR_SUCCESS;
}

static const apr_bucket_type_t owned_type = {
    "RUST", 5, APR_BUCKET_DATA,
    owned_destroy,
    owned_read,
    apr_bucket_setaside_noop, /* the data does not belong to any pool */
    apr_bucket_shared_split,
    apr_bucket_shared_copy
};

apr_bucket *rust_bucket_owned(const char *data, apr_size_t length, apr_size_t size,
                              rust_bucket_free *destroy, apr_bucket_alloc_t *list, void **owner)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);
    owned_data *owned = apr_bucket_alloc(sizeof(*owned) + size, list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    owned->data = data;
    owned->destroy = destroy;
    *owner = owned->owner;
    b = apr_bucket_shared_make(b, owned, 0, length);
    b->type = &owned_type;
    return b;
}
