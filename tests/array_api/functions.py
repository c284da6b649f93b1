"""Functions of SciPy and scikit-learn on Tensors: which have right gradients, and which refuse.

``SCIPY_ARRAY_API=1 python -m tests.array_api.functions`` prints the result for each as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np

import tinygrad_cnn as tg

RNG = np.random.default_rng(5)
A, B, C = RNG.uniform(0.5, 2.0, 12), RNG.uniform(0.5, 2.0, 12), RNG.uniform(0.5, 2.0, 9)
M, N = RNG.uniform(0.5, 2.0, (6, 3)), RNG.uniform(0.5, 2.0, (6, 3))
P = A / A.sum()
Q = RNG.normal(size=(4, 4))
LABELS = np.array([0, 1, 0, 1, 1, 0])
T = np.linspace(0.0, 1.0, 12)

METRICS = """
    mean_squared_error root_mean_squared_error mean_absolute_error r2_score explained_variance_score max_error
    mean_squared_log_error root_mean_squared_log_error mean_absolute_percentage_error mean_poisson_deviance
    mean_gamma_deviance mean_tweedie_deviance mean_pinball_loss d2_tweedie_score d2_absolute_error_score
    median_absolute_error
"""
PAIRWISE = """
    euclidean_distances cosine_similarity cosine_distances linear_kernel polynomial_kernel rbf_kernel sigmoid_kernel
    laplacian_kernel additive_chi2_kernel chi2_kernel manhattan_distances paired_cosine_distances paired_euclidean_distances
    paired_manhattan_distances
"""
SCALERS = """
    MinMaxScaler MaxAbsScaler StandardScaler RobustScaler Normalizer PolynomialFeatures KernelCenterer PowerTransformer
    QuantileTransformer
"""
FUNCTIONS = """
    normalize scale minmax_scale maxabs_scale
"""


def scipy_functions():
    """The functions by name: what is called, and its arguments."""
    from scipy import cluster, constants, differentiate, integrate, ndimage, optimize, signal, special, stats
    from scipy.optimize import elementwise
    from scipy.spatial.transform import Rotation

    cases = {}

    def add(part, **functions):
        for name, (call, *arguments) in functions.items():
            cases[f"{part}.{name}"] = call, arguments

    add(
        "scipy.special",
        logsumexp=(lambda x: special.logsumexp(x), A),
        softmax=(lambda x: special.softmax(x), A),
        log_softmax=(lambda x: special.log_softmax(x), A),
        **{
            name: (lambda *x, name=name: getattr(special, name)(*x), *arguments)
            for name, arguments in {
                "erf": [A],
                "erfc": [A],
                "expit": [A],
                "logit": [P],
                "gammaln": [A],
                "digamma": [A],
                "entr": [P],
                "xlogy": [A, B],
                "rel_entr": [A, B],
                "gammainc": [A, B],
                "gammaincc": [A, B],
                "betaln": [A, B],
                "betainc": [A, B, P],
                "log_ndtr": [A],
                "ndtr": [A],
                "ndtri": [P],
                "i0": [A],
                "i1": [A],
                "j0": [A],
                "sinc": [A],
                "stdtr": [A, B],
                "chdtr": [A, B],
                "xlog1py": [A, B],
                "zeta": [A + 2],
            }.items()
        },
        polygamma=(lambda x: special.polygamma(1, x), A),
        multigammaln=(lambda x: special.multigammaln(x[:3] + 1, 2), A),
    )
    add(
        "scipy.stats",
        skew=(lambda x: stats.skew(x), A),
        kurtosis=(lambda x: stats.kurtosis(x), A),
        variation=(lambda x: stats.variation(x), A),
        moment=(lambda x: stats.moment(x, 3), A),
        zscore=(lambda x: stats.zscore(x), A),
        zmap=(lambda x, y: stats.zmap(x, y), A, B),
        gzscore=(lambda x: stats.gzscore(x), A),
        gmean=(lambda x: stats.gmean(x), A),
        hmean=(lambda x: stats.hmean(x), A),
        pmean=(lambda x: stats.pmean(x, 3), A),
        gstd=(lambda x: stats.gstd(x), A),
        sem=(lambda x: stats.sem(x), A),
        tmean=(lambda x: stats.tmean(x), A),
        tvar=(lambda x: stats.tvar(x), A),
        tstd=(lambda x: stats.tstd(x), A),
        tsem=(lambda x: stats.tsem(x), A),
        tmin=(lambda x: stats.tmin(x), A),
        tmax=(lambda x: stats.tmax(x), A),
        trim_mean=(lambda x: stats.trim_mean(x, 0.1), A),
        kstat=(lambda x: stats.kstat(x, 3), A),
        kstatvar=(lambda x: stats.kstatvar(x), A),
        lmoment=(lambda x: stats.lmoment(x), A),
        circmean=(lambda x: stats.circmean(x), A),
        circvar=(lambda x: stats.circvar(x), A),
        circstd=(lambda x: stats.circstd(x), A),
        describe=(lambda x: stats.describe(x).variance, A),
        entropy=(lambda x: stats.entropy(x), A),
        directional_stats=(lambda x: stats.directional_stats(x).mean_direction, M),
        iqr=(lambda x: stats.iqr(x), A),
        quantile=(lambda x: stats.quantile(x, 0.3), A),
        expectile=(lambda x: stats.expectile(x, 0.3), A),
        differential_entropy=(lambda x: stats.differential_entropy(x), A),
        pearsonr=(lambda x, y: stats.pearsonr(x, y).statistic, A, B),
        spearmanr=(lambda x, y: stats.spearmanr(x, y).statistic, A, B),
        linregress=(lambda x, y: stats.linregress(x, y).slope, A, B),
        siegelslopes=(lambda x, y: stats.siegelslopes(x, y)[0], A, B),
        ttest_1samp=(lambda x: stats.ttest_1samp(x, 1.0).statistic, A),
        ttest_ind=(lambda x, y: stats.ttest_ind(x, y).statistic, A, B),
        ttest_rel=(lambda x, y: stats.ttest_rel(x, y).statistic, A, B),
        f_oneway=(lambda x, y: stats.f_oneway(x, y).statistic, A, B),
        bartlett=(lambda x, y: stats.bartlett(x, y).statistic, A, B),
        levene=(lambda x, y: stats.levene(x, y).statistic, A, B),
        jarque_bera=(lambda x: stats.jarque_bera(x).statistic, A),
        skewtest=(lambda x: stats.skewtest(x).statistic, A),
        kurtosistest=(lambda x: stats.kurtosistest(np.concatenate([x, x * x])).statistic, A),
        normaltest=(lambda x: stats.normaltest(np.concatenate([x, x * x])).statistic, A),
        power_divergence=(lambda x: stats.power_divergence(x, lambda_=0.5).statistic, A),
        chisquare=(lambda x: stats.chisquare(x).statistic, A),
        combine_pvalues=(lambda x: stats.combine_pvalues(x).statistic, P),
        median_abs_deviation=(lambda x: stats.median_abs_deviation(x), A),
        wasserstein_distance=(lambda x, y: stats.wasserstein_distance(x, y), A, B),
        normal_pdf=(lambda x: stats.norm.pdf(x), A),
        Normal_logpdf=(lambda x: stats.Normal(mu=0.0, sigma=1.0).logpdf(x), A),
    )
    add(
        "scipy.integrate",
        trapezoid=(lambda y, x: integrate.trapezoid(y, x), A, T),
        simpson=(lambda y: integrate.simpson(y, dx=0.1), A),
        cumulative_trapezoid=(lambda y: integrate.cumulative_trapezoid(y, dx=0.1), A),
        cumulative_simpson=(lambda y: integrate.cumulative_simpson(y, dx=0.1), A),
        romb=(lambda y: integrate.romb(y), C),
        tanhsinh=(lambda a, b: integrate.tanhsinh(lambda x: x * x, a - 0.5, b + 1).integral, A[:3], B[:3]),
        cubature=(lambda a: integrate.cubature(lambda x: x[:, 0] ** 2, a, a + 1).estimate, A[:1]),
        fixed_quad=(lambda a: integrate.fixed_quad(lambda x: x**3, a, 3.0)[0], A[0]),
    )
    add(
        "scipy.optimize",
        rosen=(lambda x: optimize.rosen(x), A[:4]),
        rosen_der=(lambda x: optimize.rosen_der(x), A[:4]),
        rosen_hess_prod=(lambda x: optimize.rosen_hess_prod(x, x * x), A[:4]),
    )
    add(
        "scipy.optimize.elementwise",
        find_root=(lambda a: elementwise.find_root(lambda x, a: x**3 - a, (a * 0, a + 1), args=(a,)).x, A[:3]),
        find_minimum=(
            lambda a: elementwise.find_minimum(lambda x, a: (x - a) ** 2, (a - 1, a + 0.1, a + 2), args=(a,)).x,
            A[:3],
        ),
    )
    add(
        "scipy.differentiate",
        derivative=(lambda x: differentiate.derivative(lambda x: x**3, x).df, A[:3]),
        jacobian=(lambda x: differentiate.jacobian(lambda x: x * x, x).df, A[:3]),
        hessian=(lambda x: differentiate.hessian(lambda x: x[0] ** 2 * x[1], x).ddf, A[:2]),
    )
    add(
        "scipy.signal",
        convolve=(lambda x, y: signal.convolve(x, y, method="direct"), A, B[:3]),
        detrend=(lambda x: signal.detrend(x), A),
        lfilter=(lambda x: signal.lfilter([1.0], [1.0, -0.5], x), A),
        savgol_filter=(lambda x: signal.savgol_filter(x, 5, 2), A),
        correlate=(lambda x, y: signal.correlate(x, y, method="direct"), A, B[:3]),
        fftconvolve=(lambda x, y: signal.fftconvolve(x, y), A, B),
        wiener=(lambda x: signal.wiener(x, 3), A),
        medfilt=(lambda x: signal.medfilt(x, 3), A),
        zpk2tf=(lambda z, k: signal.zpk2tf(z, z, k)[0], A[:2], B[0]),
        upfirdn=(lambda x: signal.upfirdn([1.0, 0.5], x), A),
        normalize=(lambda b, a: signal.normalize(b, a)[0], A[:3], B[:3]),
        tf2sos=(lambda b: signal.tf2sos(b, [1.0, 0.5, 0.1]), A[:3]),
        freqz=(lambda b: abs(signal.freqz(b)[1]), A[:3]),
    )
    add(
        "scipy.ndimage",
        **{
            name: (lambda x, name=name, more=more: getattr(ndimage, name)(x, *more), M)
            for name, more in {
                "gaussian_filter": (1.0,),
                "uniform_filter": (3,),
                "sobel": (),
                "convolve1d": ([1.0, 2.0, 1.0],),
                "maximum_filter": (3,),
                "shift": (0.5,),
                "zoom": (2.0,),
                "sum": (),
                "mean": (),
                "variance": (),
                "center_of_mass": (),
            }.items()
        },
    )
    add(
        "scipy.spatial.transform.Rotation",
        as_matrix=(lambda q: Rotation.from_quat(q).as_matrix(), Q),
        as_rotvec=(lambda q: Rotation.from_quat(q).as_rotvec(), Q),
        as_euler=(lambda q: Rotation.from_quat(q).as_euler("xyz"), Q),
        as_mrp=(lambda q: Rotation.from_quat(q).as_mrp(), Q),
        as_quat=(lambda q: Rotation.from_quat(q).as_quat(), Q),
        from_rotvec=(lambda v: Rotation.from_rotvec(v).as_matrix(), M),
        from_euler=(lambda v: Rotation.from_euler("xyz", v).as_matrix(), M),
        from_mrp=(lambda v: Rotation.from_mrp(v).as_matrix(), M),
        from_matrix=(lambda q: Rotation.from_matrix(Rotation.from_quat(q).as_matrix()).as_quat(), Q),
        apply=(lambda q, v: Rotation.from_quat(q).apply(v), Q, M[:4]),
        magnitude=(lambda q: Rotation.from_quat(q).magnitude(), Q),
        inv=(lambda q: Rotation.from_quat(q).inv().as_quat(), Q),
        mean=(lambda q: Rotation.from_quat(q).mean().as_matrix(), Q),
        multiply=(lambda q, p: (Rotation.from_quat(q) * Rotation.from_quat(p)).as_quat(), Q, Q[::-1].copy()),
        power=(lambda q: (Rotation.from_quat(q) ** 0.5).as_matrix(), Q),
    )
    add("scipy.cluster.vq", whiten=(lambda x: cluster.vq.whiten(x), M))
    add("scipy.constants", convert_temperature=(lambda x: constants.convert_temperature(x, "Celsius", "Kelvin"), A))
    return cases


def sklearn_functions():
    """As :func:`scipy_functions`, of scikit-learn with ``array_api_dispatch``."""
    from sklearn import decomposition, discriminant_analysis, linear_model, metrics, model_selection, preprocessing
    from sklearn.metrics import pairwise

    cases = {}
    for name in METRICS.split():
        cases[f"sklearn.metrics.{name}"] = (lambda x, y, name=name: getattr(metrics, name)(x, y)), [A, B]
    cases["sklearn.metrics.log_loss"] = (lambda p: metrics.log_loss(LABELS, p)), [P[:6] * 2]
    cases["sklearn.metrics.brier_score_loss"] = (lambda p: metrics.brier_score_loss(LABELS, p)), [P[:6] * 2]
    for name in PAIRWISE.split():
        cases[f"sklearn.metrics.pairwise.{name}"] = (lambda x, y, name=name: getattr(pairwise, name)(x, y)), [M, N]
    for name in SCALERS.split():
        cases[f"sklearn.preprocessing.{name}"] = (
            (
                lambda x, name=name: (
                    getattr(preprocessing, name)().fit_transform(x if name != "KernelCenterer" else x @ x.T) * 1.0
                )
            ),
            [M],
        )
    for name in FUNCTIONS.split():
        cases[f"sklearn.preprocessing.{name}"] = (lambda x, name=name: getattr(preprocessing, name)(x)), [M]
    cases["sklearn.linear_model.Ridge"] = (
        lambda x, y, z: linear_model.Ridge(solver="svd").fit(x, y).predict(z),
        [M, A[:6], N],
    )
    cases["sklearn.linear_model.RidgeCV"] = (lambda x, y: linear_model.RidgeCV().fit(x, y).predict(x), [M, A[:6]])
    cases["sklearn.linear_model.LinearRegression"] = (
        lambda x, y: linear_model.LinearRegression().fit(x, y).predict(x),
        [M, A[:6]],
    )
    cases["sklearn.decomposition.PCA"] = (
        lambda x: abs(decomposition.PCA(2, svd_solver="full").fit_transform(x)),
        [M],
    )
    cases["sklearn.discriminant_analysis.LinearDiscriminantAnalysis"] = (
        lambda x: (
            discriminant_analysis.LinearDiscriminantAnalysis()
            .fit(x, type(x)(LABELS) if not isinstance(x, np.ndarray) else LABELS)
            .decision_function(x)
        ),
        [M],
    )
    cases["sklearn.model_selection.train_test_split"] = (
        lambda x: model_selection.train_test_split(x, random_state=0)[0],
        [M],
    )
    return cases


def weighted(result):
    """A number that every element of the result has a part in."""
    weights = np.cos(np.arange(np.size(result), dtype=float)).reshape(np.shape(result)) + 1.5
    return (result * weights).sum()


def verdict(call, arguments):
    """Whether the gradients are "right", "NaN", "wrong", or the function "refuses"."""

    def total(*given):
        result = call(*given)
        if not isinstance(result, tg.Tensor):
            raise TypeError(f"the result is a {type(result).__name__}")
        return weighted(result)

    try:
        found = tg.grad(total, tuple(range(len(arguments))))(*map(tg.Tensor, arguments))
    except Exception as error:
        return f"refuses: {type(error).__name__}: {error!s:.200}"
    slopes = differences(lambda *a: float(weighted(np.asarray(call(*a), float))), arguments)
    if any(np.isnan(g.numpy()).any() for g in found):
        return "NaN"
    scale = max(1e-3, *(np.abs(s).max() for s in slopes))
    same = all(np.allclose(g, s, rtol=1e-4, atol=1e-4 * scale) for g, s in zip(found, slopes, strict=True))
    return "right" if same else f"wrong: {found} {slopes}"


def differences(f, arguments, h=1e-5):
    """Derivatives by central differences."""
    found = []
    for i, a in enumerate(arguments):
        slopes = np.zeros(np.shape(a))
        for index in np.ndindex(np.shape(a)):
            values = []
            for sign in (1, -1):
                moved = [np.array(b) for b in arguments]
                moved[i][index] += sign * h
                values.append(f(*[b[()] if not b.ndim else b for b in moved]))
            slopes[index] = (values[0] - values[1]) / (2 * h)
        found.append(slopes)
    return found


def main():
    """Print the verdict on each function."""
    cases = {}
    if "scipy" in sys.argv:
        cases |= scipy_functions()
    if "sklearn" in sys.argv:
        import sklearn

        sklearn.set_config(array_api_dispatch=True)
        cases |= sklearn_functions()
    warnings.simplefilter("ignore")
    print(json.dumps({name: verdict(*case) for name, case in cases.items()}))


if __name__ == "__main__":
    main()
