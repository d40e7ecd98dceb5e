//! Imports of each file, read from the sources: no circle, and no arrow that the table of rooms does not have.
//!
//! An arrow goes from a file that names an item to the file that defines the item, through every re-export between them. The
//! declarations and public re-exports of a `mod.rs` or `lib.rs` are no imports; everything else is.

use std::collections::{BTreeMap, BTreeSet};

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, ItemMod, ItemUse, Macro, Token, UseTree, Visibility};

use crate::tidy::sources;

/// Rooms of the client from the ground up. A room may import from the rooms of the lines above its own, and from itself.
const CLIENT: &[&[&str]] = &[
    &["clock", "tally"],
    &["operations", "keys"],
    &["transport", "sync"],
    &["schema"],
    &["store"],
    &["documents"],
    &["records", "migrate", "members"],
    &["presence"],
    &["replica"],
    &["driver"],
    &["api"],
    &["lib"],
];

/// A path from the crate's root: modules, then at most an item.
type Place = Vec<String>;

/// The names and imports of one file.
#[derive(Default)]
struct Said {
    /// Names that stand for other places: what `use` brings in.
    names: BTreeMap<String, Place>,
    /// Places that the file names, in `use` and elsewhere.
    imports: BTreeSet<Place>,
    module: Place,
    is_mod: bool,
}

impl Said {
    fn absolute(&self, path: &[String]) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        let from = match first.as_str() {
            "crate" => Place::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            name => self.names.get(name)?.clone(),
        };
        let mut place = from;
        for name in rest {
            if name == "super" { drop(place.pop()) } else { place.push(name.clone()) }
        }
        Some(place)
    }

    fn take_tree(&mut self, tree: &UseTree, before: &mut Vec<String>, is_import: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.take_tree(&path.tree, before, is_import);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take_tree(tree, before, is_import)),
            UseTree::Glob(_) => self.name(None, before, is_import),
            UseTree::Name(name) if name.ident == "self" => self.name(before.last().cloned(), before, is_import),
            UseTree::Rename(name) if name.ident == "self" => {
                self.name(Some(name.rename.to_string()), before, is_import);
            }
            UseTree::Name(name) => {
                let path = [&before[..], &[name.ident.to_string()]].concat();
                self.name(Some(name.ident.to_string()), &path, is_import);
            }
            UseTree::Rename(name) => {
                let path = [&before[..], &[name.ident.to_string()]].concat();
                self.name(Some(name.rename.to_string()), &path, is_import);
            }
        }
    }

    fn name(&mut self, name: Option<String>, path: &[String], is_import: bool) {
        let Some(place) = self.absolute(path) else { return };
        if is_import {
            self.imports.insert(place.clone());
        }
        name.map(|name| self.names.insert(name, place));
    }
}

impl<'ast> Visit<'ast> for Said {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        self.take_tree(&item.tree, &mut Vec::new(), !(is_public && self.is_mod));
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.imports.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if let Ok(arguments) = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
    }
}

/// The files of a crate, and the arrows between them.
struct Arrows {
    files: BTreeMap<Place, (String, Said)>,
}

impl Arrows {
    fn of(folder: &str) -> Self {
        let mut files = BTreeMap::new();
        for (name, text) in sources(folder) {
            let inside = name.strip_prefix(folder).unwrap().trim_start_matches('/').trim_end_matches(".rs");
            let mut module: Place = inside.split('/').map(str::to_owned).collect();
            let is_mod = matches!(module.last().map(String::as_str), Some("mod" | "lib"));
            if is_mod {
                module.pop();
            }
            let mut said = Said { module: module.clone(), is_mod, ..Said::default() };
            let file = syn::parse_file(&text).unwrap();
            // Names first: a `use` may stand below what it serves.
            for item in &file.items {
                match item {
                    syn::Item::Use(item) => said.visit_item_use(item),
                    syn::Item::Mod(item) => {
                        let name = item.ident.to_string();
                        let place = [&module[..], std::slice::from_ref(&name)].concat();
                        said.names.insert(name, place);
                    }
                    _ => {}
                }
            }
            said.visit_file(&file);
            files.insert(module, (name, said));
        }
        Self { files }
    }

    /// The file that defines what lies at a place.
    fn file_of(&self, place: &[String], hops: usize) -> Option<&str> {
        let depth = (0..=place.len()).rev().find(|depth| self.files.contains_key(&place[..*depth]))?;
        let (file, said) = &self.files[&place[..depth]];
        match place.get(depth).and_then(|item| said.names.get(item)) {
            Some(further) if hops > 0 => {
                let further = [&further[..], &place[depth + 1..]].concat();
                self.file_of(&further, hops - 1)
            }
            _ => Some(file),
        }
    }

    /// Each file, and the files it imports.
    fn by_file(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let arrows = self.files.values().map(|(file, said)| {
            let targets = said.imports.iter().filter_map(|place| self.file_of(place, 8));
            (file.as_str(), targets.filter(|target| target != file).collect())
        });
        arrows.collect()
    }
}

/// All files that a file reaches by its imports.
fn reached<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for target in arrows.get(file).into_iter().flatten() {
            if reached.insert(*target) {
                open.push(target);
            }
        }
    }
    reached
}

/// Arrows that lie on a circle, and the number of files in the largest one.
fn circles(arrows: &BTreeMap<&str, BTreeSet<&str>>) -> (Vec<String>, usize) {
    let reached: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|file| (*file, reached(arrows, file))).collect();
    let back = |from: &str, to: &str| reached.get(to).is_some_and(|reached| reached.contains(from));
    let on_circles = arrows.iter().flat_map(|(from, targets)| {
        targets.iter().filter(|to| back(from, to)).map(|to| format!("{from} -> {to}")).collect::<Vec<_>>()
    });
    let sizes = reached.iter().map(|(file, others)| others.iter().filter(|other| back(file, other)).count());
    (on_circles.collect(), sizes.max().unwrap_or(0))
}

fn room<'a>(folder: &str, file: &'a str) -> &'a str {
    let inside = file.strip_prefix(folder).unwrap().trim_start_matches('/');
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut all = Vec::new();
    for folder in ["shared/src", "server/src", "client/src", "cli/src"] {
        let read = Arrows::of(folder);
        let (on_circles, largest) = circles(&read.by_file());
        println!("figure: {folder}: {} files, {largest} in the largest circle of imports", read.files.len());
        all.extend(on_circles);
    }
    assert!(all.is_empty(), "imports in a circle:\n{}", all.join("\n"));
}

#[test]
fn rooms_of_the_client_import_downwards() {
    let read = Arrows::of("client/src");
    let floor = |room: &str| CLIENT.iter().position(|floor| floor.contains(&room));
    let mut wrong = Vec::new();
    for (from, targets) in read.by_file() {
        let of = room("client/src", from);
        for to in targets {
            let below = room("client/src", to);
            let is_downwards = floor(below) < floor(of) && floor(below).is_some();
            if of != below && !is_downwards {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that the table of rooms does not have:\n{}", wrong.join("\n"));
}

/// The reader itself: it finds a circle through re-exports, and no circle where a `mod.rs` only declares.
#[test]
fn a_circle_is_found() {
    let arrows = |pairs: &[(&'static str, &'static str)]| {
        let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in pairs {
            arrows.entry(from).or_default().insert(to);
            arrows.entry(to).or_default();
        }
        arrows
    };
    assert_eq!(circles(&arrows(&[("a", "b"), ("b", "c")])), (Vec::new(), 0));
    let (on_circle, largest) = circles(&arrows(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]));
    assert_eq!((on_circle.len(), largest), (3, 3));
    let client = Arrows::of("client/src");
    let by_file = client.by_file();
    assert!(by_file["client/src/replica/merge.rs"].contains("client/src/store/error.rs"), "through a re-export");
    assert!(!by_file["client/src/lib.rs"].contains("client/src/replica/merge.rs"));
}
