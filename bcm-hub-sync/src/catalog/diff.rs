//! The difference between what upstream lists and what is held here.
