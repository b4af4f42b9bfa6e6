//! Against a hub on the loopback address: what arrives, what is kept, and what is said when it does not arrive.

mod access;
mod models;
mod retries;
mod setting;
mod sharing;
mod splits;
mod transfers;
