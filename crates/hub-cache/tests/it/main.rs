//! Against a hub on the loopback address: what arrives, what is kept, and what is said when it does not arrive.

mod access;
mod choice;
mod models;
mod retries;
mod setting;
mod sharing;
mod transfers;
