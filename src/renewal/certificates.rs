//! The certificates of a control plane that kubeadm renews, in its files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use hostler_core::facts::{Certificate, certificate_name};
use hostler_core::kubeadm_files::{KUBECONFIGS, renewed_pki};

use crate::user_file;

/// A certificate or kubeconfig is a few KB.
const MOST_BYTES: usize = 1 << 20;

/// Each with its name, and its end in seconds since the epoch; the first to end first.
#[derive(Debug)]
pub struct Certificates(Vec<(String, i64)>);

impl Certificates {
    /// Those below `root`. etcd's are left out where it is elsewhere.
    ///
    /// # Errors
    /// One is missing or can't be read.
    pub fn read(root: &Path) -> Result<Certificates> {
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        let mut found = Vec::new();
        for file in renewed_pki() {
            if file.contains("etcd") && !at(&file).exists() {
                continue;
            }
            let bytes = user_file::read(&at(&file), MOST_BYTES).with_context(|| format!("{file} can't be read"))?;
            found.push((
                certificate_name(&file),
                Certificate::from_pem(&bytes).with_context(|| format!("{file} does not contain a certificate"))?.ends,
            ));
        }
        for file in KUBECONFIGS {
            let bytes = user_file::read(&at(file), MOST_BYTES).with_context(|| format!("{file} can't be read"))?;
            let text = String::from_utf8_lossy(&bytes);
            let data = text.lines().find_map(|line| line.trim().strip_prefix("client-certificate-data:"));
            let Some(certificate) = data.and_then(|data| Certificate::from_base64_pem(data.trim())) else {
                bail!("{file} does not contain a certificate");
            };
            found.push((certificate_name(file), certificate.ends));
        }
        found.sort_by_key(|(_, ends)| *ends);
        Ok(Certificates(found))
    }

    pub fn first(&self) -> Option<&(String, i64)> {
        self.0.first()
    }

    /// Names of those that end within `early` seconds from `now`.
    pub fn ending(&self, now: i64, early: i64) -> Vec<String> {
        self.0.iter().filter(|(_, ends)| ends - now < early).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// A certificate that ends so many days after the epoch.
    fn pem(days: i64) -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut wanted = rcgen::CertificateParams::default();
        wanted.not_before = rcgen::date_time_ymd(1970, 1, 1);
        wanted.not_after = wanted.not_before + std::time::Duration::from_secs(days.unsigned_abs() * 24 * 60 * 60);
        wanted.self_signed(&key).expect("a certificate").pem()
    }

    fn control_plane(root: &Path) {
        let write = |path: &str, content: String| {
            let file = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, content).expect("written");
        };
        for (number, file) in renewed_pki().enumerate() {
            write(&file, pem(400 + number as i64));
        }
        for file in KUBECONFIGS {
            write(
                file,
                format!("users:\n- user:\n    client-certificate-data: {}\n    client-key-data: x\n", BASE64_STANDARD.encode(pem(300))),
            );
        }
    }

    #[test]
    fn those_that_end_soon_are_found_by_kubeadms_names() {
        let folder = tempfile::tempdir().expect("a folder");
        control_plane(folder.path());
        let found = Certificates::read(folder.path()).expect("all there");
        assert_eq!((found.0.len(), found.first().expect("one").0.as_str()), (10, "admin.conf"));
        let day = 24 * 60 * 60;
        assert_eq!(found.ending(0, 90 * day), Vec::<String>::new());
        assert_eq!(found.ending(220 * day, 90 * day), ["admin.conf", "controller-manager.conf", "scheduler.conf"]);
        assert!(found.ending(320 * day, 90 * day).iter().any(|name| name == "etcd-server"));
    }

    #[test]
    fn a_control_plane_without_its_own_etcd_is_read_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        control_plane(folder.path());
        fs::remove_dir_all(folder.path().join("etc/kubernetes/pki/etcd")).expect("removed");
        fs::remove_file(folder.path().join("etc/kubernetes/pki/apiserver-etcd-client.crt")).expect("removed");
        assert_eq!(Certificates::read(folder.path()).expect("the others").0.len(), 6);
        for (file, content, told) in [
            ("etc/kubernetes/scheduler.conf", Some("users: []\n"), "scheduler.conf does not contain a certificate"),
            ("etc/kubernetes/pki/apiserver.crt", Some("-----BEGIN"), "apiserver.crt does not contain a certificate"),
            ("etc/kubernetes/pki/front-proxy-client.crt", None, "front-proxy-client.crt can't be read"),
        ] {
            let file = folder.path().join(file);
            let before = fs::read(&file).expect("there");
            match content {
                Some(content) => fs::write(&file, content).expect("written"),
                None => fs::remove_file(&file).expect("removed"),
            }
            let error = format!("{:#}", Certificates::read(folder.path()).expect_err("it is told"));
            assert!(error.contains(told), "{error}");
            fs::write(&file, before).expect("written");
        }
    }
}
