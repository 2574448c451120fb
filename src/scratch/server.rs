//! The two programs. etcd listens on a socket in the folder that only this user can enter; the API server on the loopback interface, with a
//! token that is in no command line.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hostler_core::visible::last_output;
use kube::{Client, Config};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::process::{Child, Command};

/// Between two looks whether a program answers.
const PAUSE: Duration = Duration::from_millis(100);

/// etcd insists on an address to announce. It has no members to announce it to.
const NOWHERE: &str = "http://127.0.0.1:1";

pub struct Etcd {
    _process: Child,
    /// Of its socket.
    pub url: String,
}

impl Etcd {
    /// Restores `data` into `folder`, and starts etcd there.
    ///
    /// # Errors
    /// The data can't be restored, or etcd ends.
    pub async fn start(etcd: &Path, etcdutl: &Path, data: &Path, folder: &Path) -> Result<Etcd> {
        let socket = |name: &str| format!("unix://{}", folder.join(name).display());
        let (url, peer, member) = (socket("etcd"), socket("peer"), folder.join("member"));
        let member = member.to_string_lossy().into_owned();
        let cluster = format!("scratch={NOWHERE}");
        let restore = ["snapshot", "restore", &data.to_string_lossy(), "--data-dir", &member, "--name", "scratch"];
        let own = ["--initial-cluster", &cluster, "--initial-advertise-peer-urls", NOWHERE];
        output(Command::new(etcdutl).arg0("etcdutl").args(restore).args(own)).await.context("etcdutl can't restore etcd's data")?;
        let words = ["--name", "scratch", "--data-dir", &member, "--unsafe-no-fsync", "--log-level", "error"];
        let urls = ["--listen-client-urls", &url, "--advertise-client-urls", NOWHERE, "--listen-peer-urls", &peer];
        let (process, _) = spawn(Command::new(etcd).args(words).args(urls).args(own), &folder.join("etcd.log"))?;
        Ok(Etcd { _process: process, url })
    }

    /// The names of all keys of Kubernetes.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn keys(&self, etcdctl: &Path) -> Result<Vec<String>> {
        let words =
            ["--endpoints", &self.url, "--dial-timeout", "10s", "--command-timeout", "60s", "get", "/registry/", "--prefix", "--keys-only"];
        let text = output(Command::new(etcdctl).arg0("etcdctl").args(words)).await.context("the scratch etcd does not answer")?;
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }
}

pub struct Api {
    _process: Child,
    client: Client,
}

impl Api {
    /// Starts an API server on `etcd`; `folder` has the key pair of service accounts.
    ///
    /// # Errors
    /// It ends, or there is no free port.
    pub async fn start(program: &Path, etcd: &Etcd, folder: &Path) -> Result<Api> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).ok().context("the kernel provided no random numbers")?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
        std::fs::write(at("tokens"), format!("{token},scratch,scratch,system:masters\n"))?;
        let port = free_port()?;
        let log = folder.join("api.log");
        let flags = [
            ("etcd-servers", etcd.url.clone()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", port.to_string()),
            // It does not announce itself anywhere, and watches nothing.
            ("advertise-address", "192.0.2.1".to_owned()),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("watch-cache", "false".to_owned()),
            ("cert-dir", at("certificates")),
            ("token-auth-file", at("tokens")),
            ("anonymous-auth", "false".to_owned()),
            ("authorization-mode", "AlwaysAllow".to_owned()),
            ("service-account-issuer", "https://scratch.invalid".to_owned()),
            ("service-account-key-file", at("sa.pub")),
            ("service-account-signing-key-file", at("sa.key")),
            ("profiling", "false".to_owned()),
        ];
        let mut command = Command::new(program);
        command.arg0("kube-apiserver").args(flags.iter().map(|(name, value)| format!("--{name}={value}")));
        let (mut process, log) = spawn(&mut command, &log)?;
        let mut config = Config::new(format!("https://127.0.0.1:{port}").parse()?);
        // A process of another user that took the port first gets the token, but has no key of this etcd: nothing is lost by that.
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(token.into());
        config.read_timeout = Some(Duration::from_secs(60));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(config)?;
        loop {
            if let Some(status) = process.try_wait()? {
                bail!("the API server ended with {status}: {}", last_line(&log));
            }
            let request = axum::http::Request::get("/readyz").body(Vec::new())?;
            if client.request_text(request).await.is_ok() {
                return Ok(Api { _process: process, client });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).context("there is no free port")?.local_addr()?.port())
}

/// A process that ends with this one, and what it writes.
fn spawn(command: &mut Command, log: &Path) -> Result<(Child, PathBuf)> {
    let file = std::fs::File::create(log)?;
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).env_clear().kill_on_drop(true);
    // SAFETY: prctl is a single system call; nothing is allocated between fork and exec.
    unsafe {
        command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from));
    }
    let child = command.spawn().with_context(|| format!("{program} can't be run"))?;
    Ok((child, log.to_owned()))
}

async fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).env_clear().kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}", last_output(&String::from_utf8_lossy(&output.stderr)));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn last_line(log: &Path) -> String {
    last_output(&String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()))
}
