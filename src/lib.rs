//! From one YAML inventory of bare machines to a working kubeadm cluster, over SSH.
//!
//! The flow: the inventory says what should be, facts what is, [`plan`](hostler_core::plan) what to do about it (a pure function of both), and
//! [`execute`] does it, telling [`report`] by [`event`]s.

pub mod apply;
pub mod artifact;
mod atomic;
pub mod cli;
pub mod connect;
pub mod event;
pub mod execute;
pub mod home;
pub mod interrupt;
pub mod inventory_file;
pub mod kubeconfig;
pub mod lab;
pub mod probe;
pub mod report;
pub mod snapshot;
pub mod ssh;
pub mod transcode;
pub mod workstation;
