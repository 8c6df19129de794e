//! Builds the bindings to httpd: finds its headers, learns facts from the preprocessor, compiles
//! the C shim and runs bindgen. Without the feature `httpd` it does nothing.
//!
//! A missing piece ends the build with what is missing and the remedy, in two lines.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "httpd")]
    if let Err(Problem { what, remedy }) = httpd::build() {
        println!("cargo::error={what}");
        println!("cargo::error={remedy}");
    }
}

#[cfg(feature = "httpd")]
struct Problem {
    what: String,
    remedy: String,
}

#[cfg(feature = "httpd")]
mod httpd {
    use std::env;
    use std::path::PathBuf;

    use httpd_config::{ENV, Headers};

    use super::Problem;

    const WITHOUT: &str = "the parts that need no httpd build with --no-default-features";

    /// bindgen's output, without its checks of sizes. A test (tests/build_script.rs) renews it.
    const PRE_MADE: &str = "include/bindings-docs.rs";

    /// httpd's interface: 2.4's major module magic number, and 2.4.37's minor one, the oldest that
    /// is supported (ap_mmn.h).
    const MMN_MAJOR: u32 = 20_120_211;
    const OLDEST_MINOR: u32 = 83;

    pub(super) fn build() -> Result<(), Problem> {
        for name in ENV {
            println!("cargo::rerun-if-env-changed={name}");
        }
        for name in ["LIBCLANG_PATH", "LLVM_CONFIG_PATH", "CLANG_PATH", "BINDGEN_EXTRA_CLANG_ARGS"]
        {
            println!("cargo::rerun-if-env-changed={name}");
        }
        println!("cargo::rerun-if-env-changed=DOCS_RS");
        for file in
            ["include/wrapper.h", "include/facts.h", "include/shim.h", "src/sys/shim.c", PRE_MADE]
        {
            println!("cargo::rerun-if-changed={file}");
        }
        if env::var_os("DOCS_RS").is_some() {
            return pre_made_bindings();
        }
        let headers = Headers::locate().map_err(|error| Problem {
            what: error.what().into(),
            remedy: error.remedy().into(),
        })?;
        let args = headers.compiler_args();
        facts(&headers)?;
        shim(&headers);
        bindings(&args)
    }

    /// Asks the C preprocessor, and turns the answers into cfgs and `DEP_HTTPD_*` metadata.
    fn facts(headers: &Headers) -> Result<(), Problem> {
        let expanded =
            compiler(headers).file("include/facts.h").try_expand().map_err(|error| Problem {
                what: format!("the C compiler cannot read httpd's headers: {error}"),
                remedy:
                    "install gcc and apache2-dev (Debian, Ubuntu) or httpd-devel (Fedora, RHEL)"
                        .into(),
            })?;
        let text = String::from_utf8_lossy(&expanded);
        let fact = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix('=')?.trim().parse::<u32>().ok()).ok_or_else(
                || Problem {
                    what: format!("httpd's headers do not say {name}"),
                    remedy: "check that HTTPD_INCLUDEDIR or APXS names an httpd 2.4".into(),
                },
            )
        };
        let (major, minor) = (fact("RUST_MMN_MAJOR")?, fact("RUST_MMN_MINOR")?);
        if major != MMN_MAJOR || minor < OLDEST_MINOR {
            return Err(Problem {
                what: format!("httpd's module magic number {major}.{minor} is not supported"),
                remedy: format!("it takes httpd 2.4.37 or later: {MMN_MAJOR}.{OLDEST_MINOR}"),
            });
        }
        println!("cargo::metadata=mmn={major}:{minor}");
        let patch = fact("RUST_PATCH")?;
        println!("cargo::metadata=version=2.4.{patch}");
        println!("cargo::rustc-env=MOD_RUST_BUILT_FOR=2.4.{patch}");
        Ok(())
    }

    fn shim(headers: &Headers) {
        // Hidden, as all modules of one httpd share one symbol space.
        compiler(headers)
            .file("src/sys/shim.c")
            .flag_if_supported("-fvisibility=hidden")
            .flag_if_supported("-Wno-unused-parameter")
            .compile("mod_rust_shim");
    }

    fn compiler(headers: &Headers) -> cc::Build {
        let mut build = cc::Build::new();
        build.includes(&headers.include_dirs).include("include");
        for flag in &headers.cppflags {
            build.flag(flag);
        }
        build
    }

    fn bindings(args: &[String]) -> Result<(), Problem> {
        // bindgen itself panics when there is no libclang.
        clang_sys::load().map_err(|error| Problem {
            what: format!("libclang, which reads httpd's headers, is missing: {error}"),
            remedy: format!(
                "install libclang-dev (Debian, Ubuntu) or clang-devel (Fedora, RHEL), or set \
                 LIBCLANG_PATH; {WITHOUT}"
            ),
        })?;
        let builder = bindgen::Builder::default()
            .header("include/wrapper.h")
            .clang_args(args)
            .clang_arg("-Iinclude")
            .rust_target(bindgen::RustTarget::stable(85, 0).expect("Rust 1.85 is known to bindgen"))
            .rust_edition(bindgen::RustEdition::Edition2024)
            .generate_comments(false)
            .layout_tests(true)
            .derive_debug(false)
            .derive_copy(true)
            .prepend_enum_name(false)
            .allowlist_function(
                "rust_.*|ap_hook_(handler|translate_name|map_to_storage|fixups|post_config|check_config|child_init|pre_config|log_transaction|monitor|process_connection|resume_connection|get_process_connection)",
            )
            .allowlist_function(ALLOWED_FUNCTIONS)
            .allowlist_type(
                "request_rec|server_rec|conn_rec|cmd_parms_struct|cmd_parms|command_rec|module|apr_table_entry_t|ap_filter_t|ap_filter_rec_t|ap_filter_type|apr_bucket_brigade|cmd_how|cmd_func|ap_errordocument|conn_state_t|ap_LINK_process_connection_t",
            )
            .allowlist_var(
                "SERVER_BUSY_WRITE|REMOTE_HOST|M_.*|AP_FTYPE_.*|RUST_.*|APLOG_.*|APR_HOOK_.*|AP_MODE_.*|OR_.*|ACCESS_CONF|RSRC_CONF|EXEC_ON_READ|NOT_IN_.*|GLOBAL_ONLY|APR_REG|APR_FOPEN_.*|APR_FPROT_OS_DEFAULT|M_GET|OK|DECLINED|DONE|AP_MPMQ_.*|AP_SQ_.*|ap_coredumpdir_configured|ap_default_loglevel|ap_unixd_config|AP_STATUS_.*|APR_OC_REASON_.*|APR_INCHILD|APR_INPARENT|MODULE_MAGIC_COOKIE|AP_FILTER_ERROR|AP_REQ_REJECT_PATH_INFO|MERGE_ALLOW|REPLACE_ALLOW|APR_BLOCK_READ|APR_NONBLOCK_READ|AP_REG_.*|REQUEST_CHUNKED_DECHUNK",
            );
        builder
            .generate()
            .map_err(|error| Problem {
                what: format!("bindgen cannot read httpd's headers: {error}"),
                remedy: format!("see the messages above; {WITHOUT}"),
            })?
            .write_to_file(bindings_file())
            .map_err(not_written)
    }

    /// Takes the bindings that are checked in: docs.rs has neither httpd's headers nor libclang,
    /// and links nothing.
    fn pre_made_bindings() -> Result<(), Problem> {
        println!("cargo::rustc-env=MOD_RUST_BUILT_FOR=2.4.37");
        std::fs::copy(PRE_MADE, bindings_file()).map(|_| ()).map_err(not_written)
    }

    fn bindings_file() -> PathBuf {
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs")
    }

    fn not_written(error: std::io::Error) -> Problem {
        Problem {
            what: format!("cannot write the bindings: {error}"),
            remedy: "check that cargo's target folder can be written".into(),
        }
    }

    /// The functions of httpd, APR and APR-util that the layers call.
    const ALLOWED_FUNCTIONS: &str = concat!(
        "ap_(",
        "allow_methods|add_cgi_vars|add_common_vars|add_output_filter_handle|cookie_check_string|discard_request_body|fatal_signal_setup",
        "|context_document_root|context_prefix|destroy_sub_req|document_root|escape_html2|find_path_info|get_brigade|get_client_block|get_conn_socket|get_limit_req_body",
        "|get_loadmodule_index|get_module_config|get_request_note|get_server_banner|get_status_line|getword_conf|get_server_description",
        "|http_scheme|internal_redirect|internal_redirect_handler|log_cerror_|log_error_|log_rerror_|map_http_request_error",
        "|meets_conditions|mpm_query|no2slash|no2slash_ex|os_escape_path|pass_brigade|regcomp|regexec|regexec_len|regfree|pregcomp|pregsub",
        "|run_http_scheme|run_default_port|send_interim_response|set_content_length|set_content_type|set_etag|make_etag|make_etag_ex|set_last_modified|update_mtime|run_generate_log_id",
        "|server_root_relative|runtime_dir_relative|setup_client_block|show_mpm|state_query|get_remote_logname|get_server_name_for_url|psignature|get_server_port|get_useragent_host|get_remote_host|request_has_body|exists_scoreboard_image|get_server_revision|sub_req_lookup_uri|die|process_request_after_handler|remove_input_filter_byhandle|update_child_status|expr_.*|filter_protocol|mpm_.*|get_pollfd_from_conn",
        ")|ap_bucket_error_create",
        "|apr_(",
        "brigade_cleanup|brigade_create|brigade_destroy|brigade_insert_file|brigade_length|brigade_partition|bucket_alloc|bucket_eos_create|bucket_file_create|bucket_flush_create|bucket_immortal_create|bucket_transient_create|bucket_heap_create",
        "|date_parse_http|file_open|os_sock_get|os_sock_put|palloc|pcalloc|pool_cleanup_kill|pool_cleanup_null|pool_cleanup_register|pool_userdata_get|pool_userdata_setn|pool_userdata_set",
        "|pool_cleanup_run|pool_pre_cleanup_register|proc_fork|proc_other_child_register|proc_other_child_unregister|optional_hook_add|dynamic_fn_retrieve|psprintf|pstrdup|pstrmemdup|pmemdup|socket_timeout_get|socket_timeout_set|strerror|stat|table_add|table_addn|table_clear|table_do|table_elts|table_get|table_make|table_set|table_setn|table_unset|table_mergen|time_now|hash_get|array_push",
        ")",
    );
}
