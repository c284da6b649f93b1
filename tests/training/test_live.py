"""`Live`: what the page is told agrees with the training, the training does not notice, and nobody else can look."""

from __future__ import annotations

import http.client
import json
import math
import os
import socket
import threading
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.live import live as module
from tinygrad_cnn.extra.live import server
from tinygrad_cnn.extra.live.board import POINTS, Board, Reader, Series
from tinygrad_cnn.extra.live.measure import Layers, Predictions, norm
from tinygrad_cnn.extra.show import page as pages


def data(n=96):
    images, digits = tg.data.digits()
    x = (images[:n, None] / 16).astype(np.float32)
    return tg.data.TensorDataset(x, digits[:n])


def network():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(108, 10)
    )


def trained(callbacks=(), epochs=3, **more):
    tg.manual_seed(0)
    model = network()
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    loader = tg.data.DataLoader(data(), batch_size=40, shuffle=True, seed=0)
    held_out = tg.data.DataLoader(data(64), batch_size=30)
    history = tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=epochs, validate=held_out, callbacks=callbacks,
        progress=False, **more,
    )  # fmt: skip
    return model, history


@pytest.fixture
def often(monkeypatch):
    """Measure at every step."""
    for name in ("TICK", "LEAST"):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(module, "LAYER_SHARE", 1e9)
    monkeypatch.setattr(module, "GRAPH_SHARE", 1e9)


@pytest.fixture
def live():
    made = tg.training.Live()
    yield made
    made.close()


def saved(path):
    return json.loads(path.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0])


def get(address, path="", host=None, method="GET"):
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    connection.request(method, url.path + path, headers={} if host is None else {"Host": host})
    with closing(connection), connection.getresponse() as answer:
        return answer.status, answer.read().decode(), dict(answer.getheaders())


class Stream:
    """A browser that listens to the events."""

    def __init__(self, address):
        url = urlsplit(address)
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        self.connection.request("GET", url.path + "events")
        self.answer = self.connection.getresponse()

    def close(self):
        self.answer.close()
        self.connection.close()

    def message(self):
        while True:
            line = self.answer.readline()
            if line.startswith(b"data: "):
                return json.loads(line[6:])


@pytest.fixture
def listen():
    streams = []

    def open_stream(address):
        streams.append(Stream(address))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()


# What is told


@pytest.mark.parametrize("compile", [True, False])
def test_steps_and_epochs_are_those_of_the_history(often, tmp_path, compile):
    live = tg.training.Live(serve=False, save=tmp_path / "run.html")
    _, history = trained([live], compile=compile)
    told = saved(tmp_path / "run.html")
    series = {name: each["points"] for name, each in told["series"].items()}
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert series[f"epoch {name}"] == [[i, pytest.approx(v)] for i, v in enumerate(history[name], 1)]
    assert [x for x, _ in series["step loss"]] == list(range(1, 10))
    sizes = np.array([40, 40, 16] * 3)
    for name in ("loss", "accuracy"):  # the steps of an epoch, by their examples, make its mean
        steps = np.array([y for _, y in series[f"step {name}"]])
        means = (steps * sizes).reshape(3, 3).sum(axis=1) / 96
        np.testing.assert_allclose(means, history[name], rtol=1e-5)
    assert {y for _, y in series["step lr"]} == {0.01}
    state = told["items"]["state"]
    assert (state["status"], state["step"], state["epoch"], state["epochs"], state["batches"]) == (
        "finished",
        9,
        3,
        3,
        3,
    )


def test_the_training_is_the_same_to_the_bit(often, tmp_path):
    plain, history = trained()
    watched, same = trained([tg.training.Live(serve=False, save=tmp_path / "run.html")])
    assert {k: v for k, v in history.items() if k != "seconds"} == {k: v for k, v in same.items() if k != "seconds"}
    for name, weights in plain.state_dict().items():
        assert np.array_equal(weights, watched.state_dict()[name]), name


def test_layers_tell_norms_and_the_size_of_updates(often, tmp_path):
    class Note(tg.training.Callback):
        def __init__(self):
            self.weights, self.gradients = [], []

        def on_step_end(self, run):
            self.weights.append({n: p.numpy().copy() for n, p in run.model.named_parameters()})
            self.gradients.append({n: p.grad.numpy() for n, p in run.model.named_parameters()})

    note = Note()
    trained([tg.training.Live(serve=False, save=tmp_path / "run.html"), note])
    told = saved(tmp_path / "run.html")
    assert [layer["name"] for layer in told["items"]["layers"]["list"]] == list(note.weights[0])
    for name in note.weights[0]:
        points = told["series"][f"ratio {name}"]["points"]
        assert points
        for step, ratio in points:
            before, after = note.weights[int(step) - 2][name], note.weights[int(step) - 1][name]
            assert ratio == pytest.approx(np.linalg.norm(after - before) / np.linalg.norm(after), rel=1e-4)
        for kind, values in (("weight", note.weights), ("gradient", note.gradients)):
            for step, size in told["series"][f"{kind} {name}"]["points"]:
                assert size == pytest.approx(np.linalg.norm(values[int(step) - 1][name]), rel=1e-4, abs=1e-9)
    assert told["items"]["filters"]["name"] == "0.weight"
    assert told["items"]["filters"]["picture"].startswith("data:image/png")


def test_the_confusion_matrix_and_mistakes_are_those_of_the_model(often, tmp_path):
    model, history = trained([tg.training.Live(serve=False, save=tmp_path / "run.html")])
    items = saved(tmp_path / "run.html")["items"]
    x, y = data(64)[np.arange(64)]
    model.eval()
    with tg.no_grad():
        chance = tg.softmax(model(tg.Tensor(x)), axis=1).numpy()
    guess = chance.argmax(axis=1)
    expected = np.zeros((10, 10), int)
    for target, each in zip(y, guess, strict=True):
        expected[target, each] += 1
    assert items["confusion"] == {"epoch": 3, "counts": expected.tolist()}
    assert np.trace(expected) / 64 == pytest.approx(history["val_accuracy"][-1])
    wrong = np.flatnonzero(guess != y)
    worst = wrong[np.argsort(chance[wrong, y[wrong]])][:12]
    assert [(m["target"], m["guess"]) for m in items["mistakes"]["list"]] == [(y[i], guess[i]) for i in worst]
    assert [m["right"] for m in items["mistakes"]["list"]] == pytest.approx(
        [float(chance[i, y[i]]) for i in worst], rel=1e-3
    )
    assert all(m["picture"] for m in items["mistakes"]["list"])


def test_targets_that_are_no_classes_have_no_confusion_matrix():
    predictions = Predictions()
    predictions.add([], tg.zeros(3, 2), tg.zeros(3))
    predictions.add([], tg.zeros(3), tg.Tensor([0, 1, 1], dtype=np.int64))
    predictions.add([], (tg.zeros(3),), tg.Tensor([0], dtype=np.int64))
    assert predictions.items(1) == {}
    predictions.add([], tg.Tensor([[0.0, 1.0], [np.nan, 0.0]]), tg.Tensor([-100, 0], dtype=np.int64))  # one is ignored
    assert sum(map(sum, predictions.items(1)["confusion"]["counts"])) == 1


def test_the_graph_has_the_gradients_of_a_few_examples(often, tmp_path):
    trained([tg.training.Live(serve=False, save=tmp_path / "run.html")])
    told = saved(tmp_path / "run.html")
    assert told["items"]["graph"]["error"] is None
    nodes = told["graph"]["nodes"]
    assert {"convolve", "mean_nll"} <= {node.get("op") for node in nodes}
    assert nodes[0]["shape"][0] == 8
    assert any(given.get("gradient") for node in nodes for given in node.get("inputs", []))


def test_a_graph_that_cannot_be_drawn_is_told_and_stops_nothing(often, tmp_path):
    def picky(output, target):
        if len(output) < 10:
            raise ValueError("too few examples")
        return tg.cross_entropy(output, target)

    tg.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    loader = tg.data.DataLoader(data(), batch_size=40)
    live = tg.training.Live(serve=False, save=tmp_path / "run.html")
    tg.fit(model, loader, picky, tg.optim.SGD(model.parameters(), lr=0.1), epochs=1, callbacks=[live], progress=False)
    assert saved(tmp_path / "run.html")["items"]["graph"]["error"] == "ValueError: too few examples"


def test_a_loss_that_is_nan_is_told():
    board = Board()
    reader = Reader(board)
    board.add({"step loss": [(1, 1.0), (2, math.nan)]})
    assert math.isnan(reader.message()["series"]["step loss"]["points"][1][1])


# Your own loop


def test_a_loop_of_ones_own(often, tmp_path):
    model = nn.Linear(2, 1)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    with tg.training.Live(model=model, serve=False, save=tmp_path / "run.html") as live:
        for _ in range(4):
            loss = model(tg.ones(3, 2)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            live.step(loss=loss, lr=0.1, examples=3)
        live.epoch(val_loss=0.5)
    told = saved(tmp_path / "run.html")
    assert told["series"]["step loss"]["points"] == [[i, pytest.approx(v)] for i, v in enumerate(losses, 1)]
    assert told["series"]["epoch val_loss"]["points"] == [[1, 0.5]]
    assert told["series"]["ratio weight"]["points"]
    assert told["items"]["state"]["status"] == "finished"


def test_a_loop_of_ones_own_shows_its_validation_and_a_page_of_ones_own_reads_it():
    with tg.training.Live(serve=False) as live:
        reader = live.reader()
        live.step(loss=1.0)
        first = reader.message()
        x = tg.ones(3, 1, 8, 8)
        live.predictions([x], tg.Tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), tg.Tensor([0, 1, 1], dtype=np.int64))
        live.predictions([x[:1]], tg.Tensor([[2.0, 0.0]]), tg.Tensor([0], dtype=np.int64))
        live.epoch(val_loss=0.5)
        second = reader.message()
        live.epoch(val_loss=0.25)
        third = reader.message()
    assert first["series"]["step loss"]["points"] == [(1, 1.0)]
    assert "confusion" not in first["items"]
    assert second["items"]["confusion"] == {"epoch": 1, "counts": [[2, 0], [1, 1]]}
    (mistake,) = second["items"]["mistakes"]["list"]
    assert (mistake["target"], mistake["guess"]) == (1, 0)
    assert "step loss" not in second["series"]
    assert third["series"]["epoch val_loss"]["points"] == [(2, 0.25)]
    assert "confusion" not in third["items"]


def test_what_is_no_number_is_refused_and_nothing_is_noted(tmp_path):
    with tg.training.Live(serve=False, save=tmp_path / "run.html") as live:
        live.step(loss=1.0)
        with pytest.raises(TypeError, match="`loss` is Tensor.*it must be a number, or a Tensor with a single element"):
            live.step(accuracy=0.5, loss=tg.zeros(2))
        for bad in ({"examples": "3"}, {"loss": "0.5"}, {"loss": 10**400}):
            with pytest.raises(TypeError, match="it must be a number"):
                live.step(**bad)
        live.step(loss=2.0)
    told = saved(tmp_path / "run.html")
    assert told["series"]["step loss"]["points"] == [[1, 1.0], [2, 2.0]]
    assert "step accuracy" not in told["series"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(LookupError("oh"), "failed", "LookupError: oh"), (KeyboardInterrupt(), "interrupted", "")],
)
def test_a_loop_that_raises_is_not_finished(tmp_path, error, status, reason):
    def loop():
        with tg.training.Live(serve=False, save=tmp_path / "run.html") as live:
            live.step(loss=1.0)
            raise error

    with pytest.raises(type(error)):
        loop()
    state = saved(tmp_path / "run.html")["items"]["state"]
    assert (state["status"], state["reason"], state["step"]) == (status, reason, 1)


def test_bad_arguments(tmp_path):
    for port in (-1, 65536, True, "80"):
        with pytest.raises(ValueError, match="`port` is"):
            tg.training.Live(port=port)
    with pytest.raises(TypeError, match="`model` is 3"):
        tg.training.Live(model=3)
    with pytest.raises(FileNotFoundError, match="the folder of `save` 'nowhere/run.html' does not exist"):
        tg.training.Live(save="nowhere/run.html", serve=False).step(loss=1.0)
    with pytest.raises(IsADirectoryError, match="`save` '.*' is a folder; give a file in it"):
        tg.training.Live(save=tmp_path, serve=False).step(loss=1.0)


def test_a_run_that_cannot_be_saved_warns_and_is_not_lost(tmp_path):
    class Spoil(tg.training.Callback):
        def on_epoch_begin(self, run):
            (tmp_path / "run.html").mkdir(exist_ok=True)

    with pytest.warns(UserWarning, match="Live: the run was not saved"):
        _, history = trained([tg.training.Live(serve=False, save=tmp_path / "run.html"), Spoil()])
    assert history.epochs == 3


@pytest.mark.slow
def test_the_page_of_a_large_model_stays_below_the_limit(tmp_path, monkeypatch):
    live = tg.training.Live(serve=False, save=tmp_path / "run.html")
    trained([live])
    whole = (tmp_path / "run.html").stat().st_size
    limit = whole - 30_000
    monkeypatch.setattr(pages, "LIMIT", limit)
    trained([live])
    assert limit - 30_000 < (tmp_path / "run.html").stat().st_size <= limit
    told = saved(tmp_path / "run.html")
    assert "To keep the page small" in told["graph"]["notes"][-1]
    assert len(told["graph"]["nodes"]) > 10
    monkeypatch.setattr(pages, "LIMIT", 1)  # even so the numbers of the run are kept
    trained([live])
    assert saved(tmp_path / "run.html")["graph"] is None


@pytest.mark.parametrize("how", ["failed", "stopped"])
def test_a_run_that_ends_early_is_saved_too(tmp_path, how):
    class End(tg.training.Callback):
        def on_step_end(self, run):
            if run.step == 4:
                if how == "failed":
                    raise LookupError("oh")
                run.stop("enough")

    live = tg.training.Live(serve=False, save=tmp_path / "run.html")
    if how == "failed":
        with pytest.raises(LookupError):
            trained([live, End()])
    else:
        trained([live, End()])
    state = saved(tmp_path / "run.html")["items"]["state"]
    assert (state["status"], state["step"]) == (how, 4)


# The server


def test_the_page_is_served_under_a_path_nobody_can_guess(live, capsys):
    live.step(loss=1.0)
    assert capsys.readouterr().out == f"live: {live.address}\n"
    url = urlsplit(live.address)
    assert url.hostname == "127.0.0.1"
    assert len(url.path.strip("/")) >= 20
    status, text, headers = get(live.address)
    assert status == 200
    assert "<!doctype html>" in text
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(f"http://127.0.0.1:{url.port}/")[0] == 404
    assert get(f"http://127.0.0.1:{url.port}/events")[0] == 404
    assert get(live.address, "../../etc/passwd")[0] == 404
    other = tg.training.Live()
    other.step(loss=1.0)
    assert urlsplit(other.address).path != url.path
    other.close()


@pytest.mark.parametrize(
    ("in_notebook", "ancestors"), [(False, "'none'"), (True, "http://127.0.0.1:* http://localhost:*")]
)
def test_only_a_notebook_of_this_machine_may_show_it_in_a_frame(live, listen, monkeypatch, in_notebook, ancestors):
    monkeypatch.setattr(module, "in_notebook", lambda: in_notebook)
    monkeypatch.setattr(module, "Updated", lambda: SimpleNamespace(show=lambda *_: None))
    live.step(loss=1.0)
    for headers in (get(live.address)[2], dict(listen(live.address).answer.getheaders())):
        assert headers["Content-Security-Policy"].endswith(f"; frame-ancestors {ancestors}")


def test_it_listens_to_this_machine_only(live):
    live.step(loss=1.0)
    url = urlsplit(live.address)
    with socket.create_server(("127.0.0.2", url.port)):  # free, since nobody listens to all addresses
        assert url.hostname == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example", "localhost:1"])
def test_another_host_is_refused(live, host):
    live.step(loss=1.0)
    for path in ("", "events", "graph.json"):
        assert get(live.address, path, host=host)[0] == 403
    assert get(live.address, host=f"localhost:{urlsplit(live.address).port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_is_read_only(live, method):
    live.step(loss=1.0)
    assert get(live.address, method=method)[0] == 501


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} cannot be used.*omit `port`"):
            trained([tg.training.Live(port=port)])


def test_a_browser_that_comes_late_sees_everything_and_then_what_is_new(live, often, listen):
    for i in range(5):
        live.step(loss=float(i))
    late = listen(live.address)
    first = late.message()
    assert first["series"]["step loss"] == {"reset": True, "points": [[i + 1, float(i)] for i in range(5)]}
    live.step(loss=9.0)
    second = late.message()
    assert second["series"]["step loss"] == {"reset": False, "points": [[6, 9.0]]}


def test_a_browser_that_goes_away_or_does_not_read_holds_up_nothing(live, often, listen):
    live.step(loss=0.0)
    gone = listen(live.address)
    gone.message()
    gone.close()
    listen(live.address)  # and it never reads
    for i in range(2000):  # if it were waited for, this would not end
        live.step(loss=float(i), **{f"a long name {j}": float(j) for j in range(20)})
    assert listen(live.address).message()["series"]["step loss"]["points"][-1][0] > 1000


def test_a_second_run_begins_anew_at_the_same_address(live, listen):
    trained([live], epochs=1)
    address = live.address
    listening = listen(address)
    first = listening.message()
    trained([live], epochs=2)
    assert live.address == address
    while listening.message()["run"] == first["run"]:
        pass
    fresh = listen(address).message()
    assert len(fresh["series"]["epoch loss"]["points"]) == 2


def test_closing_ends_the_connections(live, listen):
    live.step(loss=1.0)
    listening = listen(live.address)
    listening.message()
    live.close()
    assert live.address == ""
    while listening.answer.readline():  # until the end, which comes
        pass


def test_idle_connections_make_few_threads_and_end(live, monkeypatch):
    monkeypatch.setattr(server, "IDLE", 0.2)
    live.step(loss=1.0)
    url, before = urlsplit(live.address), threading.active_count()
    idle = [socket.create_connection((url.hostname, url.port), timeout=10) for _ in range(150)]
    refused = [each.recv(1) for each in idle[server.MOST :]]
    assert refused == [b""] * (150 - server.MOST)
    assert threading.active_count() - before <= server.MOST
    assert [each.recv(1) for each in idle[: server.MOST]] == [b""] * server.MOST
    assert get(live.address)[0] == 200
    for each in idle:
        each.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it has threads: that is what is tested
def test_a_forked_process_closes_without_the_threads_and_the_address_stays(live):
    live.step(loss=1.0)
    child = os.fork()
    if not child:
        threading.Timer(10, os._exit, (1,)).start()
        live.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert get(live.address)[0] == 200


@pytest.mark.slow
def test_the_graph_is_drawn_when_a_browser_asks(live, often):
    class Ask(tg.training.Callback):
        def on_step_end(self, run):
            answers.append(get(live.address, "graph.json")[1])

    answers = []
    trained([live, Ask()])
    assert answers[0] == "null"
    assert len(json.loads(answers[-1])["nodes"]) > 10


# The parts


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(1, 400))
def test_a_series_stays_small_and_keeps_its_mean(values, times):
    series = Series()
    count = len(values) * times
    for i in range(count):
        series.add(i, values[i % len(values)])
    points = series.all()
    assert len(points) <= POINTS
    assert points[-1][0] == count - 1
    if count < POINTS:
        assert [y for _, y in points] == values * times
    else:
        strides = np.diff([-1, *(x for x, _ in points)])
        total = math.fsum(s * y for s, (_, y) in zip(strides, points, strict=True))
        assert total == pytest.approx(math.fsum(values) * times, abs=1e-6 * count)


@given(st.data())
def test_a_reader_ends_up_with_what_the_board_has(data):
    board, reader, seen = Board(), None, {}
    for step in range(data.draw(st.integers(1, 30))):
        for name in data.draw(st.sets(st.sampled_from("abc"))):
            board.add({name: [(step * 500 + i, float(i)) for i in range(data.draw(st.sampled_from([0, 1, 500])))]})
        if data.draw(st.booleans()):
            reader = reader or Reader(board)
            for name, each in reader.message()["series"].items():
                seen[name] = list(each["points"]) if each["reset"] else seen[name] + list(each["points"])
    reader = reader or Reader(board)
    for name, each in reader.message()["series"].items():
        seen[name] = list(each["points"]) if each["reset"] else seen[name] + list(each["points"])
    assert seen == {name: each.points for name, each in board.series.items() if each.points or name in seen}


@given(st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_norms(rows, columns, turned):
    array = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    assert norm(array.T if turned else array) == pytest.approx(np.linalg.norm(array), rel=1e-6)


def test_only_the_first_layers_of_a_large_model_are_measured():
    model = nn.Sequential(*[nn.Linear(1, 1) for _ in range(100)])
    layers = Layers(model)
    layers.begin(1)
    _, items = layers.finish(2)
    assert len(items["layers"]["list"]) == 120
    assert items["layers"]["left_out"] == 80


def test_outputs_of_a_validation_are_given_to_callbacks():
    class See(tg.training.Callback):
        def on_validation_batch(self, run, parts, output):
            seen.append((len(parts), parts[-1].shape, output.shape))

    seen = []
    _, history = trained([See()], epochs=1)
    _, plain = trained(epochs=1)
    assert seen == [(2, (30,), (30, 10)), (2, (30,), (30, 10)), (2, (4,), (4, 10))]
    assert history["val_loss"] == plain["val_loss"]


def test_outputs_do_not_count_where_there_is_no_accuracy():
    class See(tg.training.Callback):
        def on_validation_batch(self, run, parts, output):
            seen.append(output.tolist())

    seen = []
    model = nn.Linear(1, 1)
    batch = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    history = tg.fit(model, [batch], tg.mse, optimizer, epochs=1, validate=[batch], callbacks=[See()], progress=False)
    assert "val_accuracy" not in history
    assert history["val_loss"] == pytest.approx([np.square(seen[0]).mean()])


def test_layers_are_measured_at_the_pace_that_their_cost_allows(monkeypatch, tmp_path):
    clock, measured = [0.0], []
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    finish = Layers.finish

    def costly(self, step):
        clock[0] += 2.0
        measured.append(clock[0])
        return finish(self, step)

    monkeypatch.setattr(Layers, "finish", costly)
    with tg.training.Live(model=nn.Linear(1, 1), serve=False, save=tmp_path / "run.html") as live:
        for _ in range(30_000):
            clock[0] += 0.1
            live.step(loss=0.0)
    gaps = np.diff(measured)
    assert len(gaps) > 5
    assert gaps.min() >= 2.0 / module.LAYER_SHARE
