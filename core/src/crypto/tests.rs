//! Tests of the cryptography.
