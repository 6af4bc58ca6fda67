//! Frames: a length (u32, little endian) and a protobuf message of that many bytes.
