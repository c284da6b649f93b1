"""Phase retrieval: a complex image from the brightness of its spectra, as X-ray and electron cameras measure it.

A camera records |F z|^2, the intensity of a Fourier transform, and loses its phase, which holds most of the image. So the
object is lit through several known random masks: with the amplitudes a_k = |F (m_k z)| of K of them, z is found by descent on
the sum of (|F (m_k z)| - a_k)^2, from random numbers, up to one factor of modulus 1 that no measurement shows. The image is one
parameter of complex numbers: its modulus is how much light passes, here digits, and its phase how much the light is delayed.

Source: E. Candes, X. Li, M. Soltanolkotabi, "Phase retrieval via Wirtinger flow: theory and algorithms", 2015.
Run:  python examples/phase_retrieval.py --plot phase_retrieval.png
"""

import argparse
import importlib.util
import sys

import numpy as np

import tinygrad_cnn as tg

SIDE = 64  # pixels of the image
MASKS = 10
NOISE = 0.02  # of an amplitude, relative to their root mean square
STEPS, QUICK_STEPS = 240, 120
LR = 0.4  # 0.5 would be a step to the least loss with the present phases


def true_image():
    """The complex image (SIDE, SIDE): a mosaic of digits as modulus, and a lens with a vortex as phase."""
    count = SIDE // 16
    digits = tg.data.digits()[0][: count * count].reshape(count, count, 8, 8) / 16
    mosaic = digits.transpose(0, 2, 1, 3).reshape(SIDE // 2, SIDE // 2)
    modulus = 0.2 + 0.8 * mosaic.repeat(2, axis=0).repeat(2, axis=1)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    phase = 2 * np.exp(-3 * (x * x + y * y)) + np.arctan2(y, x)
    return (modulus * np.exp(1j * phase)).astype(np.complex64)


def amplitudes(z, masks):
    """|F (m_k z)| for each of the masks (K, SIDE, SIDE)."""
    return tg.abs(tg.fft.fft2(masks * z, norm="ortho"))


def measure(z, rng):
    """The masks, random phases, and what the camera sees through each, with noise."""
    masks = np.exp(2j * np.pi * rng.random((MASKS, *z.shape))).astype(np.complex64)
    seen = amplitudes(z, masks)
    noise = NOISE * np.sqrt(np.mean(seen**2)) * rng.standard_normal(seen.shape)
    return masks, np.maximum(seen + noise, 0).astype(np.float32)


def aligned(z, true):
    """The image, multiplied by the factor of modulus 1 that brings it nearest to the true one."""
    product = np.vdot(z, true)
    return z * product / np.abs(product)


def error(z, true):
    """The relative error, after that."""
    return np.linalg.norm(aligned(z, true) - true) / np.linalg.norm(true)


def retrieve(masks, seen, steps, true):
    """The image that fits what was seen, the first guess, and the loss and the error of each step."""
    rng = np.random.default_rng(1)
    first = 0.5 * (rng.standard_normal(seen.shape[1:]) + 1j * rng.standard_normal(seen.shape[1:]))
    z = tg.Tensor(first.astype(np.complex64), requires_grad=True)
    optimizer = tg.optim.SGD([z], lr=LR * z.size, momentum=0.9, nesterov=True)  # the loss is a mean

    @tg.compile
    def step():
        optimizer.zero_grad()
        loss = tg.mse(amplitudes(z, masks), seen)
        loss.backward()
        optimizer.step()
        return loss

    course = [(step().item(), error(z.numpy(), true)) for _ in range(steps)]
    return z.numpy(), first, np.array(course)


def draw(path, true, first, found, course):
    """Draw modulus and phase of the true image, the first guess and the one that was found, and the course of the descent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.5, 1])
    images = {"true": true, "first guess": aligned(first, true), "found": aligned(found, true)}
    axes = left.subplots(2, 3)
    for column, (title, z) in zip(axes.T, images.items(), strict=True):
        column[0].set_title(title)
        column[0].imshow(np.abs(z), cmap="magma", vmin=0, vmax=1)
        shown = column[1].imshow(np.angle(z), cmap="twilight", vmin=-np.pi, vmax=np.pi)
        for ax in column:
            ax.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("modulus")
    axes[1, 0].set_ylabel("phase")
    bar = left.colorbar(shown, ax=axes[1], ticks=[-np.pi, 0, np.pi])
    bar.ax.set_yticklabels(["-pi", "0", "pi"])
    ax = right.subplots()
    for values, label, colour in zip(course.T, ("loss", "error of the image"), ("#0072b2", "#d55e00"), strict=True):
        ax.semilogy(values, color=colour, label=label)
    ax.set_xlabel("step")
    ax.legend()
    figure.savefig(path, dpi=120)


def main(argv=None):
    """Measure, retrieve, and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plot", metavar="FILE.png", help="draw modulus and phase, and the course of the descent")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps, not {STEPS}, to try it out")
    given = parser.parse_args(argv)
    if given.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'")
    true = true_image()
    masks, seen = measure(true, np.random.default_rng(0))
    found, first, course = retrieve(masks, seen, QUICK_STEPS if given.quick else STEPS, true)
    print(f"{seen.size:,} amplitudes through {MASKS} masks, of an image of {true.size:,} complex numbers")
    print(
        f"relative error of the image: {error(first, true):.1%} at first, {error(found, true):.1%} after {len(course)} steps"
    )
    print(f"root mean square of what is left of the amplitudes: {np.sqrt(course[-1, 0]):.4f}")
    if given.plot:
        draw(given.plot, true, first, found, course)
        print(f"drawn: {given.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
