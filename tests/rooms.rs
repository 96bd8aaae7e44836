//! The imports of `src/` beside the table of rooms in `docs/architecture.md`: none goes up, sideways or in a
//! circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the top. A room uses rooms on lower floors only. The rooms of one floor may not know each
/// other, except on the floor of the actors, which form one machine; even there, circles are not allowed.
const FLOORS: [Floor; 9] = [
    Floor { rooms: &["main", "lib", "app", "cli"], is_one_machine: true },
    Floor {
        rooms: &["web", "live", "mqtt", "observer", "notify", "history", "export"],
        is_one_machine: false,
    },
    // What the web output serves and does not make itself.
    Floor { rooms: &["metrics", "pictures"], is_one_machine: false },
    Floor {
        rooms: &[
            "supervisor",
            "aggregator",
            "output",
            "frames",
            "pieces",
            "slices",
            "directory",
            "gateway",
            "supervise",
            "audience",
            "connections",
            "control",
            "limiter",
        ],
        is_one_machine: true,
    },
    Floor { rooms: &["views"], is_one_machine: false },
    Floor { rooms: &["link"], is_one_machine: false },
    Floor { rooms: &["settings"], is_one_machine: false },
    Floor { rooms: &["tls", "store", "files"], is_one_machine: true },
    Floor { rooms: &["model", "board", "clock", "pause", "client"], is_one_machine: true },
];
/// Used by the command line, tests and benchmarks only; may use whatever it imitates.
const ASIDE: &str = "simulator";

struct Floor {
    rooms: &'static [&'static str],
    is_one_machine: bool,
}

/// A module by its path below the crate: `["link", "tedapi"]`.
type Module = Vec<String>;

/// Every source file with the modules that it imports.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.retain(|file| !file.ends_with("tests.rs"));
    let sources: BTreeMap<Module, String> =
        files.iter().map(|file| (module_of(&root, file), production_code(file))).collect();
    let known: BTreeSet<Module> = sources.keys().cloned().collect();
    let imported = |(module, text): (&Module, &String)| {
        let paths = paths(text).into_iter().filter_map(|path| resolve(module, &path, &known));
        (module.clone(), paths.filter(|target| target != module).collect())
    };
    sources.iter().map(imported).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn module_of(root: &Path, file: &Path) -> Module {
    let below = file.strip_prefix(root).unwrap().with_extension("");
    let parts = below.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The text without comments and without the tests at its end.
fn production_code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let code = text.lines().map(|line| line.split("//").next().unwrap());
    code.collect::<Vec<_>>().join("\n")
}

/// The paths in the text: those of `use`, and those written out where they are needed.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for statement in text.split(';') {
        let is_use = |line: &str| {
            let line = line.trim_start();
            let line = line.strip_prefix("pub").map_or(line, |rest| {
                let rest = rest.trim_start();
                rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest)
            });
            line.trim_start().starts_with("use ")
        };
        if let Some(start) = statement
            .split_inclusive('\n')
            .scan(0, |at, line| {
                let start = *at;
                *at += line.len();
                Some((start, line))
            })
            .find(|(_, line)| is_use(line))
        {
            let tree = statement[start.0..].split_once("use ").unwrap().1;
            expand(&[], &tree.split_whitespace().collect::<Vec<_>>().join(" "), &mut found);
        }
    }
    for root in ["crate::", "super::"] {
        for (place, _) in text.match_indices(root).filter(|(place, _)| !text[..*place].ends_with("::")) {
            let is_path = |character: &char| character.is_alphanumeric() || "_:".contains(*character);
            let path: String = text[place..].chars().take_while(is_path).collect();
            found.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
        }
    }
    found
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn expand(before: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let mut path = before.to_vec();
        path.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
        let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
        let (mut depth, mut start) = (0, 0);
        for (place, character) in inside.char_indices().chain([(inside.len(), ',')]) {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    if !inside[start..place].trim().is_empty() {
                        expand(&path, &inside[start..place], found);
                    }
                    start = place + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let plain = tree.split(" as ").next().unwrap();
    let mut path = before.to_vec();
    path.extend(
        plain.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self" && part != "*"),
    );
    if plain.trim_start().starts_with("self::") {
        path.insert(0, "self".to_owned());
    }
    found.push(path);
}

/// The file that `path` in `module` leads to; `None`: another crate.
fn resolve(module: &Module, path: &[String], known: &BTreeSet<Module>) -> Option<Module> {
    let mut base: Module = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "super" | "self" => module.clone(),
        name => {
            let mut child = module.clone();
            child.push(name.to_owned());
            return known.contains(&child).then(|| longest(child, &path[1..], known));
        }
    };
    let mut rest = &path[usize::from(path[0] != "super")..];
    while rest.first().is_some_and(|part| part == "super") {
        base.pop();
        rest = &rest[1..];
    }
    let target = longest(base, rest, known);
    (!target.is_empty()).then_some(target)
}

fn longest(mut base: Module, rest: &[String], known: &BTreeSet<Module>) -> Module {
    for part in rest {
        base.push(part.clone());
        if !known.contains(&base) {
            base.pop();
            break;
        }
    }
    base
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.rooms.contains(&room))
}

#[test]
fn no_import_goes_up_or_sideways() {
    let mut wrong = BTreeSet::new();
    for (module, targets) in imports() {
        let room = &module[0];
        if room == ASIDE {
            continue;
        }
        let floor = floor_of(room).unwrap_or_else(|| panic!("{room} has no floor"));
        for target in targets.iter().filter(|target| target[0] != *room) {
            let may_use = match floor_of(&target[0]) {
                Some(below) => below > floor || below == floor && FLOORS[floor].is_one_machine,
                None => floor == 0 && target[0] == ASIDE,
            };
            if !may_use {
                wrong.insert(format!("{} uses {}", module.join("::"), target.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A module may use what its ancestors define, and they use it; any other circle means that two files are one
/// thing.
#[test]
fn no_import_goes_in_a_circle() {
    let imports: BTreeMap<Module, BTreeSet<Module>> = imports()
        .into_iter()
        .map(|(module, targets)| {
            let targets = targets.into_iter().filter(|target| !module.starts_with(target)).collect();
            (module, targets)
        })
        .collect();
    let mut circles = BTreeSet::new();
    for start in imports.keys() {
        if let Some(way) = way_back(start, &imports) {
            let mut names: Vec<String> = way.iter().map(|module| module.join("::")).collect();
            names.sort();
            circles.insert(names.join(" ⇄ "));
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The shortest way from `start` to itself.
fn way_back(start: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![start.clone()]]);
    while let Some(way) = ways.pop_front() {
        for target in imports.get(way.last()?).into_iter().flatten() {
            if target == start {
                return Some(way);
            }
            if seen.insert(target.clone()) {
                ways.push_back([way.clone(), vec![target.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn paths_are_found_in_every_form() {
    let text =
        "use crate::a::{self, b::{C, D}, e};\npub(super) use super::f::G as H;\nlet x = crate::i::j();";
    let found: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    for expected in
        ["crate::a", "crate::a::b::C", "crate::a::b::D", "crate::a::e", "super::f::G", "crate::i::j"]
    {
        assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
    }
}

/// What `rustfmt` cannot break (texts, comments, macros) it leaves as long as it is.
#[test]
fn no_line_is_longer_than_110_columns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    let mut long = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let lines = (1..).zip(text.lines()).filter(|(_, line)| line.chars().count() > 110);
        long.extend(lines.map(|(number, _)| format!("{}:{number}", file.display())));
    }
    assert!(long.is_empty(), "{long:#?}");
}
