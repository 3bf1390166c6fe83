//! The way over from Azure IoT Edge and back: each mapping by a small example, hostile input, and all real
//! manifests there are at hand, round and back.

mod bench;
mod devices;
mod hostile;
mod mappings;
mod real;
mod round_trip;
