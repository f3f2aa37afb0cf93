"""Write docs/rules.md: every rule, the scripts and releases it holds for, and how it was proved.

python -m tools.make_rules
"""

from __future__ import annotations

from pathlib import Path

from kohya_presets.sdscripts.scripts import KNOWN, LORA
from kohya_presets.validate import rules
from kohya_presets.validate.rules.rule import EVERY, NEVER, SDXL, Rule
from tests.kohya_presets.validate.rules import proofs
from tools import by_severity

PAGE = Path(__file__).parents[1] / "docs" / "rules.md"
LORAS = tuple(name for name, kind in KNOWN.items() if kind.makes == LORA)
NAMES = {EVERY: "all", SDXL: "SDXL", LORAS: "LoRA"}
HEAD = f"""# Rules

Made by `tools/make_rules.py` from the rules themselves. What `validate` says of one setting alone
(an unknown option, a wrong type) is no rule, and is not here.

- **Scripts**: "all" are the {len(EVERY)} training scripts that kohya-presets knows;
  "SDXL" are those whose names begin with `sdxl_`.
- **Stops**: when sd-scripts itself stops. "never": it trains, but not as the setting says.
- **Proof**: "run" means that `make upstream` runs the real script of that release, which stops
  with the words that the test names, or ends and makes nothing, or something else. "read" is what
  was read in the source that the last column names, with the reason why it was not run. Warnings,
  advice and notes were read. Every rule has a case that it finds and one that it does not.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


def page() -> str:
    """Return the page's text."""
    columns = ("rule", "scripts", "releases", "stops", "proof", "source")
    return by_severity.page(HEAD, columns, rules.RULES, _cells)


def _cells(rule: Rule) -> tuple[str, ...]:
    scripts = NAMES.get(rule.scripts) or ", ".join(f"`{name}`" for name in rule.scripts)
    proof = proofs.of(rule.code) if rule.severity == "error" else "read"
    return rule.says, scripts, rule.releases, rule.fails or NEVER, proof, rule.citation


if __name__ == "__main__":
    main()
