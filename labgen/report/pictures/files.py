"""Pictures that are files of their own, with the colours inside."""

from labgen import paths
from labgen.report.pictures import topology as drawing
from labgen.report.topology import Topology

STYLES = ("colours.css", "pictures.css")
GROUND = "svg.picture { background: var(--paper); }"


def topology(shown: Topology) -> str:
    """An SVG file."""
    style = "\n".join([*((paths.report_assets() / name).read_text() for name in STYLES), GROUND])
    return drawing.topology(shown, f"The machines of {shown.lab}, and what runs on them", style) + "\n"
