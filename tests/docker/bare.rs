//! An image that has nothing but the server: no shell and no other program. Nothing is ever run in it.

use std::fs;
use std::process::Command;

use operator_run::run::{RunRecord, SnapshotStatus, Verdict};

use super::engine::{Engine, docker, say};
use super::program::{Call, Folder};

const KILL: &str = "- kill: { target: { role: etcd, pick: leader } }";

#[test]
fn a_process_and_its_network_are_disturbed_from_outside() {
    let Some(engine) = Engine::find() else { return };
    let (folder, image) = (Folder::new(), BareImage::make(&engine));
    let delay = "- delay: { target: { role: etcd, pick: non-leader, count: 2 }, by: 20ms }";
    let scenario = folder.scenario_with(KILL, &format!("{KILL}\n  {delay}"));
    let call = Call::new(&engine, &folder, scenario).argument("--json");
    let ended = call.variable("OPERATOR_RUN_ETCD_IMAGE", &image.0).start().end();
    ended.assert_code(0);
    say(&format!("an image without a shell: {:.1} s", ended.took.as_secs_f64()));
    let record: RunRecord = serde_json::from_str(&ended.output()).unwrap();
    assert_eq!((record.verdict, record.snapshot.unwrap().status), (Verdict::Pass, SnapshotStatus::Same), "{ended}");
    let kinds: Vec<&str> = record.injections.iter().map(|injection| injection.fault.kind().key()).collect();
    assert_eq!(kinds, ["kill", "delay", "delay"]);
    assert!(record.injections.iter().all(|one| one.bit.is_some() && one.healed.is_some()), "{:?}", record.injections);
    folder.assert_nothing_left();
}

#[test]
fn a_command_that_it_does_not_have_is_an_error() {
    let Some(engine) = Engine::find() else { return };
    let (folder, image) = (Folder::new(), BareImage::make(&engine));
    let scenario = folder.scenario_with(KILL, "- exec: { target: { node: etcd1 }, command: [sh, -c, exit], undo: [] }");
    let ended = Call::new(&engine, &folder, scenario).variable("OPERATOR_RUN_ETCD_IMAGE", &image.0).start().end();
    ended.assert_code(3);
    ended.assert_says(&["running `sh -c exit` on etcd1", "its image has no such program"]);
    folder.assert_nothing_left();
}

/// An image of etcd's program and of the libraries that it is linked with.
struct BareImage(String);

impl BareImage {
    fn make(engine: &Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, archive) = (folder.path().join("root"), folder.path().join("root.tar"));
        fs::create_dir(&root).unwrap();
        let container = docker(&["create", engine.etcd_image()]);
        let program = root.join("etcd");
        docker(&["cp", "--follow-link", &format!("{container}:/usr/local/bin/etcd"), program.to_str().unwrap()]);
        docker(&["rm", &container]);
        // What it needs of this machine's libraries; it fails for a program that is linked with none.
        let linked = Command::new("ldd").arg(&program).output().unwrap();
        let linked = String::from_utf8(linked.stdout).unwrap();
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            let inside = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(inside.parent().unwrap()).unwrap();
            fs::copy(library, inside).unwrap();
        }
        let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status().unwrap();
        assert!(packed.success());
        let image = Self(format!("operator-run/etcd-alone:{}-{}", std::process::id(), fastrand::u32(..)));
        docker(&["import", "--change", r#"CMD ["/etcd"]"#, archive.to_str().unwrap(), &image.0]);
        image
    }
}

impl Drop for BareImage {
    fn drop(&mut self) {
        docker(&["image", "rm", &self.0]);
    }
}
