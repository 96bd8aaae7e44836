"""Makes the fonts and the table of widths of the pictures from the fonts of the pages.

    python3 -m venv env && env/bin/pip install fonttools brotli
    env/bin/python src/pictures/fonts/make.py

The licence of the fonts, which holds for these subsets too, is static/fonts/OFL.txt.
"""

from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CHARACTERS = [*range(0x20, 0x7F), *range(0xA0, 0x180), 0x2013, 0x2014, *range(0x2018, 0x201E), 0x2026, 0x2212]

widths = {}
for weight in (500, 600):
    options = subset.Options(layout_features=["kern", "ccmp", "mark"], hinting=False)
    font = TTFont(ROOT / f"static/fonts/barlow-{weight}.woff2")
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    font.flavor = None
    # Both are weights of one family.
    for record in [record for record in font["name"].names if record.nameID in (2, 3, 4)]:
        font["name"].names.remove(record)
    font["name"].setName("Barlow Semi Condensed", 1, 3, 1, 0x409)
    font["head"].modified = font["head"].created
    font.recalcTimestamp = False
    font.save(HERE / f"barlow-{weight}.ttf")
    assert font["head"].unitsPerEm == 1000
    for code, glyph in font.getBestCmap().items():
        widths.setdefault(code, []).append(font["hmtx"][glyph][0])

lines = [
    "//! How wide each character of the fonts is, in thousandths of their size: made by `fonts/make.py`.",
    "",
    "/// A character, its width in medium, and in semi-bold; sorted by the character.",
    "#[rustfmt::skip]",
    f"pub(super) const WIDTHS: [(char, u16, u16); {len(widths)}] = [",
]
row = "   "
for code, (medium, bold) in sorted(widths.items()):
    item = f" ('\\u{{{code:x}}}', {medium}, {bold}),"
    if len(row) + len(item) > 108:
        lines.append(row)
        row = "   "
    row += item
lines += [row, "];", ""]
(HERE.parent / "widths.rs").write_text("\n".join(lines))
