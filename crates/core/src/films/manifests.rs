//! The Kubernetes objects of the workload.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{Actions, Owner};
use crate::share::Share;
use crate::template;

/// The values for the objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Installation {
    /// hostler's own image.
    pub image: String,
    /// Its digest: pods with another one are replaced.
    pub digest: String,
    /// An image with HandBrakeCLI, ffmpeg and ffprobe in its search path.
    pub encoder_image: String,
    pub inbox: Share,
    pub library: Share,
    pub owner: Owner,
    pub settings: Settings,
    /// File names of presets, as in the settings, and their texts.
    pub presets: BTreeMap<String, String>,
    /// Names of the machines that encode; empty: all.
    pub machines: Vec<String>,
    /// The memory request of an encoder, as a Kubernetes quantity.
    pub encoder_memory: String,
    /// Its limit: a film that makes HandBrake take more fails, rather than its machine.
    pub encoder_memory_limit: String,
    /// The port of the status page on every machine: 30000 to 32767.
    pub page_port: u16,
    pub page_actions: Actions,
    /// The time zone of the hours and of the page: `Europe/Berlin`. `None`: UTC.
    pub time_zone: Option<String>,
}

impl Installation {
    /// All objects as one YAML stream, in the order in which they are applied.
    ///
    /// # Errors
    /// A template can't be rendered.
    pub fn manifests(&self) -> Result<String> {
        let settings = serde_json::to_string_pretty(&self.settings).context("the settings can't be serialized")?;
        let mut files = self.presets.clone();
        files.insert("settings.json".to_owned(), settings);
        for job in ["encode.yaml", "publish.yaml"] {
            files.insert(job.to_owned(), template::render(&format!("transcode/{job}"), self)?);
        }
        let share = |name: &str, place: &Share| match place {
            Share::Nfs { server, path } => serde_json::json!({"name": name, "nfs": {"server": server, "path": path}}),
            Share::Path(path) => serde_json::json!({"name": name, "nfs": null, "path": path}),
        };
        let shares = [share("inbox", &self.inbox), share("library", &self.library)];
        let storage = template::render("transcode/storage.yaml", serde_json::json!({"shares": shares, "files": files}))?;
        let mut parts = vec![storage];
        for part in ["mark.yaml", "watcher.yaml", "page.yaml"] {
            parts.push(template::render(&format!("transcode/{part}"), self)?);
        }
        if !self.settings.encoder.is_software() {
            parts.push(template::render("transcode/runtime-class.yaml", self)?);
        }
        Ok(parts.join("---\n"))
    }

    /// The pod that tries encoders of these families on a node; `hardware`: it gets the machine's render nodes.
    ///
    /// # Errors
    /// As of [`manifests`](Installation::manifests).
    pub fn prove(&self, node: &str, families: &[String], hardware: bool) -> Result<String> {
        let mut values = serde_json::to_value(self).context("the values can't be serialized")?;
        values["node"] = node.into();
        values["families"] = families.join(",").into();
        values["hardware"] = hardware.into();
        template::render("transcode/prove.yaml", values)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use serde::de::Deserialize as _;
    use serde_json::Value;

    use super::*;

    fn installation() -> Installation {
        let settings =
            r#"{"folders": {"Movies": {}, "Kid's \"stuff\"": {"preset": {"file": "k.json", "name": "Kids"}}}, "languages": ["eng"]}"#;
        Installation {
            image: "hostler.local/hostler:0.1.0".to_owned(),
            digest: "sha256:0".to_owned(),
            encoder_image: "hostler.local/encoder:3".to_owned(),
            inbox: Share::Nfs { server: "192.168.1.11".to_owned(), path: "/srv/films".to_owned() },
            library: Share::Path("/srv/it's: a \"library\"".to_owned()),
            owner: Owner { uid: 1000, gid: 100 },
            settings: serde_json::from_str(settings).expect("valid"),
            presets: [("k.json".to_owned(), "{\n  \"PresetList\": [] }\n".to_owned())].into(),
            machines: vec!["rarity".to_owned()],
            encoder_memory: "1Gi".to_owned(),
            encoder_memory_limit: "6Gi".to_owned(),
            page_port: 30880,
            page_actions: Actions::Token,
            time_zone: Some("Europe/Berlin".to_owned()),
        }
    }

    fn objects(text: &str) -> Vec<Value> {
        serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).expect("YAML")).collect()
    }

    #[test]
    fn every_object_is_there_and_belongs_to_hostler() {
        let objects = objects(&installation().manifests().expect("rendered"));
        let names: Vec<String> = objects
            .iter()
            .map(|object| format!("{} {}", object["kind"].as_str().expect("a kind"), object["metadata"]["name"].as_str().expect("a name")))
            .collect();
        let wanted = [
            "Namespace transcode",
            "PersistentVolume hostler-transcode-inbox",
            "PersistentVolumeClaim inbox",
            "PersistentVolume hostler-transcode-library",
            "PersistentVolumeClaim library",
            "ConfigMap settings",
            "Job mark-shares",
            "ServiceAccount watcher",
            "Role watcher",
            "RoleBinding watcher",
            "ClusterRole hostler-transcode-watcher",
            "ClusterRoleBinding hostler-transcode-watcher",
            "Deployment watcher",
            "Deployment page",
            "Service page",
        ];
        assert_eq!(names, wanted);
        assert!(objects.iter().all(|object| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "hostler"));
        assert_eq!(objects[1]["spec"]["nfs"]["server"], "192.168.1.11");
        assert_eq!(objects[3]["spec"]["hostPath"]["path"], "/srv/it's: a \"library\"");
    }

    /// Where Quick Sync may be used, pods of machines that have a render node get it by a class of their own; else there is none.
    #[test]
    fn encoders_are_tried_as_films_are_encoded() {
        let mut installation = installation();
        let class = |installation: &Installation| {
            let objects = objects(&installation.manifests().expect("rendered"));
            objects.into_iter().find(|object| object["kind"] == "RuntimeClass")
        };
        assert_eq!(class(&installation), None);
        installation.settings.encoder = crate::films::encoder::EncoderChoice::Auto;
        let class = class(&installation).expect("one");
        assert_eq!((class["handler"].as_str(), class["metadata"]["name"].as_str()), (Some("hostler-films"), Some("hostler-films")));
        assert_eq!(class["scheduling"]["nodeSelector"], serde_json::json!({"hostler/render-node": "true"}));
        let families = ["x264".to_owned(), "qsv_h264".to_owned()];
        for hardware in [true, false] {
            let pod: Value = serde_yaml::from_str(&installation.prove("rarity", &families, hardware).expect("rendered")).expect("YAML");
            let spec = &pod["spec"];
            assert_eq!(spec["runtimeClassName"].as_str(), hardware.then_some("hostler-films"));
            assert_eq!((spec["nodeName"].as_str(), spec["securityContext"]["runAsUser"].as_u64()), (Some("rarity"), Some(1000)));
            let encoder = &spec["containers"][0];
            assert_eq!(encoder["command"].as_array().expect("words").last().and_then(Value::as_str), Some("x264,qsv_h264"));
            assert_eq!(encoder["securityContext"]["allowPrivilegeEscalation"], false);
            assert_eq!(encoder["image"], "hostler.local/encoder:3");
        }
    }

    /// What it parses may come from anywhere: taken over by a film, it must not reach the ledger, or other films and what is made of them.
    #[test]
    fn an_encoder_sees_its_own_film_alone() {
        let text = installation().manifests().expect("rendered");
        let job: Value = serde_yaml::from_str(objects(&text)[5]["data"]["encode.yaml"].as_str().expect("text")).expect("YAML");
        let pod = &job["spec"]["template"]["spec"];
        let mounts = |container: &Value| {
            let mounts = container["volumeMounts"].as_array().expect("a list").clone();
            mounts.into_iter().filter(|mount| mount["name"] == "inbox").collect::<Vec<_>>()
        };
        let claim = serde_json::json!({"name": "inbox", "mountPath": "/inbox/claim", "subPath": "claim", "readOnly": true});
        let work = serde_json::json!({"name": "inbox", "mountPath": "/inbox/work", "subPath": "work"});
        assert_eq!(mounts(&pod["containers"][0]), [claim, work]);
        assert!(mounts(&pod["initContainers"][0]).is_empty());
        assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "6Gi");
    }

    /// No machine asks a registry for what came with the bundle: under its name anyone in the network could answer.
    #[test]
    fn images_of_the_bundle_are_not_pulled() {
        let policies = |encoder: &str| -> Vec<(String, String)> {
            let text = Installation { encoder_image: encoder.to_owned(), ..installation() }.manifests().expect("rendered");
            // The Jobs are texts in a ConfigMap.
            let data = objects(&text)[5]["data"].clone();
            let jobs = ["encode.yaml", "publish.yaml"].map(|job| data[job].as_str().expect("text").to_owned());
            let text = format!("{text}\n{}", jobs.concat());
            let word = |line: &str, key: &str| Some(line.trim().strip_prefix(key)?.trim_matches(['"', ' ']).to_owned());
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with('#')).collect();
            lines
                .windows(2)
                .filter_map(|two| Some((word(two[0], "image:")?, word(two[1], "imagePullPolicy:").unwrap_or_default())))
                .collect()
        };
        let own = policies("hostler.local/encoder:3");
        assert!(own.len() >= 6 && own.iter().all(|(image, policy)| image.starts_with("hostler.local/") && policy == "Never"), "{own:?}");
        let other = policies("registry.example.org/handbrake:1");
        let pulled: Vec<_> = other.iter().filter(|(_, policy)| policy != "Never").collect();
        assert_eq!(pulled, [&("registry.example.org/handbrake:1".to_owned(), "IfNotPresent".to_owned())]);
    }

    #[test]
    fn the_page_knows_who_may_act_and_the_token_is_in_no_object() {
        for (actions, word) in [(Actions::Token, "token"), (Actions::Open, "open"), (Actions::Off, "off")] {
            let text = Installation { page_actions: actions, ..installation() }.manifests().expect("rendered");
            let page = objects(&text).into_iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "page");
            let pod = page.expect("a page")["spec"]["template"]["spec"].clone();
            let arguments = pod["containers"][0]["args"].as_array().expect("arguments").clone();
            let given = ["--actions", word, "--token-file", "/token/token"];
            assert!(arguments.windows(4).any(|words| words == given), "{arguments:?}");
            let volumes = pod["volumes"].as_array().expect("volumes").clone();
            assert!(volumes.iter().any(|volume| volume["secret"]["secretName"] == "page-token"), "{volumes:?}");
            assert!(objects(&text).iter().all(|object| object["kind"] != "Secret"), "the token is made in the cluster");
        }
    }

    #[test]
    fn settings_presets_and_jobs_survive_the_config_map() {
        let installation = installation();
        let objects = objects(&installation.manifests().expect("rendered"));
        let data = &objects[5]["data"];
        let settings: Settings = serde_json::from_str(data["settings.json"].as_str().expect("text")).expect("valid");
        assert_eq!(settings, installation.settings);
        assert_eq!(data["k.json"].as_str(), installation.presets.get("k.json").map(String::as_str));
        for job in ["encode.yaml", "publish.yaml"] {
            let job: Job = serde_yaml::from_str(data[job].as_str().expect("text")).expect("a Job");
            let pod = job.spec.expect("a spec").template.spec.expect("a spec");
            assert_eq!(pod.automount_service_account_token, Some(false));
            let confined = |container: &k8s_openapi::api::core::v1::Container| {
                let context = container.security_context.as_ref().expect("one");
                context.read_only_root_filesystem == Some(true) && context.allow_privilege_escalation == Some(false)
            };
            assert!(pod.containers.iter().chain(pod.init_containers.iter().flatten()).all(confined));
        }
    }
}
