//! The embedded model of a TiKV cluster.
