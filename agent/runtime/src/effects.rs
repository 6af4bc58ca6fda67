//! Every effect of a run.
