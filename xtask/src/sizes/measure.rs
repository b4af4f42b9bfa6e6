//! Measuring a file: its items by `syn`, its comments by line.

use anyhow::Result;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, Field, ImplItem, Item, Local, Pat, Signature, Visibility};

/// Sums over the files of a crate.
#[derive(Default)]
pub(super) struct Sizes {
    /// Number of lines of each file.
    pub(super) files: Vec<usize>,
    /// Lines of each function, from its signature to its closing bracket.
    pub(super) functions: Vec<usize>,
    /// `let name = |..| ..`
    pub(super) closures: usize,
    /// Items and methods that are `pub` without a restriction; `pub use` is not counted.
    pub(super) public_items: usize,
    /// Fields of structs that are `pub` without a restriction.
    pub(super) public_fields: usize,
    /// Doc comments: runs of `///` or `//!` lines.
    pub(super) docs: usize,
    /// Those of at most four words.
    pub(super) thin_docs: usize,
}

impl Sizes {
    /// Number of lines of all files.
    pub(super) fn lines(&self) -> usize {
        self.files.iter().sum()
    }

    /// Takes up what was measured elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.files.extend(&other.files);
        self.functions.extend(&other.functions);
        self.closures += other.closures;
        self.public_items += other.public_items;
        self.public_fields += other.public_fields;
        self.docs += other.docs;
        self.thin_docs += other.thin_docs;
    }
}

/// Adds a file to `sizes`; items under `#[cfg(test)]` only `with_tests`.
pub(super) fn measure(text: &str, with_tests: bool, sizes: &mut Sizes) -> Result<()> {
    let file = syn::parse_file(text)?;
    let mut measured = Measured {
        sizes,
        with_tests,
        test_lines: Vec::new(),
    };
    measured.visit_file(&file);
    let test_lines = measured.test_lines;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !test_lines
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&(index + 1)))
        {
            lines.push(line.trim_start());
        }
    }
    sizes.files.push(lines.len());
    count_docs(&lines, sizes);
    Ok(())
}

fn count_docs(lines: &[&str], sizes: &mut Sizes) {
    for block in lines
        .chunk_by(|a, b| is_doc(a) == is_doc(b))
        .filter(|block| is_doc(block[0]))
    {
        let words: usize = block.iter().map(|line| line[3..].split_whitespace().count()).sum();
        sizes.docs += 1;
        sizes.thin_docs += usize::from(words <= 4);
    }
}

fn is_doc(line: &str) -> bool {
    line.starts_with("///") || line.starts_with("//!")
}

struct Measured<'a> {
    sizes: &'a mut Sizes,
    with_tests: bool,
    /// First and last lines of the items left out.
    test_lines: Vec<(usize, usize)>,
}

impl Measured<'_> {
    fn function(&mut self, signature: &Signature, block: &Block) {
        let lines = block.span().end().line + 1 - signature.span().start().line;
        self.sizes.functions.push(lines);
    }

    fn item(&mut self, visibility: &Visibility) {
        self.sizes.public_items += usize::from(matches!(visibility, Visibility::Public(_)));
    }
}

impl<'ast> Visit<'ast> for Measured<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !self.with_tests && is_for_tests(item) {
            self.test_lines.push((item.span().start().line, item.span().end().line));
            return;
        }
        match item {
            Item::Const(item) => self.item(&item.vis),
            Item::Enum(item) => self.item(&item.vis),
            Item::Fn(item) => {
                self.item(&item.vis);
                self.function(&item.sig, &item.block);
            }
            Item::Mod(item) => self.item(&item.vis),
            Item::Static(item) => self.item(&item.vis),
            Item::Struct(item) => self.item(&item.vis),
            Item::Trait(item) => self.item(&item.vis),
            Item::Type(item) => self.item(&item.vis),
            Item::Union(item) => self.item(&item.vis),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Const(item) => self.item(&item.vis),
            ImplItem::Fn(item) => {
                self.item(&item.vis);
                self.function(&item.sig, &item.block);
            }
            _ => {}
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_field(&mut self, field: &'ast Field) {
        self.sizes.public_fields += usize::from(matches!(field.vis, Visibility::Public(_)));
        visit::visit_field(self, field);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        let is_closure = local
            .init
            .as_ref()
            .is_some_and(|init| matches!(*init.expr, Expr::Closure(_)));
        self.sizes.closures += usize::from(is_closure && is_name(&local.pat));
        visit::visit_local(self, local);
    }
}

fn is_name(pattern: &Pat) -> bool {
    match pattern {
        Pat::Type(typed) => is_name(&typed.pat),
        _ => matches!(pattern, Pat::Ident(_)),
    }
}

fn is_for_tests(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().ok();
        attribute.path().is_ident("cfg") && condition.is_some_and(|list| list.tokens.to_string() == "test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! A file\n//! of a few words.\n\n/// Thin.\npub struct S {\n    pub a: u8,\n    b: u8,\n}\n\n\
        impl S {\n    pub fn f(&self) -> u8 {\n        let g = |x: u8| x + 1;\n        let [h] = [|x: u8| x];\n        h(g(self.b))\n    }\n}\n\n\
        pub(crate) fn hidden() {}\n\n#[cfg(test)]\nmod tests {\n    fn t() {\n        let c = || 1;\n    }\n}\n";

    #[test]
    fn a_file_is_measured_without_its_tests() -> Result<()> {
        let mut sizes = Sizes::default();
        measure(SOURCE, false, &mut sizes)?;
        assert_eq!(
            (sizes.files, sizes.functions, sizes.closures),
            (vec![19], vec![5, 1], 1)
        );
        assert_eq!(
            (sizes.public_items, sizes.public_fields, sizes.docs, sizes.thin_docs),
            (2, 1, 2, 1)
        );
        Ok(())
    }

    #[test]
    fn a_file_is_measured_with_its_tests() -> Result<()> {
        let mut sizes = Sizes::default();
        measure(SOURCE, true, &mut sizes)?;
        assert_eq!(
            (sizes.files, sizes.functions, sizes.closures),
            (vec![25], vec![5, 1, 3], 2)
        );
        Ok(())
    }
}
