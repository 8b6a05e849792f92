use std::{
    fs::File,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{process::without_bq_variables, wait_for};

const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running `bq signer` with everything in a folder of its own. It is killed when dropped.
#[derive(Debug)]
pub struct SignerProcess {
    child: Child,
    folder: PathBuf,
}

impl SignerProcess {
    /// Starts it with the settings of a file, and waits until it listens.
    ///
    /// # Errors
    /// It ended early, or does not listen within a minute.
    pub fn start(folder: &Path, config: &Path, arguments: &[&str]) -> Result<Self> {
        Self::spawn(folder, config, arguments, &[])
    }

    /// The same with environment variables.
    ///
    /// # Errors
    /// As [`SignerProcess::start`].
    pub fn start_with(folder: &Path, config: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        Self::spawn(folder, config, &[], environment)
    }

    fn spawn(folder: &Path, config: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let log = File::options().create(true).append(true).open(folder.join("signer.log"))?;
        let mut command = Command::new(crate::bq_path());
        command.args(["signer", "--network", "regtest", "--config"]).arg(config).args(arguments);
        command.arg("--socket").arg(Self::socket(folder)).arg("--state").arg(folder.join("state"));
        without_bq_variables(&mut command);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        let mut signer = Self { child, folder: folder.to_owned() };
        wait_for("the signer's socket", READY_LIMIT, || {
            if let Some(status) = signer.child.try_wait()? {
                anyhow::bail!("bq signer ended early: {status}: {}", signer.log()?);
            }
            Ok(UnixStream::connect(Self::socket(folder)).ok())
        })?;
        Ok(signer)
    }

    /// Where one in this folder listens.
    #[must_use]
    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("socket")
    }

    /// What it said so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.folder.join("signer.log")).context("signer.log")
    }

    /// Sends a signal by its name.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "kill -{name} failed");
        Ok(())
    }
}

impl Drop for SignerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
