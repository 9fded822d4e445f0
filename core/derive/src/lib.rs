//! `#[derive(Packet)]` and `#[derive(Bits)]` for `phantom-core`.
//!
//! The declaration is the form: what stands in the type, in its order and with its attributes, is all that decides how it
//! is written. The attributes are described where the macros are exported, in `phantom_core::packet`.
//!
//! `model` reads the declaration and refuses what has no sound form; `expand` writes the code and cannot fail.

mod expand;
mod model;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use model::{Model, Trait};

/// Derives `phantom_core::packet::Packet`, and `phantom_core::bits::Bits` for the packet as a field of other values.
///
/// Needs `#[packet(id = …)]`. The attributes are described in `phantom_core::packet`.
#[proc_macro_derive(Packet, attributes(packet))]
pub fn derive_packet(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input), Trait::Packet)
}

/// Derives `phantom_core::bits::Bits`.
///
/// The attributes are described in `phantom_core::packet`.
#[proc_macro_derive(Bits, attributes(packet))]
pub fn derive_bits(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input), Trait::Bits)
}

fn derive(input: &DeriveInput, derived: Trait) -> TokenStream {
    match Model::new(input, derived) {
        Ok(model) => expand::expand(&model).into(),
        Err(error) => error.into_compile_error().into(),
    }
}
