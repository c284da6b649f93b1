// Programs, rules and networks to begin with, by name.

export const PROGRAMS = {
  "a graph": `a = 2.0
b = -3.0
c = 10.0
e = a * b
d = e + c
f = -0.2
loss = (d * f).tanh() + a
`,
  "a neuron and its loss": `w = 0.8
b = -0.5
x = 1.5
target = 1.0
y = (w * x + b).sigmoid()
loss = (y - target) ** 2
`,
  "a value that is used twice": `x = 3.0
y = x * x
z = y * y + y
`,
  "a slope that vanishes": `x = 4.0
y = x.sigmoid()
z = y.sigmoid()
loss = z.sigmoid()
`,
  "softmax and cross-entropy": `a = 2.0
b = 1.0
c = -1.0
scores = tg.stack([a, b, c])
loss = tg.logsumexp(scores) - scores[0]
`,
  "a convolution": `w = 0.5
image = tg.arange(16.0).reshape(1, 1, 4, 4)
filters = w * tg.ones(1, 1, 3, 3)
maps = tg.conv2d(image, filters).relu()
loss = maps.mean()
`,
};

export const RULES = {
  "a rule that is wrong": `# y is x below 1, and x² above. The rule is wrong.
@tg.op
def bent(x):
    return np.where(x < 1, x, x * x)

bent.vjp(x=lambda g, x: g * tg.where(x < 1, 1.0, x))

gradcheck(bent, np.array([0.5, -1.0, 2.0, 3.0]))
`,
  "a product": `@tg.op(elementwise=True)
def product(a, b):
    return a * b

product.vjp(a=lambda g, b: g * b,
            b=lambda g, a: g * a)

gradcheck(product, np.array([[0.5, -1.0], [2.0, 3.0]]), np.array([1.0, 4.0]))
`,
  "a rule that forgets g": `@tg.op
def square(x):
    return x * x

square.vjp(x=lambda g, x: 2 * x)

gradcheck(square, np.array([0.5, -1.0, 2.0]))
`,
  "softmax": `# Every output depends on every input.
@tg.op
def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()

softmax.vjp(x=lambda g, y: y * (g - (g * y).sum()))

gradcheck(softmax, np.array([0.5, -1.0, 2.0]))
`,
  "a kink": `gradcheck(tg.relu, np.array([-1.0, 0.0, 2.0]), order=1)
`,
};

export const NETWORKS = {
  "a convolution and a linear layer": `model = nn.Sequential(
    nn.Conv2d(1, 9, 3),
    nn.BatchNorm2d(9),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(81, 10),
)
`,
  "the notebook's, for ten classes": `model = nn.Sequential(
    nn.Conv2d(1, 4, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(64, 32),
    nn.Linear(32, 10),
)
`,
  "a linear layer alone": `model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 10),
)
`,
  "two hidden layers": `model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 64),
    nn.GELU(),
    nn.Linear(64, 64),
    nn.GELU(),
    nn.Linear(64, 10),
)
`,
  "three convolutions": `model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(8, 16, 3, padding=1, stride=2),
    nn.ReLU(),
    nn.Conv2d(16, 16, 3, padding=1),
    nn.ReLU(),
    nn.AvgPool2d(4),
    nn.Flatten(),
    nn.Linear(16, 10),
)
`,
};
