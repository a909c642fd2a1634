//! The store from outside.

mod crash;
mod damage;
mod idempotence;
mod round_trip;
mod rows;
