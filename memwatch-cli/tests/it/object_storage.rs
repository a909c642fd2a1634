//! Every command on `s3://`: what it prints is what it prints of a folder.

use std::path::Path;

use crate::{Run, memwatch, memwatch_with, recording};

#[allow(dead_code)] // The store's tests do more with it.
#[path = "../../../memwatch-store/tests/it/s3/server.rs"]
mod server;

use server::{Conditions, Fault, Server};

const URL: &str = "s3://bucket/prefix";
const FOLDER: &str = "a-folder";

fn remote(server: &Server, folder: &Path, args: &[&str]) -> Run {
    let variables = [
        ("AWS_ENDPOINT_URL", server.endpoint()),
        ("AWS_ACCESS_KEY_ID", "canary-id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let run = memwatch_with(folder, args, b"", &variables);
    for said in [&run.out, &run.err] {
        assert!(!said.contains("canary-secret"), "{said}");
    }
    run
}

#[test]
fn every_command_takes_an_address() {
    let server = Server::start(Conditions::Honored);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    recording::write(folder);
    let rules = "[[group]]\nname = \"g\"\ninterval = \"1s\"\n[[group.rule]]\nalert = \"Up\"\nexpr = 'go_goroutines > 0'\n";
    std::fs::write(folder.join("rules.toml"), rules).unwrap();
    let sql = "SELECT count(*), max(ts) FROM samples";
    let commands: [&[&str]; 12] = [
        &["ingest", "api", "--data", "STORE"],
        &["ingest", "api", "--data", "STORE"],
        &["info", "STORE"],
        &["query", sql, "STORE"],
        &[
            "query",
            "--promql",
            "go_goroutines",
            "STORE",
            "--format",
            "csv",
        ],
        &["check", "rules.toml", "STORE"],
        &["backtest", "rules.toml", "STORE", "--format", "json"],
        &["compact", "STORE"],
        &["verify", "STORE"],
        &["retain", "--older-than", "36500d", "STORE"],
        &["verify", "STORE", "--repair"],
        &["info", "STORE", "--format", "json"],
    ];
    for command in commands {
        let at = |store: &str| -> Vec<String> {
            command
                .iter()
                .map(|arg| arg.replace("STORE", store))
                .collect()
        };
        let (here, there) = (at(FOLDER), at(URL));
        let here: Vec<&str> = here.iter().map(String::as_str).collect();
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        let (local, remote) = (memwatch(folder, &here), remote(&server, folder, &there));
        assert_eq!(remote.code, local.code, "{command:?}: {}", remote.err);
        // The name of the store is the one thing that may differ, and with it how wide a line is.
        let words = |text: &str, store: &str| {
            let text = text.replace(store, "STORE");
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        match command[0] {
            // Names of files and sizes of commits differ.
            "verify" => assert!(
                remote.out.contains("everything is as it was written"),
                "{}",
                remote.out
            ),
            "backtest" => {
                let alerts = |run: &Run| {
                    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
                    json["alerts"].clone()
                };
                assert_eq!(alerts(&remote), alerts(&local));
                assert_ne!(alerts(&remote), serde_json::json!([]));
            }
            // It closes with how long it took.
            "ingest" => {}
            _ => assert_eq!(
                words(&remote.out, URL),
                words(&local.out, FOLDER),
                "{command:?}"
            ),
        }
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let server = Server::start(Conditions::Ignored);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    recording::write(folder);
    let run = remote(&server, folder, &["ingest", "api", "--data", URL]);
    assert_eq!(run.code, 2);
    assert!(
        run.err
            .contains("expected a server that refuses a write whose condition"),
        "{}",
        run.err
    );

    let server = Server::start(Conditions::Honored);
    for (args, told) in [
        (
            ["info", "s3://nobody/x"],
            "there is no such bucket: make it, or look at AWS_ENDPOINT_URL",
        ),
        (
            ["info", "s3://bucket/x"],
            "expected a memwatch store (a folder with memwatch.json), found nothing",
        ),
        (["verify", "s3://"], "expected s3://bucket/prefix"),
    ] {
        let run = remote(&server, folder, &args);
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.err.contains(told), "{args:?}: {}", run.err);
    }
    server.faults(|_| Fault::Status(403));
    let run = remote(&server, folder, &["query", "SELECT 1", "s3://bucket/x"]);
    assert_eq!(run.code, 2);
    assert!(
        run.err
            .contains("access denied (403): the owner of AWS_ACCESS_KEY_ID needs s3:ListBucket"),
        "{}",
        run.err
    );
}
