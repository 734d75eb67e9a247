use std::fs;

use image::{Rgb, RgbImage};

use super::*;
use crate::dataset::DatasetError;

/// A folder of pictures, gone after the test.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(names: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for name in names {
            tree.picture(name, &RgbImage::new(4, 2));
        }
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn picture(&self, name: &str, picture: &RgbImage) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        picture.save(self.path(name)).unwrap();
    }

    fn text(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Rainy and clean names relative to the folder.
    fn names(&self, list: Result<PairList, Error>) -> Vec<(String, String)> {
        let name = |path: &PathBuf| path.strip_prefix(self.0.path()).unwrap().to_str().unwrap().replace('\\', "/");
        let pairs = list.unwrap().pairs;
        pairs
            .iter()
            .map(|pair| match pair {
                Pair::Files { rainy, clean } => (name(rainy), name(clean)),
                Pair::SideBySide { picture, .. } => (name(picture), String::new()),
            })
            .collect()
    }
}

fn strings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect()
}

#[test]
fn lists_are_read_however_they_were_typed() {
    let tree = Tree::new(&["rain/1.png", "gt/1.png", "rain/a b.png", "gt/a b.png", "gt/b.png"]);
    let expected = strings(&[("rain/1.png", "gt/1.png"), ("rain/a b.png", "gt/a b.png")]);
    for text in [
        "rain/1.png gt/1.png\nrain/a b.png gt/a b.png\n",
        "\u{feff}/rain/1.png /gt/1.png\r\n\r\n/rain/a b.png /gt/a b.png",
        "  rain/1.png   gt/1.png  \n\n   \nrain/a b.png\tgt/a b.png\t",
        "rain/1.png\tgt/1.png\r\nrain/a b.png \t gt/a b.png\r\n",
    ] {
        let list = tree.text("list.txt", text);
        assert_eq!(tree.names(PairList::from_list_file(&list, tree.0.path())), expected, "{text:?}");
        assert_eq!(tree.names(PairList::detect(&list)), expected, "{text:?}");
    }
    // An absolute path that exists is itself.
    let list = tree.text("list.txt", format!("{} gt/1.png", tree.path("rain/1.png").display()));
    assert_eq!(tree.names(PairList::from_list_file(&list, tree.0.path())), expected[..1]);
}

#[test]
fn lists_with_flaws_say_where() {
    let tree = Tree::new(&["1.png", "2.png", "a b.png", "a", "b.png c.png", "c.png"].map(|name| match name {
        "a" => "a.png",
        name => name,
    }));
    let error = |text: &[u8]| {
        let list = tree.text("list.txt", text);
        PairList::from_list_file(list, tree.0.path()).unwrap_err().to_string()
    };
    assert!(
        error(b"1.png 2.png\n\n1.png\n").contains("list.txt, line 3: it has one path"),
        "{}",
        error(b"1.png 2.png\n\n1.png\n")
    );
    assert!(error(b"1.png 2.png 3.png x.png").contains("line 1: no way of cutting it"));
    // `a b.png` + `c.png`, and no `a`; then both `1.png` + `b.png c.png` only.
    assert!(error(b"1.png\t2.png\t3.png").contains("more than two fields"));
    assert!(error(b"1.png 2.png\n\xff").contains("line 2: it is not UTF-8"));
    let text = error(b"1.png none.png\n2.png gone.png");
    assert!(text.contains("2 files") && text.contains("none.png") && text.contains("gone.png"), "{text}");
    assert!(error(b"\r\n \n").contains("there are no pairs"));
    assert!(matches!(PairList::from_list_file(tree.path("no.txt"), "."), Err(Error::Io { .. })));
}

#[test]
fn an_ambiguous_cut_is_refused() {
    let tree = Tree::new(&["a.png", "a.png a.png"].map(|name| if name.len() > 5 { "a.png a.png.png" } else { name }));
    let list = tree.text("list.txt", "a.png a.png a.png.png");
    // `a.png` + `a.png a.png.png` is the only cut of which both exist.
    assert_eq!(tree.names(PairList::from_list_file(&list, tree.0.path())), strings(&[("a.png", "a.png a.png.png")]));
    tree.picture("a.png a.png", &RgbImage::new(1, 1).clone());
    tree.picture("a.png.png", &RgbImage::new(1, 1));
    let error = PairList::from_list_file(&list, tree.0.path()).unwrap_err().to_string();
    assert!(error.contains("separate the paths by a tab"), "{error}");
}

#[test]
fn rain_folders_come_in_many_shapes() {
    for (names, expected) in [
        // Rain100L, Rain200H as their authors pack them.
        (
            vec!["rain/X2/norain-10x2.png", "rain/X2/norain-2x2.png", "norain/norain-2.png", "norain/norain-10.png"],
            vec![
                ("rain/X2/norain-2x2.png", "norain/norain-2.png"),
                ("rain/X2/norain-10x2.png", "norain/norain-10.png"),
            ],
        ),
        // As others repack them.
        (vec!["rainy/rain-001.png", "norain-001.png"], vec![("rainy/rain-001.png", "norain-001.png")]),
        (
            vec!["rain-01.png", "norain-1.png", "rain-2.jpg", "norain-2.png"],
            vec![("rain-01.png", "norain-1.png"), ("rain-2.jpg", "norain-2.png")],
        ),
        (vec!["Rain/0.png", "NoRain/00.png"], vec![("Rain/0.png", "NoRain/00.png")]),
        (vec!["input/a.png", "gt/a.png"], vec![("input/a.png", "gt/a.png")]),
        (vec!["rain/norain-3x2.png", "norain/norain-3.png"], vec![("rain/norain-3x2.png", "norain/norain-3.png")]),
        // What a data set of ours holds in each of its sides.
        (vec!["rain/v-7_0_256.png", "norain/v-7_0_256.png"], vec![("rain/v-7_0_256.png", "norain/v-7_0_256.png")]),
        // Numbers too long for any integer, and folders below.
        (
            vec!["rain/s/99999999999999999999999.png", "norain/s/099999999999999999999999.png"],
            vec![("rain/s/99999999999999999999999.png", "norain/s/099999999999999999999999.png")],
        ),
    ] {
        let tree = Tree::new(&names);
        assert_eq!(tree.names(PairList::from_rain_folder(tree.0.path())), strings(&expected));
        assert_eq!(tree.names(PairList::detect(tree.0.path())), strings(&expected));
    }
}

#[test]
fn rain_folders_with_flaws_are_refused() {
    for (names, words) in [
        (
            vec!["rain/1.png", "rain/2.png", "norain/1.png", "norain/3.png"],
            vec!["no partner for the rainy 2.png", "no partner for the clean 3.png"],
        ),
        (
            vec!["rain/1.png", "rain/norain-1x2.png", "norain/1.png"],
            vec!["ambiguous: the clean 1.png", "norain-1x2.png"],
        ),
        (vec!["rain/1.png", "rainy/1.png", "norain/1.png"], vec!["several of its folders"]),
        (vec!["norain/1.png"], vec!["none of rainy ones"]),
        (vec!["photo.png"], vec!["neither folders"]),
        (vec!["rain/1.png"], vec!["no partner for the rainy 1.png"]),
    ] {
        let tree = Tree::new(&names);
        let text = PairList::from_rain_folder(tree.0.path()).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let tree = Tree::new(&[]);
    fs::create_dir_all(tree.path("rain")).unwrap();
    fs::create_dir_all(tree.path("norain")).unwrap();
    assert!(matches!(PairList::from_rain_folder(tree.0.path()), Err(Error::Dataset(DatasetError::NoPairs { .. }))));
    assert!(matches!(PairList::detect(tree.path("nowhere")), Err(Error::Io { .. })));
}

#[test]
fn parallel_folders_pair_by_path_or_number() {
    let tree = Tree::new(&["x/s/1.png", "y/s/1.jpg", "x/rain-07.png", "y/c7.bmp"]);
    assert_eq!(
        tree.names(PairList::from_parallel_folders(tree.path("x"), tree.path("y"))),
        strings(&[("x/rain-07.png", "y/c7.bmp"), ("x/s/1.png", "y/s/1.jpg")])
    );
    tree.picture("x/lone.png", &RgbImage::new(1, 1));
    let error = PairList::from_parallel_folders(tree.path("x"), tree.path("y")).unwrap_err().to_string();
    assert!(error.contains("no partner for the rainy lone.png"), "{error}");
    assert!(PairList::detect(tree.0.path()).unwrap_err().to_string().contains("name the two folders"));
}

#[test]
fn halves_are_cut_in_the_middle() {
    let tree = Tree::new(&[]);
    let both = RgbImage::from_fn(6, 2, |x, y| Rgb([x as u8, y as u8, 0]));
    tree.picture("2.png", &both);
    tree.picture("10.png", &RgbImage::new(3, 2));
    let list = PairList::from_side_by_side(tree.0.path(), Half::Right).unwrap();
    assert_eq!(tree.names(Ok(list.clone())), strings(&[("2.png", ""), ("10.png", "")]));
    let (rainy, clean) = list.pairs()[0].load(&LoadOptions::default()).unwrap();
    assert_eq!((rainy.dimensions(), clean.dimensions()), ((3, 2), (3, 2)));
    assert_eq!((rainy.get_pixel(0, 1).0, clean.get_pixel(2, 1).0), ([3, 1, 0], [2, 1, 0]));
    let left = Pair::SideBySide { picture: tree.path("2.png"), rainy: Half::Left };
    assert_eq!(left.load(&LoadOptions::default()).unwrap(), (clean, rainy));
    let error = list.pairs()[1].load(&LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("10.png is 3 pixels wide"), "{error}");
}

#[test]
fn pictures_of_a_pair_have_one_size() {
    let tree = Tree::new(&["r.png"]);
    tree.picture("c.png", &RgbImage::new(2, 4));
    let pair = Pair::Files { rainy: tree.path("r.png"), clean: tree.path("c.png") };
    let error = pair.load(&LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("r.png") && error.contains("the rainy picture is 4x2, the clean one 2x4"), "{error}");
}
