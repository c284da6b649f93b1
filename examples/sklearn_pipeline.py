"""A network as one step of a scikit-learn pipeline, whose parameters are searched together with those of the other steps.

The images of digits are projected onto their principal components, scaled, and classified by a small network. A grid search
with cross-validation chooses the number of components, the width of the network and the learning rate. The best pipeline is
then judged on images that the search has not seen.

Needs scikit-learn: pip install 'tinygrad_cnn[sklearn]'.
Run:  python examples/sklearn_pipeline.py
"""

import argparse
import sys

try:
    from sklearn.decomposition import PCA
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
except ModuleNotFoundError:
    sys.exit("sklearn_pipeline.py: scikit-learn is not installed; pip install 'tinygrad_cnn[sklearn]'")

import tinygrad_cnn as tg
from tinygrad_cnn import nn

TEST = 0.2  # share of the images
FOLDS = 3
EPOCHS, QUICK_EPOCHS = 20, 10
COMPONENTS, WIDTHS, RATES = [8, 24, 40], [8, 32, 128], [0.001, 0.01]


def network(features, classes, width):
    """Scores (n, classes) for (n, features)."""
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, classes))


def search(epochs, components, widths, rates):
    """Return the search over all combinations, not yet fitted."""
    classifier = tg.sklearn.Classifier(network, epochs=epochs, random_state=0, compile=False)
    pipeline = Pipeline([("project", PCA(random_state=0)), ("scale", StandardScaler()), ("classify", classifier)])
    grid = {
        "project__n_components": components,
        "classify__module__width": widths,
        "classify__lr": rates,
    }
    return GridSearchCV(pipeline, grid, cv=FOLDS)


def main(argv=None):
    """Search, and print the accuracy of the best pipeline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four combinations and few epochs, to try it out")
    quick = parser.parse_args(argv).quick
    images, digits = tg.data.digits()
    x_train, x_test, y_train, y_test = train_test_split(
        images.reshape(-1, 64), digits, test_size=TEST, stratify=digits, random_state=0
    )
    if quick:
        found = search(QUICK_EPOCHS, COMPONENTS[:2], WIDTHS[1:2], RATES)
    else:
        found = search(EPOCHS, COMPONENTS, WIDTHS, RATES)
    found.fit(x_train, y_train)
    best = found.best_params_
    print(
        f"best of {len(found.cv_results_['params'])}: {best['project__n_components']} components, "
        f"width {best['classify__module__width']}, learning rate {best['classify__lr']}"
    )
    print(f"{100 * found.score(x_test, y_test):.1f}% of {len(y_test)} images that the search has not seen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
