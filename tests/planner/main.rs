//! The planner: plans as data, and what becomes of every plan in a world of machines that is simulated.

mod add;
mod advice;
mod case;
mod cases;
mod cluster_effects;
mod documents;
mod encoders;
mod files;
mod hostile;
mod liar;
mod needs;
mod outlined;
mod power;
mod reinstall;
mod roles;
mod rollback;
mod screens;
mod simulation;
mod subsets;
mod system;
mod upgrade;
mod verified;
mod world;
