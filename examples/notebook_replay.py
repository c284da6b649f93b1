"""The notebook "Convolutional Neural Networks from scratch", replayed with Tensors and checked against plain loops.

The notebook computes y = W_10 (W_1024 relu(conv(images, W) + b) + b_1024) + b_10 for two images, and the gradients by hand,
in five steps. Here the forward pass is written once, with Tensors, and a single `loss.backward()` computes every gradient.
The program prints:

1. the numbers in the notebook, which come from a loop that fills only a 3x3 corner of the 16x16 feature map, and the numbers
   of the intended network;
2. the gradients of the intended network, compared with the same mathematics written out in loops.

`docs/notebook.md` goes through the steps one by one. Run: python examples/notebook_replay.py
"""

import sys

import numpy as np

import tinygrad_cnn as tg

STRIDE, PAD = 2, 1
TOLERANCE = 1e-10

# Expected results of the forward pass: label, filled corner (None for the whole map), y, MSE.
EXPECTED = [
    ("as printed", 3, [[-12.89682204, 13.37765949]], 220.13788448),
    ("as meant", None, [[-129.71310181, -63.23262069]], 11295.92702353),
]

# The notebook's name for the gradient of each array, in the order of the network.
GRADIENTS = {
    "images": "d_images", "W": "dW", "b": "db", "w1024": "d_w1024", "b1024": "d_b1024", "w10": "d_w10", "b10": "d_b10",
}  # fmt: skip


def draw():
    """Draw the notebook's arrays, by name, and its targets, with its seeds, shapes and order of draws."""
    rng = np.random.RandomState(1)
    W = rng.randn(3, 3, 4)  # (kernel, kernel, filter)
    b = rng.randn(1, 1, 4)
    w1024, b1024 = rng.randn(10, 1024), np.zeros((10, 1))
    w10, b10 = rng.randn(1, 10), np.zeros((1, 1))
    rng = np.random.RandomState(1)  # the notebook sets the same seed again, so the images repeat the weights' numbers
    images = rng.randn(2, 32, 32)
    targets = rng.rand(2) * 10
    return {"images": images, "W": W, "b": b, "w1024": w1024, "b1024": b1024, "w10": w10, "b10": b10}, targets


def network(images, W, b, w1024, b1024, w10, b10, corner=None):
    """Compute y (1, m) from Tensors of the notebook's shapes. With `corner`, the feature map is zero outside that corner."""
    m = len(images)
    x = images.expand_dims(1)  # (m, 1, 32, 32): the library's layout is (image, channel, row, column)
    filters = W.transpose(2, 0, 1).expand_dims(1)  # (4, 1, 3, 3): (filter, channel, row, column)
    Z = tg.conv2d(x, filters, b.reshape(-1), stride=STRIDE, padding=PAD)  # (m, 4, 16, 16)
    if corner is not None:
        rows, columns = Z.shape[2] - corner, Z.shape[3] - corner
        Z = tg.pad(Z[:, :, :corner, :corner], ((0, 0), (0, 0), (0, rows), (0, columns)))
    A = Z.relu().transpose(0, 2, 3, 1)  # (m, 16, 16, 4): the notebook flattens with the filters last
    fc_1024 = A.reshape(m, -1)
    fc_10 = w1024 @ fc_1024.T + b1024  # (10, m): one column for each image
    return w10 @ fc_10 + b10


def by_hand(images, W, b, w1024, b1024, w10, b10, targets):
    """Compute the seven gradients of the mean squared error with plain loops, independently of the library."""
    m, kernel, units = len(images), len(W), len(w1024)
    map_shape = [(size + 2 * PAD - kernel) // STRIDE + 1 for size in images.shape[1:]]
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD)))

    def window(array, i, h, w):
        """The patch of image i under the filter at (h, w): a view, so adding to it adds to the array."""
        return array[i, STRIDE * h : STRIDE * h + kernel, STRIDE * w : STRIDE * w + kernel]

    # Forward
    Z = np.zeros((m, *map_shape, W.shape[2]))
    places = list(np.ndindex(Z.shape))
    for i, h, w, c in places:
        Z[i, h, w, c] = (window(padded, i, h, w) * W[:, :, c]).sum() + b[0, 0, c]
    fc_1024 = np.maximum(Z, 0).reshape(m, -1)
    fc_10, y = np.zeros((units, m)), np.zeros((1, m))
    for i in range(m):
        for j in range(units):
            fc_10[j, i] = (w1024[j] * fc_1024[i]).sum() + b1024[j, 0]
        y[0, i] = (w10[0] * fc_10[:, i]).sum() + b10[0, 0]

    # Step 1: the mean divides by m here, and so no later step does
    d_Y = 2 * (y - targets) / m

    # Step 2: y = w10 fc_10 + b10
    d_w10, d_b10, d_fc10 = np.zeros_like(w10), np.zeros_like(b10), np.zeros_like(fc_10)
    for i in range(m):
        for j in range(units):
            d_w10[0, j] += d_Y[0, i] * fc_10[j, i]
            d_fc10[j, i] = d_Y[0, i] * w10[0, j]
        d_b10[0, 0] += d_Y[0, i]

    # Step 3: fc_10 = w1024 fc_1024^T + b1024
    d_w1024, d_b1024, d_fc1024 = np.zeros_like(w1024), np.zeros_like(b1024), np.zeros_like(fc_1024)
    for i in range(m):
        for j in range(units):
            d_w1024[j] += d_fc10[j, i] * fc_1024[i]
            d_fc1024[i] += d_fc10[j, i] * w1024[j]
            d_b1024[j, 0] += d_fc10[j, i]

    # Step 4: the relu passes the gradient where Z is positive
    dZ = d_fc1024.reshape(Z.shape)
    for place in places:
        if Z[place] <= 0:
            dZ[place] = 0

    # Step 5: each output sends its gradient to its patch and its filter
    d_padded, dW, db = np.zeros_like(padded), np.zeros_like(W), np.zeros_like(b)
    for i, h, w, c in places:
        patch = window(d_padded, i, h, w)
        patch += W[:, :, c] * dZ[i, h, w, c]
        dW[:, :, c] += window(padded, i, h, w) * dZ[i, h, w, c]
        db[0, 0, c] += dZ[i, h, w, c]
    d_images = d_padded[:, PAD:-PAD, PAD:-PAD]

    return {"images": d_images, "W": dW, "b": db, "w1024": d_w1024, "b1024": d_b1024, "w10": d_w10, "b10": d_b10}


def largest_relative_difference(a, b):
    """The largest |a - b| / |b| over the elements, with 0 / 0 = 0."""
    difference = np.abs(a - b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(difference == 0, 0, difference / np.abs(b))))


def verdict(agrees):
    return "agrees" if agrees else "DIFFERS"


def main():
    """Print both tables; return how many of their rows differ."""
    arrays, targets = draw()
    leaves = {name: tg.Tensor(array, requires_grad=True) for name, array in arrays.items()}
    differing = 0

    print("Forward pass          y[0]           y[1]              MSE")
    for label, corner, expected_y, expected_mse in EXPECTED:
        y = network(**leaves, corner=corner)
        loss = tg.mse(y, tg.Tensor(targets))
        # The notebook prints eight decimals, so the last one is off by up to half a unit; the rest is for rounding.
        agrees = np.allclose(
            [*y.numpy().ravel(), loss.item()], [*np.ravel(expected_y), expected_mse], rtol=0, atol=6e-9
        )
        differing += not agrees
        print(f"{label:<11} {y[0, 0]:>14.8f} {y[0, 1]:>14.8f} {loss:>16.8f}   {verdict(agrees)}")

    loss.backward()  # of the last loss, which is that of the intended network
    gradients = by_hand(**arrays, targets=targets)

    print("\nGradient    shape          largest element   largest relative difference from the loops")
    for name, leaf in leaves.items():
        g = leaf.grad.numpy()
        difference = largest_relative_difference(g, gradients[name])
        agrees = difference < TOLERANCE
        differing += not agrees
        print(f"{GRADIENTS[name]:<11} {g.shape!s:<14} {np.abs(g).max():>15.6g}   {difference:.1e}   {verdict(agrees)}")

    print("\nEverything agrees." if not differing else f"\nRows that differ: {differing}.")
    return differing


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
