//! From an action to the script that runs on its machine.
