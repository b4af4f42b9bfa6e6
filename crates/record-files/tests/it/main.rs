//! Lines, rows and pages, sound and hostile.

mod folders;
mod lines;
mod pages;
mod rows;
mod splits;
