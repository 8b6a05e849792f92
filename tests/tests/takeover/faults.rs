//! What may go wrong with two processes at once: one of them serves, and it is known which.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use bq_tests::{BqOptions, BqProcess, wait_for};

use super::{LIMIT, answer, false_heir, find, with_one_miner};

/// How the two parties speak, for a party of a test in a process of its own: it may be stopped and killed.
const PYTHON: &str = r#"
import array, os, signal, socket, sys
def say(link, *frame): link.sendall(bytes([0, 0, 0, 0, len(frame), *frame]))
def take(link, count):
    got = b""
    while len(got) < count:
        more = link.recv(count - len(got))
        if not more: return None
        got += more
    return got
def hear(link):
    head = take(link, 5)
    return head and take(link, int.from_bytes(head[1:], "big"))
def tell(text): print(text, flush=True)
def connect():
    link = socket.socket(socket.AF_UNIX)
    link.connect(sys.argv[1])
    return link
def inherit():
    "An heir that was left everything."
    link = connect()
    say(link, 0, int(sys.argv[2]))
    hear(link)
    say(link, 3)
    while hear(link) != bytes([9]): pass
    return link
def heard(link):
    frame = hear(link)
    return frame and (frame[0], frame[2:].decode())
def leave():
    "An older process that is asked."
    port = socket.socket(socket.AF_UNIX)
    port.bind(sys.argv[1])
    port.listen()
    tell("listens")
    return port.accept()[0]
"#;

struct Party {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Party {
    fn start(socket: &Path, version: u8, script: &str) -> Result<Self> {
        let mut command = Command::new("python3");
        command.arg("-c").arg(format!("{PYTHON}\n{script}")).arg(socket).arg(version.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("python3")?;
        let says = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, says })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn end(&mut self) -> Result<ExitStatus> {
        wait_for("the end of the other party", LIMIT, || Ok(self.child.try_wait()?))
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    ensure!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?.success(), "kill -{name}");
    Ok(())
}

/// The version that a running process hands over as.
fn version(data: &Path) -> Result<u8> {
    let refusal = false_heir(data, 0, 1)?;
    let [1, version] = refusal[..] else { anyhow::bail!("no refusal with a version: {refusal:?}") };
    Ok(version)
}

fn with_patience(options: &BqOptions, secs: u32) -> BqOptions {
    let config = options.config.replace("takeover_secs = 20", &format!("takeover_secs = {secs}"));
    BqOptions { config, arguments: vec!["--takeover".to_owned()], ..options.clone() }
}

/// SPEC 11.13, 7: a file that cannot be written is found before the older process lets go of anything.
#[test]
fn nothing_is_handed_over_where_it_could_not_be_opened() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (options, bq, mut client, mut miner) = with_one_miner(folder.path())?;
    let heir = with_patience(&options, 20);
    let cookie = std::fs::read(data.join("rpc-cookie"))?;
    for name in ["rpc-cookie", "rpc-cookie.new", "takeover.new"] {
        let in_the_way = data.join(name);
        if in_the_way.exists() {
            std::fs::remove_file(&in_the_way)?;
        }
        std::fs::create_dir(&in_the_way)?;
        let refused = BqProcess::start_expecting_exit(folder.path(), &heir)?;
        ensure!(refused.code == Some(1) && !refused.stderr.contains("stopping"), "{refused:?}");
        std::fs::remove_dir(&in_the_way)?;
        let share = find(&mut miner)?;
        ensure!(answer(&mut client, &mut miner, &share)?["result"] == true);
    }
    std::fs::write(data.join("rpc-cookie"), cookie)?;
    bq.ensure_balanced()?;
    bq.taken_over(&options)?.stop()?;
    Ok(())
}

/// SPEC 11.13, 8: the heir is gone, and the books cannot be opened again at once.
#[test]
fn the_older_process_waits_for_its_books() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, ready) = (folder.path().join("data"), folder.path().join("ready.json"));
    let (_, bq, mut client, mut miner) = with_one_miner(folder.path())?;
    let script = "link = inherit()\ntell('has all')\nsys.stdin.read(1)";
    let mut heir = Party::start(&data.join("successor"), version(&data)?, script)?;
    ensure!(heir.line()? == "has all");
    std::fs::remove_file(&ready)?;
    std::fs::create_dir(data.join("rpc-cookie"))?;
    heir.child.kill()?;
    wait_for("health to tell of it", LIMIT, || {
        let told = bq.get("/health").ok().filter(|told| told.body.contains("books_not_opened"));
        Ok(told.filter(|told| told.status == 200 && told.body.contains("rpc-cookie")))
    })?;
    ensure!(bq.get("/health/ready")?.status == 503 && !ready.exists());
    std::fs::remove_dir(data.join("rpc-cookie"))?;
    wait_for("the older process to serve again", LIMIT, || Ok(ready.exists().then_some(())))?;
    let share = find(&mut miner)?;
    ensure!(answer(&mut client, &mut miner, &share)?["result"] == true);
    bq.stop()?;
    Ok(())
}

/// SPEC 11.13, 9: it was stopped for longer than the other has, and hears first that the other asked.
#[test]
fn a_stalled_older_process_never_ends_who_serves() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (options, bq, ..) = with_one_miner(folder.path())?;
    let bq = bq.taken_over(&BqOptions { arguments: Vec::new(), ..with_patience(&options, 2) })?;
    let script = "link = inherit()\nos.kill(int(sys.argv[3]), signal.SIGSTOP)\nsay(link, 10)\ntell('asked')\n\
                  tell(heard(link))\ntell(hear(link))\nsys.stdin.read(1)";
    let script = script.replace("sys.argv[3]", &format!("'{}'", bq.pid()));
    let mut heir = Party::start(&data.join("successor"), version(&data)?, &script)?;
    ensure!(heir.line()? == "asked");
    // Its time is over while it stands still.
    let asked = std::time::Instant::now();
    wait_for("its time to be over", LIMIT, || Ok((asked.elapsed().as_secs() > 2).then_some(())))?;
    signal(bq.pid(), "CONT")?;
    ensure!(heir.line()? == "(11, '')", "it may go on");
    ensure!(heir.line()? == "None" && heir.child.try_wait()?.is_none(), "the older one is gone, and the heir is not");
    ensure!(bq.ended()?.success());
    Ok(())
}

/// SPEC 11.13, 9: who is asked and does not answer is killed, and who says no is obeyed.
#[test]
fn a_successor_goes_on_with_a_word_or_without_anybody_who_could_give_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, ready) = (folder.path().join("data"), folder.path().join("ready.json"));
    let (options, bq, ..) = with_one_miner(folder.path())?;
    let version = version(&data)?;
    bq.stop()?;
    let heir = with_patience(&options, 2);
    let leaves = "link = leave()\nhear(link)\nsay(link, 2, 0)\nhear(link)\nsay(link, 9)\ntell(list(hear(link)))\n";
    let mut says_no = Party::start(&data.join("successor"), version, &format!("{leaves}say(link, 12, 2, 110, 111)"))?;
    ensure!(says_no.line()? == "listens");
    let refused = BqProcess::start_expecting_exit(folder.path(), &heir)?;
    ensure!(says_no.line()? == "[10]", "it asked");
    ensure!(
        refused.code == Some(1) && refused.stderr.contains("not taken over: no\n") && !ready.exists(),
        "{refused:?}"
    );
    let mut hangs = Party::start(&data.join("successor"), version, &format!("{leaves}sys.stdin.read(1)"))?;
    ensure!(hangs.line()? == "listens");
    let bq = BqProcess::start(folder.path(), &heir)?;
    ensure!(hangs.end()?.signal() == Some(9));
    bq.stop()?;
    Ok(())
}

/// SPEC 11.13, 9: it dies before anything was granted, or just after.
#[test]
fn an_older_process_that_dies_leaves_a_start_like_any_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (options, bq, ..) = with_one_miner(folder.path())?;
    let version = version(&data)?;
    bq.stop()?;
    for script in ["leave()", "link = leave()\nhear(link)", "link = leave()\nhear(link)\nsay(link, 2, 0)"] {
        let mut older = Party::start(&data.join("successor"), version, script)?;
        ensure!(older.line()? == "listens");
        BqProcess::start(folder.path(), &with_patience(&options, 20))?.stop()?;
    }
    Ok(())
}

/// SPEC 11.13, 10.
#[test]
fn who_stops_the_older_process_stops_the_pool() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (options, bq, ..) = with_one_miner(folder.path())?;
    let options = BqOptions { arguments: Vec::new(), ..with_patience(&options, 2) };
    let mut bq = bq.taken_over(&options)?;
    let version = version(&data)?;
    // Ready to be let in, left all, and so that it hears nothing.
    let waits = "link = connect()\nsay(link, 0, int(sys.argv[2]))\nhear(link)\ntell('is there')\ntell(heard(link))";
    let asks = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nlink = inherit()\ntell('is there')\ntell(heard(link))";
    let hangs = "link = inherit()\ntell('is there')\nos.kill(os.getpid(), signal.SIGSTOP)";
    for (script, hears) in [(waits, true), (asks, true), (hangs, false)] {
        let mut heir = Party::start(&data.join("successor"), version, script)?;
        ensure!(heir.line()? == "is there");
        let status = bq.stop()?;
        ensure!(status.success(), "{status}");
        let (said, ended) = (heir.line()?, heir.end()?);
        ensure!(
            said.starts_with("(12, ") && said.contains("told to stop") && ended.success() || !hears,
            "{said} {ended}"
        );
        ensure!(ended.signal() == Some(9) || hears, "{ended}");
        bq = BqProcess::start(folder.path(), &options)?;
    }
    // One that it started itself and that may not even have asked yet.
    signal(bq.pid(), "USR2")?;
    wait_for("the successor to be started", LIMIT, || {
        let log = std::fs::read_to_string(folder.path().join("bq.log"))?;
        Ok(log.contains("starting a process that takes over").then_some(()))
    })?;
    bq.stop()?;
    BqProcess::start(folder.path(), &options)?.stop()?;
    Ok(())
}

/// SPEC 11.13, 7: one at a time, for so long.
#[test]
fn who_hangs_before_it_is_let_in_keeps_others_out_for_a_while_and_tells_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (options, bq, ..) = with_one_miner(folder.path())?;
    let bq = bq.taken_over(&BqOptions { arguments: Vec::new(), ..with_patience(&options, 3) })?;
    let mut hangs = UnixStream::connect(data.join("successor"))?;
    let refused = BqProcess::start_expecting_exit(folder.path(), &with_patience(&options, 20))?;
    let told = format!("bq: process {} is already taking over\n", std::process::id());
    ensure!(refused.code == Some(1) && refused.stderr.contains(&told), "{refused:?}");
    let mut heard = Vec::new();
    hangs.read_to_end(&mut heard)?;
    ensure!(heard.get(5) == Some(&12) && String::from_utf8_lossy(&heard).contains("within 3 s"), "{heard:?}");
    bq.taken_over(&options)?.stop()?;
    Ok(())
}

/// SPEC 11.13, 7: with the first process of a container all others end. Where this user may make no container, there is nothing to see.
#[test]
fn process_1_of_a_container_is_not_replaced() -> Result<()> {
    let launcher = ["unshare", "--pid", "--fork", "--kill-child"].map(str::to_owned).to_vec();
    if !Command::new(&launcher[0]).args(&launcher[1..]).arg("true").stderr(Stdio::null()).status()?.success() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let bq = BqProcess::start(folder.path(), &BqOptions { launcher, ..BqOptions::default() })?;
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", bq.pid()))?;
    let inside = children.trim().parse()?;
    signal(inside, "USR2")?;
    wait_for("the refusal", LIMIT, || {
        let log = std::fs::read_to_string(folder.path().join("bq.log"))?;
        Ok(log.contains("replace the container").then_some(()))
    })?;
    ensure!(bq.get("/health/ready")?.status == 200);
    signal(inside, "TERM")?;
    ensure!(bq.ended()?.success());
    Ok(())
}
