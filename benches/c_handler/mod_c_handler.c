/* The limit of the benchmark: what a handler inside httpd costs at least.
 *
 * The same four answers are reached in two ways:
 *   SetHandler c-handler        as a plain C module is, for a URL with a file behind it;
 *   CHandlerMount URL answer    the module claims the URL itself (translate_name, map_to_storage), as
 *                               mod_proxy does and as RustAppAlias does, so that httpd walks no files.
 * Ratios of mod_rust's mounts are taken against the second; the first is shown beside it.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_script.h"
#include "apr_strings.h"

#include <unistd.h>

#define CHUNK_SIZE 16384
#define CHUNKS     64
#define ECHO_LIMIT (1 << 20)

module AP_MODULE_DECLARE_DATA c_handler_module;

typedef int answer_fn(request_rec *r);

typedef struct {
    const char *path;
    apr_size_t length;
    answer_fn *answer;
} mount;

static char chunk[CHUNK_SIZE];

static int answer_hello(request_rec *r)
{
    static const char text[] = "Hello, world\n";

    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, sizeof text - 1);
    ap_rwrite(text, sizeof text - 1, r);
    return OK;
}

/* Which process answers, so that a new generation shows. */
static int answer_process(request_rec *r)
{
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "%ld\n", (long)getpid());
    return OK;
}

/* A file, with what httpd says of its own files: validators, and answers to conditional requests. */
static int answer_file(request_rec *r)
{
    const char *path = apr_pstrcat(r->pool, ap_document_root(r), "/file", NULL);
    apr_bucket_brigade *brigade;
    apr_file_t *file;
    int status;

    if (apr_file_open(&file, path, APR_READ | APR_BINARY, APR_OS_DEFAULT, r->pool) != APR_SUCCESS)
        return HTTP_NOT_FOUND;
    if (apr_file_info_get(&r->finfo, APR_FINFO_NORM, file) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, r->finfo.size);
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    ap_set_etag(r);
    ap_set_accept_ranges(r);
    status = ap_meets_conditions(r);
    if (status != OK)
        return status;
    brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_brigade_insert_file(brigade, file, 0, r->finfo.size, r->pool);
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(r->connection->bucket_alloc));
    return ap_pass_brigade(r->output_filters, brigade) == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

static int answer_echo(request_rec *r)
{
    apr_size_t room, used = 0;
    char *body;
    long got = 0;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (status != OK)
        return status;
    room = r->remaining > 0 ? (apr_size_t)r->remaining : ECHO_LIMIT;
    if (room > ECHO_LIMIT)
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    body = apr_palloc(r->pool, room);
    if (ap_should_client_block(r)) {
        while (used < room && (got = ap_get_client_block(r, body + used, room - used)) > 0)
            used += (apr_size_t)got;
        if (got < 0)
            return HTTP_BAD_REQUEST;
    }
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, (apr_off_t)used);
    ap_rwrite(body, (int)used, r);
    return OK;
}

static int answer_stream(request_rec *r)
{
    int i;

    ap_set_content_type(r, "text/plain");
    for (i = 0; i < CHUNKS; i++) {
        if (ap_rwrite(chunk, CHUNK_SIZE, r) < 0)
            break;
    }
    return OK;
}

static int answer_environ(request_rec *r)
{
    const apr_array_header_t *list;
    const apr_table_entry_t *entry;
    int i;

    ap_add_common_vars(r);
    ap_add_cgi_vars(r);
    ap_set_content_type(r, "text/plain");
    list = apr_table_elts(r->subprocess_env);
    entry = (const apr_table_entry_t *)list->elts;
    for (i = 0; i < list->nelts; i++)
        ap_rvputs(r, entry[i].key, "=", entry[i].val, "\n", NULL);
    return OK;
}

static answer_fn *find_answer(const char *name)
{
    if (!strcmp(name, "hello"))
        return answer_hello;
    if (!strcmp(name, "process"))
        return answer_process;
    if (!strcmp(name, "file"))
        return answer_file;
    if (!strcmp(name, "echo"))
        return answer_echo;
    if (!strcmp(name, "stream"))
        return answer_stream;
    if (!strcmp(name, "environ"))
        return answer_environ;
    return NULL;
}

static void *create_mounts(apr_pool_t *p, server_rec *s)
{
    return apr_array_make(p, 4, sizeof(mount));
}

static const char *set_mount(cmd_parms *cmd, void *dir, const char *path, const char *name)
{
    apr_array_header_t *mounts = ap_get_module_config(cmd->server->module_config, &c_handler_module);
    answer_fn *answer = find_answer(name);
    mount *m;

    if (!answer)
        return "CHandlerMount: the answer is hello, process, file, echo, stream or environ";
    m = apr_array_push(mounts);
    m->path = path;
    m->length = strlen(path);
    m->answer = answer;
    return NULL;
}

static int translate(request_rec *r)
{
    apr_array_header_t *mounts = ap_get_module_config(r->server->module_config, &c_handler_module);
    const mount *m = (const mount *)mounts->elts;
    int i;

    for (i = 0; i < mounts->nelts; i++, m++) {
        const char *rest = r->uri + m->length;

        if (strncmp(r->uri, m->path, m->length) || (*rest && *rest != '/'))
            continue;
        ap_set_module_config(r->request_config, &c_handler_module, (void *)m);
        r->handler = "c-handler-mount";
        r->filename = (char *)m->path;
        r->path_info = (char *)rest;
        return OK;
    }
    return DECLINED;
}

static int claim(request_rec *r)
{
    return ap_get_module_config(r->request_config, &c_handler_module) ? OK : DECLINED;
}

static int handler(request_rec *r)
{
    const mount *m = ap_get_module_config(r->request_config, &c_handler_module);
    answer_fn *answer;

    if (m)
        return m->answer(r);
    if (!r->handler || strcmp(r->handler, "c-handler"))
        return DECLINED;
    answer = *r->uri == '/' ? find_answer(r->uri + 1) : NULL;
    return answer ? answer(r) : HTTP_NOT_FOUND;
}

static const command_rec directives[] = {
    AP_INIT_TAKE2("CHandlerMount", set_mount, NULL, RSRC_CONF, "a URL-path and the answer it gives"),
    { NULL }
};

static void register_hooks(apr_pool_t *p)
{
    memset(chunk, 'x', sizeof chunk);
    ap_hook_translate_name(translate, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_map_to_storage(claim, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(c_handler) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, create_mounts, NULL, directives, register_hooks
};
