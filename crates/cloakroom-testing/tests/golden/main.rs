//! Holds the library to what the original computed, made and wrote: the files in `golden/`, whose README says
//! where each comes from.

mod adoption;
mod files;
mod rows;
mod tables;
mod vectors;
mod written;
