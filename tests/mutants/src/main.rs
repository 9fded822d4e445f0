//! Puts every mutant that `cargo mutants --list --json` names into one copy of the sources, to be switched on one at a time: the core is
//! compiled once, not once for each.
//!
//! ```text
//! phantom-mutants LIST ROOT SKIP
//! ```
//!
//! ROOT is a copy of the workspace, whose files are rewritten. SKIP holds the numbers of mutants that do not compile, one a line;
//! what is put where is written to ROOT/places.tsv (file, first byte, end, number), so that a compiler error can be traced to its
//! mutant. A mutant's number is its place in LIST. Printed are the numbers that were put in.
//!
//! What cannot be switched is left out: in `const fn`, in chains with `let`, fields left out of a struct.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use proc_macro2::{LineColumn, Span};
use serde_json::Value;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Line, from 1, and column, from 0.
type Place = (usize, usize);

struct Mutant {
    number: usize,
    replacement: String,
}

/// The mutants of one file, by genre and by where they begin.
type Wanted = HashMap<(String, Place), Vec<Mutant>>;

/// A range of the source, and what comes before and behind it.
struct Edit {
    start: usize,
    end: usize,
    before: String,
    after: String,
    numbers: Vec<usize>,
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let [list, root, skip] = &args[..] else { panic!("phantom-mutants LIST ROOT SKIP") };
    let list: Vec<Value> = serde_json::from_str(&fs::read_to_string(list).expect("LIST")).expect("JSON");
    let skip: BTreeSet<usize> = fs::read_to_string(skip)
        .unwrap_or_default()
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let mut files: BTreeMap<String, Wanted> = BTreeMap::new();
    for (number, mutant) in list.iter().enumerate().filter(|(number, _)| !skip.contains(number)) {
        let text = |key: &str| mutant[key].as_str().expect("a text").to_owned();
        let at = |key: &str| mutant["span"]["start"][key].as_u64().expect("a number") as usize;
        let place = (at("line"), at("column") - 1);
        let wanted = files.entry(text("file")).or_default();
        let found = Mutant { number, replacement: text("replacement") };
        wanted.entry((text("genre"), place)).or_default().push(found);
    }
    let (mut places, mut put) = (String::new(), BTreeSet::new());
    for (file, wanted) in &files {
        let path = Path::new(root).join(file);
        let source = fs::read_to_string(&path).expect("a source");
        let mut visitor = Visitor::new(&source, wanted);
        visitor.visit_file(&syn::parse_file(&source).expect("Rust"));
        let mut edits = visitor.edits;
        edits.sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
        let mut out = String::new();
        let mut marks = Vec::new();
        render(&source, &mut edits.iter().peekable(), 0, source.len(), &mut out, &mut marks);
        for (start, end, numbers) in marks {
            for number in numbers {
                put.insert(number);
                writeln!(places, "{file}\t{start}\t{end}\t{number}").expect("a string");
            }
        }
        fs::write(&path, out).expect("a writable copy");
    }
    fs::write(Path::new(root).join("places.tsv"), places).expect("a writable copy");
    for number in put {
        println!("{number}");
    }
}

fn render<'a>(
    source: &str,
    edits: &mut std::iter::Peekable<impl Iterator<Item = &'a Edit>>,
    mut at: usize,
    end: usize,
    out: &mut String,
    marks: &mut Vec<(usize, usize, Vec<usize>)>,
) {
    while let Some(edit) = edits.next_if(|edit| edit.start < end || edit.start == end && edit.end == end) {
        assert!(edit.start >= at, "edits are nested");
        out.push_str(&source[at..edit.start]);
        let begun = out.len();
        out.push_str(&edit.before);
        marks.push((begun, out.len(), edit.numbers.clone()));
        if edit.end > edit.start {
            render(source, edits, edit.start, edit.end, out, marks);
        }
        out.push_str(&edit.after);
        at = edit.end;
    }
    out.push_str(&source[at..end]);
}

struct Visitor<'a> {
    source: &'a str,
    lines: Vec<usize>,
    wanted: &'a Wanted,
    edits: Vec<Edit>,
    in_fn: bool,
}

impl<'a> Visitor<'a> {
    fn new(source: &'a str, wanted: &'a Wanted) -> Self {
        let lines = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, lines, wanted, edits: Vec::new(), in_fn: false }
    }

    fn byte(&self, at: LineColumn) -> usize {
        let line = self.lines[at.line - 1];
        let rest = &self.source[line..];
        line + rest.char_indices().nth(at.column).map_or(rest.len(), |(byte, _)| byte)
    }

    fn range(&self, span: Span) -> (usize, usize) {
        (self.byte(span.start()), self.byte(span.end()))
    }

    fn text(&self, span: Span) -> &'a str {
        let (start, end) = self.range(span);
        &self.source[start..end]
    }

    fn of(&self, genre: &str, span: Span) -> &'a [Mutant] {
        let at = span.start();
        self.wanted.get(&(genre.to_owned(), (at.line, at.column))).map_or(&[], Vec::as_slice)
    }

    /// Wraps `span`: each mutant stands for it while it is on.
    fn wrap(&mut self, span: Span, mutants: &[(usize, String)]) {
        if mutants.is_empty() {
            return;
        }
        let (start, end) = self.range(span);
        let mut before = String::from("(");
        for (number, text) in mutants {
            write!(before, "if crate::mutants::on({number}) {{ {text} }} else ").expect("a string");
        }
        before.push_str("{ ");
        let numbers = mutants.iter().map(|&(number, _)| number).collect();
        self.edits.push(Edit { start, end, before, after: " })".into(), numbers });
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block, visit: impl FnOnce(&mut Self)) {
        if signature.constness.is_some() {
            return;
        }
        let opaque = matches!(&signature.output, syn::ReturnType::Type(_, of) if matches!(**of, syn::Type::ImplTrait(_)));
        // The span of the mutants is the inside of the block.
        let inside = block.stmts.first().map(Spanned::span);
        let inside = inside.filter(|_| !opaque).map_or(&[][..], |span| self.of("FnValue", span));
        let at = self.byte(block.brace_token.span.open().end());
        for Mutant { number, replacement } in inside {
            let before = format!(" if crate::mutants::on({number}) {{ return {replacement}; }}");
            self.edits.push(Edit {
                start: at,
                end: at,
                before,
                after: String::new(),
                numbers: vec![*number],
            });
        }
        let outer = std::mem::replace(&mut self.in_fn, true);
        visit(self);
        self.in_fn = outer;
    }
}

fn has_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let test = item.attrs.iter().any(|attr| attr.path().is_ident("cfg"));
        if !test {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, |visitor| visit::visit_item_fn(visitor, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |visitor| visit::visit_impl_item_fn(visitor, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block, |visitor| visit::visit_trait_item_fn(visitor, item));
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_repeat(&mut self, expr: &'ast syn::ExprRepeat) {
        self.visit_expr(&expr.expr);
    }

    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}

    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        if self.in_fn && !has_let(&expr.left) && !has_let(&expr.right) {
            let (left, right) = (self.text(expr.left.span()), self.text(expr.right.span()));
            let assigns = self.text(expr.op.span()).ends_with('=')
                && !matches!(
                    expr.op,
                    syn::BinOp::Eq(_) | syn::BinOp::Le(_) | syn::BinOp::Ge(_) | syn::BinOp::Ne(_)
                );
            let mutants = self.of("BinaryOperator", expr.op.span()).iter().map(|mutant| {
                let op = &mutant.replacement;
                let text =
                    if assigns { format!("{left} {op} {right}") } else { format!("({left}) {op} ({right})") };
                (mutant.number, text)
            });
            self.wrap(expr.span(), &mutants.collect::<Vec<_>>());
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast syn::ExprUnary) {
        if self.in_fn {
            let text = self.text(expr.expr.span());
            let mutants = self.of("UnaryOperator", expr.op.span()).iter();
            self.wrap(
                expr.span(),
                &mutants.map(|mutant| (mutant.number, text.to_owned())).collect::<Vec<_>>(),
            );
        }
        visit::visit_expr_unary(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let deleted = self.of("MatchArm", arm.span());
        match &arm.guard {
            Some((_, guard)) => {
                let mutants = self.of("MatchArmGuard", guard.span()).iter();
                let mutants =
                    mutants.map(|mutant| (mutant.number, mutant.replacement.clone())).collect::<Vec<_>>();
                let whole = has_let(guard);
                if !whole {
                    for mutant in deleted {
                        let (start, end) = self.range(guard.span());
                        let before = format!("!crate::mutants::on({}) && (", mutant.number);
                        let numbers = vec![mutant.number];
                        self.edits.push(Edit { start, end, before, after: ")".into(), numbers });
                    }
                    self.wrap(guard.span(), &mutants);
                }
            }
            None => {
                for mutant in deleted {
                    let (_, at) = self.range(arm.pat.span());
                    let before = format!(" if !crate::mutants::on({})", mutant.number);
                    let numbers = vec![mutant.number];
                    self.edits.push(Edit { start: at, end: at, before, after: String::new(), numbers });
                }
            }
        }
        visit::visit_arm(self, arm);
    }
}
