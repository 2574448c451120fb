//! A machine that lies, against the real program: what it says counts for itself alone, reaches no path and no terminal of this computer, and
//! ends no run of the others.

mod bounds;
mod host_key;
mod lab;
mod renewal;
mod terminal;
mod words;
