//! The verbs: a file each.

pub mod connect;
pub mod host_keys;
pub mod init;
pub mod kubeconfig;
pub mod lab;
pub mod probe;
pub mod render;
pub mod up;
