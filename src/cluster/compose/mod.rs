//! Real containers, by Docker Compose.
