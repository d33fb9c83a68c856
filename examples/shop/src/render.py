"""Write `shop.py` into the ConfigMap manifest that pods get it from: `python examples/shop/src/render.py`."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).with_name("shop.py")
MANIFEST = SOURCE.parent.parent / "00-code.yaml"

HEAD = """\
# Written by src/render.py from src/shop.py: change it there.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop-code
  namespace: shop
  labels:
    app.kubernetes.io/part-of: shop
data:
  shop.py: |
"""


def render(code: str) -> str:
    """Return the manifest that carries `code` as a literal block."""
    return HEAD + "".join(f"    {line}\n" if line else "\n" for line in code.splitlines())


if __name__ == "__main__":
    MANIFEST.write_text(render(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
