"""A check of the pictures that the examples draw: nothing is cut by their edges."""

from __future__ import annotations


def check_saved_pictures(monkeypatch):
    """From here on, saving a matplotlib figure fails where a label, or anything else in it, goes over its edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    save = Figure.savefig

    def checked(figure, *arguments, **options):
        save(figure, *arguments, **options)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn = figure.get_tightbbox(canvas.get_renderer())  # in inches
        width, height = figure.get_size_inches()
        assert 0 <= drawn.x0 < drawn.x1 <= width, drawn
        assert 0 <= drawn.y0 < drawn.y1 <= height, drawn

    monkeypatch.setattr(Figure, "savefig", checked)
