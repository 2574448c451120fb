//! From one YAML inventory of bare machines to a working kubeadm cluster, over SSH.
//!
//! The flow: the inventory is the desired state, facts are the present state, [`plan`](hostler_core::plan) computes the steps between them (a
//! pure function of both), and [`execute`] runs them and reports to [`report`] with [`event`]s.

// src/report/output.rs prints: errors of the streams are neither ignored nor panics.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod apply;
pub mod artifact;
mod atomic;
pub mod cli;
pub mod connect;
pub mod event;
pub mod execute;
pub mod home;
pub mod install;
pub mod interrupt;
pub mod inventory_file;
pub mod kubeconfig;
pub mod lab;
mod notify;
pub mod os;
mod own_api;
pub mod pins;
pub mod probe;
mod renewal;
pub mod report;
pub mod scratch;
pub mod snapshot;
pub mod ssh;
pub mod transcode;
pub mod user_file;
mod web;
pub mod workstation;
