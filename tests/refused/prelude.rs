#![forbid(unsafe_code)]
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Mutex, OnceLock};

use mod_rust::httpd::{Brigade, HookStatus, Pattern, Pool, Request, Server, Table, log};
use mod_rust::module::{Config, Contexts, Directive, Parameters};
use mod_rust::{Body, Environ, Factory, Result, StartResponse};

