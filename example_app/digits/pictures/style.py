"""What the pictures have in common."""

from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#22262b"
FAINT = "#8a929b"

#: One colour per digit; neighbours in the embedding are told apart by the numeral beside them, too.
COLOURS = (
    "#4269d0",
    "#efb118",
    "#ff725c",
    "#3ca951",
    "#a463f2",
    "#6cc5b0",
    "#9c6b4e",
    "#e05297",
    "#6b7683",
    "#1b9ed1",
)


def new_figure(width: float, height: float) -> Figure:
    """A blank figure of that many inches, drawn without a display and without matplotlib's global state."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG of 150 pixels per inch; equal figures give equal bytes."""
    buffer = BytesIO()
    figure.savefig(
        buffer, format="png", dpi=150, bbox_inches="tight", pad_inches=0.25, metadata={"Software": None}
    )
    return buffer.getvalue()
