use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;

/// Makes the symbolic link at `path` another user's, if that can be done.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::lchown(path, Some(65_534), Some(65_534)).is_ok()
}

fn append(path: &Path) -> io::Result<(File, bool)> {
    Place::find(path).and_then(|place| place.append())
}

#[test]
fn links_of_ones_own_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (real, way) = (folder.path().join("real"), folder.path().join("way"));
    std::fs::create_dir(&real).unwrap();
    symlink("real/../real", &way).unwrap();
    symlink(real.join("target"), real.join("log")).unwrap();
    let (mut file, made) = append(&way.join("log")).unwrap();
    assert!(made);
    file.write_all(b"one").unwrap();
    let (mut file, made) = append(&way.join("./log")).unwrap();
    assert!(!made);
    file.write_all(b"two").unwrap();
    assert_eq!(std::fs::read_to_string(real.join("target")).unwrap(), "onetwo");
    symlink("turn", folder.path().join("turn")).unwrap();
    assert!(append(&folder.path().join("turn")).is_err());
    assert!(append(Path::new("/")).is_err());
}

#[test]
fn descriptors_in_proc_are_what_is_open_there() {
    let (mut read, write) = io::pipe().unwrap();
    let path = format!("/dev/fd/{}", write.as_raw_fd());
    let (mut file, made) = append(Path::new(&path)).unwrap();
    assert!(!made);
    file.write_all(b"line").unwrap();
    drop((file, write));
    let mut text = String::new();
    io::Read::read_to_string(&mut read, &mut text).unwrap();
    assert_eq!(text, "line");
    assert!(append(Path::new("/dev/null")).is_ok());
}

#[test]
fn what_another_user_has_put_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("victim")).unwrap();
    std::fs::write(at("victim/file"), "root's").unwrap();
    // A second name for a file, which needs no other user.
    std::fs::hard_link(at("victim/file"), at("second")).unwrap();
    assert!(append(&at("second")).unwrap_err().to_string().contains("another name"));
    symlink(at("victim/file"), at("log")).unwrap();
    symlink(at("victim"), at("folder")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    // It is opened for reading, so that only its owner is in the way.
    let _reader = openat(
        AT_FDCWD,
        &at("pipe"),
        OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
        Mode::empty(),
    );
    assert!(append(&at("pipe")).is_ok());
    if !give_away(&at("log")) || !give_away(&at("folder")) || !give_away(&at("pipe")) {
        return;
    }
    for name in ["log", "folder/new", "pipe"] {
        let error = append(&at(name)).unwrap_err();
        assert!(error.to_string().contains("of user #65534; expected"), "{name}: {error}");
    }
    assert_eq!(std::fs::read_to_string(at("victim/file")).unwrap(), "root's");
    assert!(!at("victim/new").exists());
}

#[test]
fn a_file_is_replaced_whole_and_removed_by_its_maker() {
    let folder = tempfile::tempdir().unwrap();
    let (path, victim) = (folder.path().join("pid"), folder.path().join("victim"));
    std::fs::write(&victim, "untouched").unwrap();
    symlink("pid.tmp", folder.path().join("gone")).unwrap();
    let first = Place::find(&path).unwrap().replace("1\n").unwrap();
    let second = Place::find(&path).unwrap().replace("2\n").unwrap();
    drop(first);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    drop(second);
    assert!(!path.exists());
    let kept = Place::find(&path).unwrap().replace("3\n").unwrap();
    std::fs::remove_file(&path).unwrap();
    symlink(&victim, &path).unwrap();
    drop(kept);
    assert!(path.is_symlink(), "it is not the file that was made");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left beside");
}

#[test]
fn only_the_socket_itself_is_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let (path, victim) = (folder.path().join("x.sock"), folder.path().join("victim"));
    std::fs::write(&victim, "").unwrap();
    std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
    let _socket = UnixListener::bind(&path).unwrap();
    let place = Place::find(&path).unwrap();
    let owned = place.own_socket(|socket| set_mode(socket, 0o606)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o606);
    drop(owned);
    assert!(!path.exists());
    // The folder's owner puts a link in its place between two steps.
    symlink(&victim, &path).unwrap();
    let folder = openat(AT_FDCWD, folder.path(), OFlag::O_PATH, Mode::empty()).unwrap();
    let place = Place { folder, name: "x.sock".into(), is_descriptor: false };
    assert!(place.own_socket(|socket| set_mode(socket, 0o666)).is_err());
    assert_eq!(std::fs::metadata(&victim).unwrap().mode() & 0o777, 0o600);
}
