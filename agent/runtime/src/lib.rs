//! Compiles, instantiates, bounds and runs a component; knows no network.
