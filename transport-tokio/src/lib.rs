//! Client on tokio.
