"""Where a point's name goes: beside its mark, on a side where it covers nothing."""

from __future__ import annotations

from collections.abc import Sequence

Spot = tuple[float, float]
Box = tuple[float, float, float, float]
SIDES = ("right", "left", "above", "below", "above right", "above left", "below right", "below left")


def label_sides(
    spots: Sequence[Spot], sizes: Sequence[float], *, area: Box, height: float = 16, rays: bool = False
) -> list[str | None]:
    """Return a side for each point's label, in order; None where every side is taken or outside.

    ``rays`` tries first the side that continues an arrow from the middle of the area.

    Units: pixels, y downwards; ``sizes`` are the labels' lengths.
    """
    # Marks first: a label may cover neither its own nor another's.
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    middle = ((area[0] + area[2]) / 2, (area[1] + area[3]) / 2)
    found: list[str | None] = []
    for spot, size in zip(spots, sizes, strict=True):
        order = _outward(spot, middle) if rays else SIDES
        boxes = {side: label_box(spot, size, side, height=height) for side in order}
        side = next((side for side, box in boxes.items() if _free(box, area, taken)), None)
        taken.extend([boxes[side]] if side else [])
        found.append(side)
    return found


def _outward(spot: Spot, middle: Spot) -> tuple[str, ...]:
    across, down = spot[0] - middle[0], spot[1] - middle[1]
    sides = ("right" if across >= 0 else "left", "below" if down >= 0 else "above")
    first = sides if abs(across) > abs(down) else sides[::-1]
    return (*first, *(side for side in SIDES if side not in first))


def label_box(spot: Spot, size: float, side: str, *, height: float = 16) -> Box:
    """Return the rectangle that a label takes on one side of its point."""
    x, y = spot
    beyond = 9 if side in ("right", "left") else 2  # at the height of its mark a label keeps clear of it
    left = x - size / 2
    if side.endswith("right"):
        left = x + beyond
    elif side.endswith("left"):
        left = x - beyond - size
    center = y
    if side.startswith("above"):
        center = y - 16
    elif side.startswith("below"):
        center = y + 16
    return (left, center - height / 2, left + size, center + height / 2)


def _free(box: Box, area: Box, taken: Sequence[Box]) -> bool:
    inside = area[0] <= box[0] and area[1] <= box[1] and box[2] <= area[2] and box[3] <= area[3]
    return inside and not any(a[0] < box[2] and box[0] < a[2] and a[1] < box[3] and box[1] < a[3] for a in taken)
