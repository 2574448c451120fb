//! One file a verb.

pub mod lab;
