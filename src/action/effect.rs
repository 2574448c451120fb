//! What an action changes in the facts: used to prove, without machines, that carrying a plan out leaves an empty one.
