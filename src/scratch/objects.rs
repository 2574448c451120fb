//! Every object that an API server can list.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use kube::Client;
use serde::Deserialize;

/// Objects of one answer.
const PAGE: usize = 500;
/// Answers of one resource, at most.
const MOST_PAGES: usize = 10_000;
/// What is kept below these is not an object: addresses in use, and API servers that run.
const NOT_OBJECTS: [&str; 3] = ["/registry/ranges/", "/registry/masterleases/", "/registry/peerserverleases/"];
/// What the API server computes when it is asked, and another name of `events`: etcd has nothing of either.
const NOT_STORED: [&str; 2] = ["componentstatuses", "events.events.k8s.io"];
/// Resources whose keys begin with another word than their name.
const KEYS: [(&str, &str); 4] =
    [("nodes", "minions"), ("services", "services/specs"), ("endpoints", "services/endpoints"), ("ingresses.networking.k8s.io", "ingress")];

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

/// What an API server reads.
#[derive(Debug, Default)]
pub struct Listed {
    /// How many objects there are of each resource.
    pub counts: BTreeMap<String, usize>,
    /// What can't be read, and why: `configmaps default/broken`, or a resource.
    pub unreadable: BTreeMap<String, String>,
}

/// Lists every resource; to list is to decode each object. Where that fails, each of its `keys` in etcd is asked for.
///
/// # Errors
/// The API server does not say what it has.
pub async fn list(client: &Client, keys: &[String]) -> Result<Listed> {
    let mut paths = vec![("/api/v1".to_owned(), String::new())];
    let groups: Groups = get(client, "/apis").await.context("the scratch API server does not list its resources")?;
    for Group { name, versions } in groups.groups {
        paths.extend(versions.into_iter().map(|version| (format!("/apis/{}", version.group_version), name.clone())));
    }
    let (mut listed, mut known) = (Listed::default(), BTreeSet::new());
    for (path, group) in paths {
        let found: Resources = match get(client, &path).await {
            Ok(found) => found,
            Err(error) => {
                listed.unreadable.insert(path, error.to_string());
                continue;
            }
        };
        for resource in found.resources {
            let name = &resource.name;
            let full = if group.is_empty() { name.clone() } else { format!("{name}.{group}") };
            // The first version of a group is the preferred one.
            let is_stored = !name.contains('/') && !NOT_STORED.contains(&full.as_str());
            if !is_stored || !resource.verbs.iter().any(|verb| verb == "list") || !known.insert(full.clone()) {
                continue;
            }
            let count = match count(client, &format!("{path}/{name}")).await {
                Ok(count) => count,
                Err(error) => {
                    let (count, broken) = one_by_one(client, &path, (&full, &resource), keys).await;
                    if broken.is_empty() {
                        listed.unreadable.insert(full.clone(), error.to_string());
                    }
                    listed.unreadable.extend(broken);
                    count
                }
            };
            listed.counts.insert(full, count);
        }
    }
    Ok(listed)
}

/// Objects of one resource that are asked for one by one, at most.
const MOST_ASKED: usize = 5000;

/// How many objects of a resource can be read, and those that can't.
async fn one_by_one(
    client: &Client,
    path: &str,
    (full, resource): (&str, &Resource),
    keys: &[String],
) -> (usize, BTreeMap<String, String>) {
    let (mut count, mut broken) = (0, BTreeMap::new());
    let beginnings = beginnings(full);
    let names = keys.iter().filter_map(|key| beginnings.iter().find_map(|beginning| key.strip_prefix(beginning.as_str())));
    for name in names.take(MOST_ASKED) {
        let object = match name.split_once('/').filter(|_| resource.namespaced) {
            Some((namespace, name)) => format!("{path}/namespaces/{namespace}/{}/{name}", resource.name),
            None => format!("{path}/{}/{name}", resource.name),
        };
        match get::<serde::de::IgnoredAny>(client, &object).await {
            Ok(_) => count += 1,
            Err(error) => drop(broken.insert(format!("{full} {name}"), error.to_string())),
        }
    }
    (count, broken)
}

async fn count(client: &Client, path: &str) -> Result<usize> {
    let (mut total, mut next) = (0, String::new());
    for _ in 0..MOST_PAGES {
        let page: Page = get(client, &format!("{path}?limit={PAGE}&continue={next}")).await?;
        total += page.items.unwrap_or_default().len();
        next = page.metadata.next;
        if next.is_empty() {
            return Ok(total);
        }
    }
    bail!("there are more than {} objects", PAGE * MOST_PAGES)
}

async fn get<T: for<'de> Deserialize<'de>>(client: &Client, path: &str) -> Result<T> {
    let request = axum::http::Request::get(path).body(Vec::new())?;
    match client.request_text(request).await {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(kube::Error::Api(status)) => bail!("{}", status.message),
        Err(error) => Err(error.into()),
    }
}

/// How the keys of a resource begin.
fn beginnings(resource: &str) -> Vec<String> {
    let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
    let words = KEYS.iter().filter(|(of, _)| *of == resource).map(|(_, word)| (*word).to_owned());
    // Those of Kubernetes itself have no group in their key; custom ones and some newer ones have.
    words.chain([name.to_owned(), format!("{group}/{name}")]).map(|word| format!("/registry/{word}/")).collect()
}

/// The keys of etcd that are of none of these resources, by their beginning.
pub fn unknown(keys: &[String], resources: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let beginnings: Vec<String> = resources.keys().flat_map(|resource| beginnings(resource)).collect();
    let mut unknown = BTreeMap::new();
    for key in keys.iter().filter(|key| !NOT_OBJECTS.iter().any(|beginning| key.starts_with(beginning))) {
        if !beginnings.iter().any(|beginning| key.starts_with(beginning)) {
            let beginning: Vec<&str> = key.split('/').take(4).collect();
            *unknown.entry(beginning.join("/")).or_default() += 1;
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_no_resource_are_found_and_what_is_not_an_object_is_none() {
        let resources = ["pods", "nodes", "services", "deployments.apps", "ponies.example.org"].map(|name| (name.to_owned(), 1)).into();
        let keys = [
            "/registry/pods/default/a",
            "/registry/minions/one",
            "/registry/services/specs/default/kubernetes",
            "/registry/deployments/default/a",
            "/registry/example.org/ponies/default/rarity",
            "/registry/ranges/serviceips",
            "/registry/masterleases/10.0.0.1",
            "/registry/podsecuritypolicy/old",
            "/registry/example.org/dragons/default/spike",
            "/registry/example.org/dragons/default/ember",
        ]
        .map(str::to_owned);
        let expected = [("/registry/example.org/dragons".to_owned(), 2), ("/registry/podsecuritypolicy/old".to_owned(), 1)];
        assert_eq!(unknown(&keys, &resources), expected.into());
    }
}
