"""Show one panel of one figure of each example in the gallery, not a whole figure made small."""

from pathlib import Path
from textwrap import indent

from PIL import Image
from sphinx_gallery.scrapers import matplotlib_scraper
from sphinx_gallery.utils import scale_image

# The number of the figure and that of the panel, where they are not the first.
CHOSEN = {
    "displays": (2, 0),
    "longitudinal": (3, 0),
    "new_groups": (2, 2),
    "psycholinguistic_experiment": (2, 0),
    "regions": (1, 1),
    "two_questions": (1, 1),
    "trial_with_dropout": (1, 1),
}


def panel_file(folder: Path, name: str) -> Path:
    return folder / "panels" / f"{name}.png"


def save_panel(figure, panel: int, file: Path) -> None:
    figure.canvas.draw()
    box = figure.axes[panel].get_tightbbox(figure.canvas.get_renderer())
    inches = box.transformed(figure.dpi_scale_trans.inverted()).padded(0.06)
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, bbox_inches=inches, dpi=200)


def scraper(block, block_vars, gallery_conf, **kwargs) -> str:
    """Save the figures as matplotlib's scraper does, and the panel of the thumbnail beside them."""
    import matplotlib.pyplot as plt

    name = Path(block_vars["src_file"]).stem
    wanted, panel = CHOSEN.get(name, (1, 0))
    images = block_vars["image_path_iterator"]
    place = wanted - len(images) - 1
    numbers = plt.get_fignums()
    if 0 <= place < len(numbers):
        folder = Path(images.image_path.format(0)).parent
        save_panel(plt.figure(numbers[place]), panel, panel_file(folder, name))
    text = matplotlib_scraper(block, block_vars, gallery_conf, **kwargs)
    # A container, in which wide pictures scroll on a phone.
    return f"\n.. container:: wide-picture\n\n{indent(text, '   ')}\n" if text.strip() else text


def put_in_place(app) -> None:
    folder = Path(app.srcdir) / "gallery" / "images"
    # The quickstart draws nothing. The left panel of the guide's picture stands for it.
    panel_file(folder, "quickstart").parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(Path(app.srcdir) / "_pictures" / "quickstart.png").convert("RGB")
    picture.crop((0, 0, 712, picture.height)).save(panel_file(folder, "quickstart"))
    for panel in (folder / "panels").glob("*.png"):
        scale_image(panel, folder / "thumb" / f"sphx_glr_{panel.stem}_thumb.png", 400, 280)


def setup(app) -> dict[str, bool]:
    app.connect("builder-inited", put_in_place, priority=900)  # after the gallery is made
    return {"parallel_read_safe": True, "parallel_write_safe": True}
