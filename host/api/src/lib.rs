//! Requests and responses as types, and the one trait that the command line knows.
