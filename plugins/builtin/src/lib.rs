//! The built-in validators, built from source by the ordinary build and embedded as bytes.
