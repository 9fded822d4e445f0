//! `PROTOCOL.md` says what the code does: its tables of numbers, its defaults, its examples.
