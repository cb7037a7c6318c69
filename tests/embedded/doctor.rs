//! What `operator-run doctor` says where there is no engine: the same on every machine.

use insta::assert_snapshot;

use super::bench::Bench;

/// No engine and no Compose, whatever the machine has.
const NOTHING: [(&str, &str); 3] =
    [("DOCKER_HOST", "unix:///no/such.sock"), ("OPERATOR_RUN_COMPOSE", "/no/such/compose"), ("XDG_RUNTIME_DIR", "/no")];

#[test]
fn without_an_engine_it_says_what_is_missing_and_what_goes_all_the_same() {
    let outcome = Bench::empty().run_with(&["doctor"], &NOTHING);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (3, ""));
    assert_snapshot!(outcome.stdout);
}

#[test]
fn a_key_is_found_and_never_shown() {
    let environment = [NOTHING.as_slice(), &[("ANTHROPIC_AUTH_TOKEN", "sk-secret-123")]].concat();
    for arguments in [["doctor"].as_slice(), &["doctor", "--json"]] {
        let outcome = Bench::empty().run_with(arguments, &environment);
        assert!(outcome.stdout.contains("ANTHROPIC_AUTH_TOKEN is set"), "{}", outcome.stdout);
        assert!(![outcome.stdout, outcome.stderr].concat().contains("sk-secret"));
    }
}
