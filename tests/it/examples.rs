//! The jobs under `examples/jobs/`: each is what its scheduler reads, and runs commands that there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::run::converse;
use crate::world::{World, small};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/jobs")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

/// What a Python program says of a file.
#[track_caller]
fn python(program: &str, args: &[&str]) -> String {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let output = Command::new(python)
        .arg("-c")
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The command is one of this binary's, flags and all.
#[track_caller]
fn is_a_command(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let listed = converse(&["--help"]).ok().stdout;
    assert!(matches!(words[0], "sync" | "status"), "{line}");
    // `config` reads a command line and runs nothing; `status --max-age` came with `sync`
    if listed.contains("\n  sync ") {
        converse(&[&["config"][..], &words].concat()).ok();
    }
}

#[test]
fn every_line_of_the_crontab_is_a_command_at_a_time() {
    let mut commands = 0;
    for line in read("crontab")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        if line.split(' ').next().unwrap().contains('=') {
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_time = |field: &&str| {
            field
                .chars()
                .all(|letter| letter.is_ascii_digit() || "*/,-".contains(letter))
        };
        assert!(fields[..5].iter().all(is_time), "{line}");
        assert_eq!(fields[5], "converse-export");
        is_a_command(&fields[6..].join(" "));
        commands += 1;
    }
    assert_eq!(commands, 2);
}

#[test]
fn systemd_reads_the_units() {
    let service = read("converse-export.service");
    let command = service.split("ExecStart=").nth(1).unwrap().replace("\\\n", " ");
    let command = command.lines().next().unwrap();
    let (binary, rest) = command.split_once(' ').unwrap();
    assert!(binary.ends_with("/converse-export"));
    is_a_command(rest);
    for section in ["[Unit]", "[Service]"] {
        assert!(service.contains(section));
    }
    assert!(read("converse-export.timer").contains("OnCalendar=hourly"));
    // the binary of this test stands where it is installed, and no manual is
    let here = tempdir().unwrap();
    let service = service
        .replace(binary, env!("CARGO_BIN_EXE_converse-export"))
        .replace("Documentation=", "#");
    fs::write(here.path().join("converse-export.service"), service).unwrap();
    fs::write(
        here.path().join("converse-export.timer"),
        read("converse-export.timer"),
    )
    .unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify
        .arg("verify")
        .arg("--man=no")
        .arg(here.path().join("converse-export.timer"));
    // where there is no systemd nobody can say
    let Ok(output) = verify.arg(here.path().join("converse-export.service")).output() else {
        println!("no systemd-analyze here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let of_ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("converse-export"))
        .collect();
    assert!(of_ours.is_empty(), "{of_ours:?}");
}

#[test]
fn airflow_could_read_the_dag_and_hands_on_what_changed() {
    let world = World::new(small());
    let run = world.export().only("conversations").run().ok();
    let summary = world.path("summary.json");
    fs::write(&summary, run.stdout).unwrap();
    // Airflow itself is too much to install: a stand-in takes down what the DAG says
    let program = r#"
import sys, types, json
said = {}
class Operator:
    def __init__(self, **kwargs):
        said[kwargs["task_id"]] = kwargs
    def __rshift__(self, other):
        said["order"] = True
class Dag:
    def __init__(self, **kwargs):
        said["dag"] = kwargs
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
for name in ["airflow", "airflow.exceptions", "airflow.providers", "airflow.providers.standard",
             "airflow.providers.standard.operators", "airflow.providers.standard.operators.bash",
             "airflow.providers.standard.operators.python"]:
    sys.modules[name] = types.ModuleType(name)
sys.modules["airflow"].DAG = Dag
sys.modules["airflow.exceptions"].AirflowFailException = RuntimeError
sys.modules["airflow.providers.standard.operators.bash"].BashOperator = Operator
sys.modules["airflow.providers.standard.operators.python"].PythonOperator = Operator
source = open(sys.argv[1]).read()
scope = {}
exec(compile(source, sys.argv[1], "exec"), scope)
class Pulled:
    def xcom_pull(self, task_ids):
        return open(sys.argv[2]).read()
print(json.dumps({
    "changed": scope["changed_partitions"](Pulled()),
    "command": said["sync"]["bash_command"],
    "order": said["order"],
    "runs": said["dag"]["max_active_runs"],
}))
"#;
    let dag = folder().join("airflow_dag.py");
    let told = python(program, &[dag.to_str().unwrap(), summary.to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let changed = told["changed"].as_array().unwrap();
    assert_eq!(changed.len(), world.lake().files().len());
    assert!(
        changed[0]
            .as_str()
            .unwrap()
            .starts_with("/srv/lake/converse/conversations/bot="),
        "{told}"
    );
    assert_eq!((&told["order"], &told["runs"]), (&true.into(), &1.into()));
    let command = told["command"].as_str().unwrap();
    let line = command
        .split("converse-export ")
        .nth(1)
        .unwrap()
        .split(" |")
        .next()
        .unwrap();
    is_a_command(line);
    let checked = Command::new("bash").args(["-n", "-c", command]).output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn kubernetes_could_read_the_cron_job() {
    let program = r#"
import json, sys, yaml
job = yaml.safe_load(open(sys.argv[1]))
assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
assert len(job["spec"]["schedule"].split()) == 5
spec = job["spec"]["jobTemplate"]["spec"]
pod = spec["template"]["spec"]
[container] = pod["containers"]
# a policy for failed pods wants pods that are not started again in place
assert pod["restartPolicy"] == "Never"
assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["containerName"] == container["name"]
assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
print(" ".join(container["command"][1:] + container["args"]))
"#;
    let line = python(program, &[folder().join("cronjob.yaml").to_str().unwrap()]);
    is_a_command(line.trim());
}

#[test]
fn the_settings_are_settings() {
    let file = folder().join("converse-export.toml");
    let run = converse(&["config", "--config", file.to_str().unwrap()]);
    if converse(&["--help"]).ok().stdout.contains("\n  sync ") {
        let told = run.ok().stdout;
        assert!(
            told.contains("/srv/lake/converse") && told.contains("r3-218210, r3-218211"),
            "{told}"
        );
    } else {
        // all others are known
        assert!(run.ended(2).stderr.contains("since is not a setting"));
    }
}
