//! Programs of the system, as users run them. One that is not installed fails the test and says so:
//! a test that was skipped has proved nothing.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// `program`, to be run in `folder` and to be given its arguments.
pub(crate) fn tool(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    if program == "git" {
        // Nothing that the user of this machine has set, a name that none may have set, and nothing
        // that goes on behind its end.
        command.args(["-c", "maintenance.auto=false", "-c", "gc.auto=0"]);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "web")
                .env(format!("GIT_{who}_EMAIL"), "web@test");
        }
    }
    command
}

/// Runs a program to its end, which must be a good one.
#[track_caller]
pub(crate) fn run(command: &mut Command) {
    let program = command.get_program().to_owned();
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs {program:?}, which is not installed; .ci/run installs it")
        }
        Err(error) => panic!("{command:?} cannot be run: {error}"),
    }
}

/// Starts what follows with so many descriptors at most, which it cannot raise.
pub(crate) fn with_descriptors(most: u64) -> Vec<String> {
    shell(&[], "ulimit -n \"$0\"", &most.to_string())
}

/// Starts what follows in a user namespace of its own, in which the kernel grants so many inotify
/// watches and not one more; nobody else on this machine is told.
pub(crate) fn with_inotify_watches(most: usize) -> Vec<String> {
    let limit = "echo \"$0\" > /proc/sys/user/max_inotify_watches";
    shell(&["unshare", "--user", "--map-root-user"], limit, &most.to_string())
}

/// Starts what follows with `folder` as its root, of which all other files are out of reach.
pub(crate) fn with_root(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    ["unshare", "--user", "--map-root-user", "--root", folder, "--wd", "/"]
        .map(str::to_owned)
        .to_vec()
}

/// Starts what follows as somebody whom permissions stop, even if we are root.
pub(crate) fn without_privileges() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return vec![];
    }
    ["setpriv", "--inh-caps=-all", "--bounding-set=-all"].map(str::to_owned).to_vec()
}

/// Has a shell do something with `argument` before it makes way for what follows.
fn shell(before: &[&str], statement: &str, argument: &str) -> Vec<String> {
    let statement = format!("{statement} && exec \"$@\"");
    let shell = ["sh", "-c", &statement, argument];
    before.iter().chain(&shell).map(|&word| word.to_owned()).collect()
}
