//! What a declaration says, or why it cannot be: every refusal of the macros stands here.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Generics, Ident, Index, LitInt, Member, Result, Token, Type,
};

/// Which macro was called.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Trait {
    Packet,
    Bits,
}

pub(crate) struct Model<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape<'a>,
}

pub(crate) enum Kind {
    Packet {
        id: u32,
    },
    /// A value in a frame.
    Extensible,
    /// A value whose form is fixed.
    Fixed,
}

pub(crate) enum Shape<'a> {
    Struct(Vec<Field<'a>>),
    Enum(Vec<Variant<'a>>),
}

pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) tag: u32,
    pub(crate) fields: Vec<Field<'a>>,
}

pub(crate) struct Field<'a> {
    pub(crate) member: Member,
    pub(crate) ty: &'a Type,
    pub(crate) width: Option<Width>,
    pub(crate) default: Option<Default>,
}

pub(crate) struct Width {
    pub(crate) bits: u32,
    pub(crate) span: Span,
}

pub(crate) enum Default {
    /// That of the type.
    OfType(Span),
    Value(Expr),
}

impl<'a> Model<'a> {
    pub(crate) fn new(input: &'a DeriveInput, derived: Trait) -> Result<Self> {
        if let Some(lifetime) = input.generics.lifetimes().next() {
            return Err(Error::new(
                lifetime.span(),
                "a value that is read owns its fields: it cannot have a lifetime parameter",
            ));
        }
        let kind = kind(input, derived)?;
        let shape = match &input.data {
            Data::Struct(data) => Shape::Struct(fields(&data.fields)?),
            Data::Enum(data) => Shape::Enum(variants(&input.ident, data)?),
            Data::Union(data) => {
                return Err(Error::new(
                    data.union_token.span,
                    "a union does not say which of its fields holds: use an enum",
                ));
            }
        };
        if let Kind::Fixed = kind {
            refuse_defaults(&shape)?;
        }
        Ok(Self { ident: &input.ident, generics: &input.generics, kind, shape })
    }
}

impl Default {
    fn span(&self) -> Span {
        match self {
            Self::OfType(span) => *span,
            Self::Value(value) => value.span(),
        }
    }
}

fn kind(input: &DeriveInput, derived: Trait) -> Result<Kind> {
    let mut id = None;
    let mut extensible = false;
    attributes(&input.attrs, |meta| {
        if meta.path.is_ident("id") {
            if derived == Trait::Bits {
                return Err(meta.error("only a packet has an ID: derive `Packet` instead of `Bits`"));
            }
            let value = number(&meta, "a packet ID is a number from 1 to 4294967295")?;
            if value == 0 {
                return Err(meta.error("the packet ID is zero; choose one from 1 to 4294967295"));
            }
            once(&mut id, value, &meta)
        } else if meta.path.is_ident("extensible") {
            if derived == Trait::Packet {
                return Err(meta.error("a packet is extensible anyway: remove this"));
            }
            extensible = true;
            Ok(())
        } else if derived == Trait::Packet {
            Err(meta.error("unknown attribute: a packet has `id = …`"))
        } else {
            Err(meta.error("unknown attribute: a type that derives `Bits` may be `extensible`"))
        }
    })?;
    match (derived, id) {
        (Trait::Packet, Some(id)) => Ok(Kind::Packet { id }),
        (Trait::Packet, None) => {
            Err(Error::new(input.ident.span(), "a packet needs an ID: add `#[packet(id = …)]`"))
        }
        (Trait::Bits, _) if extensible => Ok(Kind::Extensible),
        (Trait::Bits, _) => Ok(Kind::Fixed),
    }
}

fn variants<'a>(ident: &Ident, data: &'a syn::DataEnum) -> Result<Vec<Variant<'a>>> {
    if data.variants.is_empty() {
        return Err(Error::new(ident.span(), "an enum without variants has no values to send"));
    }
    let mut taken = BTreeMap::new();
    let mut result = Vec::new();
    for (place, variant) in data.variants.iter().enumerate() {
        let mut tag = None;
        attributes(&variant.attrs, |meta| {
            if meta.path.is_ident("tag") {
                let value = number(&meta, "a tag is a number from 0 to 4294967295")?;
                once(&mut tag, value, &meta)
            } else {
                Err(meta.error("unknown attribute: a variant may have `tag = …`"))
            }
        })?;
        if let (None, Some((_, discriminant))) = (tag, &variant.discriminant) {
            return Err(Error::new(
                discriminant.span(),
                "a discriminant is not sent: say which tag is meant, with `#[packet(tag = …)]`",
            ));
        }
        let tag = tag.unwrap_or(place as u32);
        if let Some(other) = taken.insert(tag, &variant.ident) {
            return Err(Error::new(
                variant.ident.span(),
                format!(
                    "the tag {tag} is that of `{other}` already: choose another with `#[packet(tag = …)]`"
                ),
            ));
        }
        result.push(Variant { ident: &variant.ident, tag, fields: fields(&variant.fields)? });
    }
    Ok(result)
}

fn fields(fields: &syn::Fields) -> Result<Vec<Field<'_>>> {
    let mut result: Vec<Field<'_>> = Vec::new();
    for (place, field) in fields.iter().enumerate() {
        let field = self::field(place, field)?;
        if field.default.is_none() && result.last().is_some_and(|last| last.default.is_some()) {
            return Err(Error::new(
                field.ty.span(),
                "this field follows one with a default and so needs one too: only the last fields of a value can be \
                 missing",
            ));
        }
        result.push(field);
    }
    Ok(result)
}

fn field(place: usize, field: &syn::Field) -> Result<Field<'_>> {
    let mut width = None;
    let mut default = None;
    attributes(&field.attrs, |meta| {
        if meta.path.is_ident("bits") {
            let bits = number(&meta, "a width is a number of bits from 1 to 64")?;
            if !(1..=64).contains(&bits) {
                return Err(meta.error("a width is a number of bits from 1 to 64"));
            }
            once(&mut width, Width { bits, span: meta.path.span() }, &meta)
        } else if meta.path.is_ident("default") {
            let value = if meta.input.peek(Token![=]) {
                Default::Value(meta.value()?.parse()?)
            } else {
                Default::OfType(meta.path.span())
            };
            once(&mut default, value, &meta)
        } else {
            Err(meta.error("unknown attribute: a field may have `bits = …`, `default` and `default = …`"))
        }
    })?;
    let member = match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index { index: place as u32, span: field.ty.span() }),
    };
    Ok(Field { member, ty: &field.ty, width, default })
}

/// A value of a fixed form is followed by others, so that nothing can be missing at its end.
fn refuse_defaults(shape: &Shape<'_>) -> Result<()> {
    let fields: Vec<&Field<'_>> = match shape {
        Shape::Struct(fields) => fields.iter().collect(),
        Shape::Enum(variants) => variants.iter().flat_map(|variant| &variant.fields).collect(),
    };
    match fields.iter().find_map(|field| field.default.as_ref()) {
        Some(default) => Err(Error::new(
            default.span(),
            "only a packet or an extensible type has room for later fields: add `#[packet(extensible)]` to the type",
        )),
        None => Ok(()),
    }
}

/// Calls `each` for each item of each `#[packet(…)]`.
fn attributes(
    attributes: &[Attribute],
    mut each: impl FnMut(ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("packet"))
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut each))
}

fn number(meta: &ParseNestedMeta<'_>, range: &str) -> Result<u32> {
    let value = meta.value()?;
    let literal: LitInt = value.parse().map_err(|error| Error::new(error.span(), range))?;
    literal.base10_parse().map_err(|_| Error::new(literal.span(), range))
}

fn once<T>(place: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    if place.replace(value).is_some() {
        let name = meta.path.get_ident().map(Ident::unraw);
        return Err(meta.error(name.map_or_else(String::new, |name| format!("`{name}` is given twice"))));
    }
    Ok(())
}
