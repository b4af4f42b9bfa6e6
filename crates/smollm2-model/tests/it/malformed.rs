//! Broken files, one per row: each must land in its error variant with the field named, without a panic and without
//! memory for what it only claims to hold.
