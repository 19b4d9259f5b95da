//! Tidings' console: what people see of events and deliveries.

pub mod log;
