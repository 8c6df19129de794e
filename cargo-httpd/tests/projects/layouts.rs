//! Tests `install` and `uninstall` with configuration in conf.modules.d and conf.d, as on Fedora.
//!
//! The httpd is this machine's, with options that name another place for its configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use httpd_config::Httpd;

use crate::machine::{Tree, same, tree};
use crate::made::{Made, base};

/// An httpd with a configuration of its own.
struct Fedora {
    root: PathBuf,
    program: PathBuf,
    modules: PathBuf,
}

impl Fedora {
    fn new() -> Self {
        let base = base().join("fedora");
        let _ = fs::remove_dir_all(&base);
        let (root, modules) = (base.join("etc/httpd"), base.join("modules"));
        for folder in ["conf", "conf.d", "conf.modules.d"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let httpd = Httpd::locate().unwrap();
        fs::create_dir_all(&modules).unwrap();
        for entry in httpd.modules_dir().read_dir().unwrap() {
            let file = entry.unwrap().path();
            let link = modules.join(file.file_name().unwrap());
            std::os::unix::fs::symlink(file, link).unwrap();
        }
        let shown = root.display();
        let mpm = httpd.mpms()[0].module_name();
        let lines: String = [mpm, "unixd", "authz_core", "log_config"]
            .iter()
            .map(|name| httpd.module(name).load_line(name).unwrap())
            .collect();
        fs::write(root.join("conf.modules.d/00-base.conf"), lines).unwrap();
        fs::write(
            root.join("conf/httpd.conf"),
            format!(
                "ServerRoot \"{shown}\"\nInclude conf.modules.d/*.conf\nListen 127.0.0.1:1\n\
                 ServerName localhost\nPidFile \"{shown}/httpd.pid\"\nErrorLog \"{shown}/error_log\"\n\
                 DefaultRuntimeDir \"{shown}\"\nIncludeOptional conf.d/*.conf\n"
            ),
        )
        .unwrap();
        // The last option counts, so the folder comes at the end; `-V` reports it instead of the
        // compiled one.
        let program = base.join("httpd");
        let real = httpd.program().display();
        let root_of = |root: &Path| format!("-D HTTPD_ROOT=\"{}\"", root.display());
        fs::write(
            &program,
            format!(
                "#!/bin/sh\ncase \"$1\" in\n-V) {real} \"$@\" | sed 's|-D HTTPD_ROOT=.*|{}|' ;;\n\
                 -l) {real} -l ;;\n*) exec {real} -d '{shown}' -f '{shown}/conf/httpd.conf' \"$@\" ;;\n\
                 esac\n",
                root_of(&root)
            ),
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { root, program, modules }
    }

    fn tree(&self) -> Tree {
        tree(&[&self.root, &self.modules])
    }

    fn command(&self, project: &Made, args: &[&str]) -> Command {
        let mut command = project.command(args);
        command.env("HTTPD", &self.program).env("HTTPD_MODULESDIR", &self.modules);
        command
    }

    #[track_caller]
    fn call(&self, project: &Made, args: &[&str]) -> String {
        let output = self.command(project, args).output().unwrap();
        let said = crate::common::text(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    }

    #[track_caller]
    fn refused(&self, project: &Made, args: &[&str]) -> String {
        let output = self.command(project, args).output().unwrap();
        let said = crate::common::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }
}

impl Drop for Fedora {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.root.ancestors().nth(2).unwrap());
    }
}

#[test]
fn conf_d() {
    let project = Made::new("fedora-shop", &[]);
    let httpd = Fedora::new();
    let before = httpd.tree();
    let bin = httpd.root.with_file_name("bin");
    fs::create_dir(&bin).unwrap();

    // Files of another package stay unchanged.
    let conf = httpd.root.join("conf.d/fedora_shop.conf");
    fs::write(&conf, "# somebody's\n").unwrap();
    let said = httpd.refused(&project, &["install", "--debug"]);
    assert!(said.contains("fedora_shop.conf exists already"), "{said}");
    fs::remove_file(&conf).unwrap();
    same(httpd.tree(), &before);

    let said = httpd.call(
        &project,
        &["install", "--debug", "--reload", "--gateway", "--bin-dir", bin.to_str().unwrap()],
    );
    assert!(said.contains("httpd accepts mod_fedora_shop"), "{said}");
    assert!(said.contains("httpd does not run, so it is not restarted"), "{said}");
    let load = fs::read_to_string(httpd.root.join("conf.modules.d/20-fedora_shop.conf")).unwrap();
    let line =
        format!("LoadModule fedora_shop_module \"{}/mod_fedora_shop.so\"", httpd.modules.display());
    assert!(load.lines().any(|found| found == line), "{load}");
    assert_eq!(
        fs::read(&conf).unwrap(),
        fs::read(project.path().join("module/httpd.conf")).unwrap()
    );
    let program = Command::new(bin.join("fedora-shop-gateway")).arg("--version").output().unwrap();
    assert!(program.status.success(), "{program:?}");

    // Twice is as once, and the program stays known without --gateway.
    httpd.call(&project, &["install", "--debug"]);
    httpd.call(&project, &["uninstall"]);
    assert_eq!(fs::read_dir(&bin).unwrap().count(), 0);
    fs::remove_dir(&bin).unwrap();
    same(httpd.tree(), &before);
    let said = httpd.refused(&project, &["uninstall"]);
    assert!(said.contains("installed are: nothing"), "{said}");

    // A configuration that is refused leaves no trace.
    project.replace("module/httpd.conf", "#Define FEDORA_SHOP_DAEMON", "NoSuchDirective on");
    let said = httpd.refused(&project, &["install", "--debug"]);
    assert!(said.contains("everything is as it was before"), "{said}");
    assert!(said.contains("NoSuchDirective"), "{said}");
    same(httpd.tree(), &before);
    project.replace("module/httpd.conf", "NoSuchDirective on", "# as it was");

    // Neither does one that is wrong beforehand, nor one that reads no conf.modules.d.
    let main = httpd.root.join("conf/httpd.conf");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, format!("{text}NoSuchDirective on\n")).unwrap();
    let said = httpd.refused(&project, &["install", "--debug"]);
    assert!(said.contains("before anything was installed"), "{said}");
    let blind =
        text.replace("Include conf.modules.d/*.conf", "Include conf.modules.d/00-base.conf");
    fs::write(&main, blind.replace("conf.d/*.conf", "conf.d/none.conf")).unwrap();
    let said = httpd.refused(&project, &["install", "--debug"]);
    assert!(said.contains("configuration does not read"), "{said}");
    fs::write(&main, text).unwrap();
    same(httpd.tree(), &before);

    // A file that the administrator has changed stays: in the next version, and after the removal.
    httpd.call(&project, &["install", "--debug"]);
    let mine = fs::read_to_string(&conf).unwrap() + "# mine\n";
    fs::write(&conf, &mine).unwrap();
    project.replace("module/httpd.conf", "# as it was", "# the next version");
    let said = httpd.call(&project, &["install", "--debug"]);
    assert!(said.contains("kept, because it was changed"), "{said}");
    assert_eq!(fs::read_to_string(&conf).unwrap(), mine);
    let new = fs::read_to_string(conf.with_extension("conf.new")).unwrap();
    assert!(new.contains("# the next version"), "{new}");
    let said = httpd.call(&project, &["uninstall", "fedora_shop"]);
    assert!(said.contains("fedora_shop.conf.kept"), "{said}");
    assert_eq!(fs::read_to_string(conf.with_extension("conf.kept")).unwrap(), mine);

    // The next installation takes it up again.
    let said = httpd.call(&project, &["install", "--debug"]);
    assert!(said.contains("kept, because it was changed"), "{said}");
    assert_eq!(fs::read_to_string(&conf).unwrap(), mine);
    assert_eq!(fs::read_to_string(conf.with_extension("conf.new")).unwrap(), new);
    httpd.call(&project, &["uninstall"]);
    fs::remove_file(conf.with_extension("conf.kept")).unwrap();
    same(httpd.tree(), &before);
}
