//! The code of the derived traits.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Generics, parse_quote};

use crate::model::{Default, Field, Kind, Model, Shape, Variant};

pub(crate) fn expand(model: &Model<'_>) -> TokenStream {
    let (fields, write, read) = match &model.shape {
        Shape::Struct(fields) => {
            (fields.iter().collect(), write_struct(fields), read_fields(&quote!(Self), fields))
        }
        Shape::Enum(variants) => {
            let fields = variants.iter().flat_map(|variant| &variant.fields).collect();
            (fields, write_enum(variants), read_enum(variants))
        }
    };
    let checks = width_checks(model.generics, fields);
    let write = quote!(#checks #write);
    match &model.kind {
        Kind::Fixed => bits(model, &write, &read),
        Kind::Extensible => bits(model, &write_frame(&write), &read_frame(&read)),
        Kind::Packet { id } => {
            let packet = packet(model, *id, &write, &read);
            let nested = bits(
                model,
                &write_frame(&quote!(::phantom_core::packet::Packet::write_body(self, out))),
                &quote!(input.read_frame(<Self as ::phantom_core::packet::Packet>::read_body)),
            );
            quote!(#packet #nested)
        }
    }
}

fn packet(model: &Model<'_>, id: u32, write: &TokenStream, read: &TokenStream) -> TokenStream {
    let methods = methods(&format_ident!("write_body"), &format_ident!("read_body"), write, read);
    implementation(
        model,
        &quote!(::phantom_core::packet::Packet),
        &quote! {
            const ID: u32 = #id;
            #methods
        },
    )
}

fn bits(model: &Model<'_>, write: &TokenStream, read: &TokenStream) -> TokenStream {
    let methods = methods(&format_ident!("write"), &format_ident!("read"), write, read);
    implementation(model, &quote!(::phantom_core::bits::Bits), &methods)
}

fn implementation(model: &Model<'_>, of: &TokenStream, items: &TokenStream) -> TokenStream {
    let ident = model.ident;
    let generics = bounded(model.generics);
    let (parameters, arguments, bounds) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #parameters #of for #ident #arguments #bounds {
            #items
        }
    }
}

fn methods(write_name: &Ident, read_name: &Ident, write: &TokenStream, read: &TokenStream) -> TokenStream {
    quote! {
        #[allow(unused_variables)]
        fn #write_name(
            &self,
            out: &mut ::phantom_core::bits::BitWriter,
        ) -> ::core::result::Result<(), ::phantom_core::bits::WriteError> {
            #write
        }

        #[allow(unused_variables)]
        fn #read_name(
            input: &mut ::phantom_core::bits::BitReader<'_>,
        ) -> ::core::result::Result<Self, ::phantom_core::bits::ReadError> {
            #read
        }
    }
}

/// Every type parameter must have a form, because a field may be of that type.
fn bounded(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::phantom_core::bits::Bits));
    }
    generics
}

fn write_frame(body: &TokenStream) -> TokenStream {
    quote!(out.write_frame(|out| { #body }))
}

fn read_frame(body: &TokenStream) -> TokenStream {
    quote!(input.read_frame(|input| { #body }))
}

/// Refuses widths above those of the types, which only the compiler knows.
fn width_checks(generics: &Generics, fields: Vec<&Field<'_>>) -> TokenStream {
    let checks = fields.into_iter().filter_map(|field| {
        let (ty, width) = (field.ty, field.width.as_ref()?);
        let bits = width.bits;
        let message = format!("the type of this field has fewer than {bits} bits");
        let check = quote_spanned! {width.span=>
            ::core::assert!(#bits <= <#ty as ::phantom_core::bits::Integer>::BITS, #message)
        };
        // An item is looked at even if nobody calls the method, but it cannot name the type's parameters.
        Some(if generics.params.is_empty() {
            quote!(const _: () = #check;)
        } else {
            quote!(const { #check };)
        })
    });
    quote!(#(#checks)*)
}

fn write_struct(fields: &[Field<'_>]) -> TokenStream {
    let pattern = pattern(fields);
    let writes = fields.iter().enumerate().map(write_field);
    quote! {
        let Self #pattern = self;
        #(#writes)*
        ::core::result::Result::Ok(())
    }
}

fn write_enum(variants: &[Variant<'_>]) -> TokenStream {
    let arms = variants.iter().map(|Variant { ident, tag, fields }| {
        let pattern = pattern(fields);
        let writes = fields.iter().enumerate().map(write_field);
        let tag = u64::from(*tag);
        quote! {
            Self::#ident #pattern => {
                out.write_varint(#tag);
                #(#writes)*
            }
        }
    });
    quote! {
        match self { #(#arms)* }
        ::core::result::Result::Ok(())
    }
}

fn read_enum(variants: &[Variant<'_>]) -> TokenStream {
    let arms = variants.iter().map(|Variant { ident, tag, fields }| {
        let read = read_fields(&quote!(Self::#ident), fields);
        quote!(#tag => { #read })
    });
    let tag = local("tag");
    quote! {
        match <u32 as ::phantom_core::bits::Bits>::read(input)? {
            #(#arms)*
            #tag => ::core::result::Result::Err(::phantom_core::bits::ReadError::UnknownTag(#tag)),
        }
    }
}

fn read_fields(constructor: &TokenStream, fields: &[Field<'_>]) -> TokenStream {
    let reads = fields.iter().enumerate().map(read_field);
    let pattern = pattern(fields);
    quote! {
        #(#reads)*
        ::core::result::Result::Ok(#constructor #pattern)
    }
}

fn write_field((place, field): (usize, &Field<'_>)) -> TokenStream {
    let binding = binding(place);
    let ty = field.ty;
    let mark = field.default.as_ref().map(|_| quote!(out.write_more();));
    let write = match &field.width {
        Some(width) => {
            let bits = width.bits;
            quote_spanned! {ty.span()=>
                <#ty as ::phantom_core::bits::Integer>::write_fixed(*#binding, out, #bits)?;
            }
        }
        None => quote_spanned! {ty.span()=>
            <#ty as ::phantom_core::bits::Bits>::write(#binding, out)?;
        },
    };
    quote!(#mark #write)
}

fn read_field((place, field): (usize, &Field<'_>)) -> TokenStream {
    let binding = binding(place);
    let ty = field.ty;
    let read = match &field.width {
        Some(width) => {
            let bits = width.bits;
            quote_spanned!(ty.span()=> <#ty as ::phantom_core::bits::Integer>::read_fixed(input, #bits)?)
        }
        None => quote_spanned!(ty.span()=> <#ty as ::phantom_core::bits::Bits>::read(input)?),
    };
    let default = match &field.default {
        None => return quote!(let #binding: #ty = #read;),
        Some(Default::OfType(_)) => {
            quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default())
        }
        Some(Default::Value(value)) => quote!(#value),
    };
    quote!(let #binding: #ty = if input.read_more() { #read } else { #default };)
}

/// `{ member: binding, … }`, which takes apart and puts together structs of all three styles.
fn pattern(fields: &[Field<'_>]) -> TokenStream {
    let members = fields.iter().map(|field| &field.member);
    let bindings = (0..fields.len()).map(binding);
    quote!({ #(#members: #bindings,)* })
}

fn binding(place: usize) -> Ident {
    local(&format!("field_{place}"))
}

/// A name that an expression of the user's cannot mean.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
