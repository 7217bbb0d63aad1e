"""The colours of a report by name, and its style sheet: light and dark, screen and paper."""

from __future__ import annotations

from typing import Final

from kencore.words.palette import DARK, LIGHT, Palette

FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
RULES: Final = """\
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--background);color:var(--text);
  font:16px/1.55 FONT}
header,main,nav,footer{max-width:52rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.3rem;margin:2.75rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--border)}
h3{font-size:1.02rem;line-height:1.4;margin:0 0 .6rem}
p{margin:.6rem 0}
a{color:var(--primary);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible,.wide:focus-visible{outline:3px solid var(--primary);
  outline-offset:2px}
.quiet,.made,figcaption p,footer{color:var(--muted);font-size:.9rem}
.verdict{border-left:.4rem solid var(--level);background:var(--surface);border-radius:.25rem;
  padding:.7rem .9rem;font-weight:600}
.safe{--level:#2E9E5B}.unclear{--level:#4C7FD0}.damaged{--level:#C98100}.ruined{--level:#D13B3B}
nav ul{display:flex;flex-wrap:wrap;gap:.35rem 1.1rem;list-style:none;margin:1.25rem 0 0;padding:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.2rem,1fr));gap:.75rem;
  margin:.75rem 0 1rem}
.cards div{border:1px solid var(--border);border-radius:.5rem;padding:.7rem .85rem;
  background:var(--surface)}
.cards dt{font-size:.85rem;color:var(--muted)}
.cards dd{margin:0}
.cards .value{font-size:1.22rem;font-weight:600;font-variant-numeric:tabular-nums}
.cards .beside{font-size:.85rem}
figure{margin:1.5rem 0 2rem;break-inside:avoid}
.wide{overflow-x:auto}
.wide svg{display:block;width:100%;height:auto;min-width:34rem}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.4rem 0}
.table{margin:1rem 0 1.25rem}
th,td{text-align:left;overflow-wrap:break-word;vertical-align:top;padding:.34rem .8rem .34rem 0;
  border-bottom:1px solid var(--border)}
thead th{color:var(--muted);font-weight:600;border-bottom-color:var(--reset-mark)}
tbody th{font-weight:400}
td.long{min-width:11rem}
td.number{white-space:nowrap}
.grid{display:grid;grid-template-columns:
  repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:0 2rem}
.grid .table{margin-bottom:.25rem}
pre{background:var(--surface);border:1px solid var(--border);border-radius:.4rem;
  padding:.75rem .9rem;font:.85rem/1.5 ui-monospace,"DejaVu Sans Mono",Consolas,monospace;
  white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0 1rem}
details{margin:.5rem 0 1rem}
summary{cursor:pointer;font-size:.9rem}
footer{padding-top:2rem;padding-bottom:3rem}
.live{max-width:none}
.live:not(:has(canvas))::after{content:"This picture is drawn by a script, which this viewer does not run.";
  color:var(--muted)}
@media print{.live{display:none}body{font-size:10.5pt}header{padding-top:0}nav{display:none}
  header,main,footer{max-width:none;padding-left:0;padding-right:0}
  h2,h3,caption{break-after:avoid}tr,pre,.cards div{break-inside:avoid}
  .wide{overflow:visible}.wide svg{min-width:0}a{color:inherit}
  *{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def css() -> str:
    """The whole style sheet. Dark only on a screen: paper is white."""
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_names(DARK)}}}}}"
    return f":root{{color-scheme:light dark;{_names(LIGHT)}}}\n{dark}\n{RULES.replace('FONT', FONT)}"


def _names(palette: Palette) -> str:
    return ";".join(f"--{name}:{color}" for name, color in colors(palette).items())


def colors(palette: Palette) -> dict[str, str]:
    """Every colour that has a name, in one theme: ``s0`` to ``s9`` are the sequential map, ``on0``
    to ``on9`` the letters that can be read on it.
    """
    fields = ("background", "surface", "text", "muted", "border", "primary", "reset_mark")
    found = {field.replace("_", "-"): str(getattr(palette, field)) for field in fields}
    for i, color in enumerate(palette.sequential):
        found |= {f"s{i}": color, f"on{i}": _letters(i, color)}
    return found | {"reset": palette.reset, "kept": palette.kept}


def shade(share: float) -> int:
    """Which of the ten colours of the sequential map a share has."""
    return min(9, max(0, int(share * 10)))


def _letters(i: int, color: str) -> str:
    """Black or white, whichever stands out more: one of them always has a contrast of 4.5. Each a
    trifle its own, so that what is drawn in one theme finds its name.
    """
    dark = contrast("#000000", color) >= contrast("#FFFFFF", color)
    return f"#00000{i + 1:X}" if dark else f"#FFFFF{i}"


def contrast(first: str, second: str) -> float:
    """The contrast of two colours after WCAG 2, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
