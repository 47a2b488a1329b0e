"""The configuration: every field there is, its default, and what it means."""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def default() -> ConfigDict:
    """A locked configuration that other configurations change; its comments are its manual."""
    config = ConfigDict()
    config.seed = 0
    # Weights to start from: a name in the package or a .safetensors file; "" starts afresh.
    config.init = ""

    config.model = ConfigDict()
    config.model.dtype = "float32"  # of computation: float32 | bfloat16; parameters are float32
    config.model.skip = True  # whether the network adds to the bicubic enlargement
    # LR pixels a side that a model which looks at whole pictures is given at most; it must be
    # data.patch. Other models do without.
    config.model.trained_size = 32
    config.model.encoder = "edsr"  # edsr | lp_tokens
    config.model.edsr = ConfigDict({"features": 64, "blocks": 16})  # EDSR-baseline
    config.model.lp_tokens = ConfigDict()
    config.model.lp_tokens.width = 128  # of the tokens
    config.model.lp_tokens.patch = 4  # side of a patch, LR pixels: 2 | 4 | 8 | 16
    config.model.lp_tokens.spacing = 4  # LR pixels between the tokens that leave: 2 | 4 | 8 | 16
    config.model.lp_tokens.learned = 8  # side of the square of learned vectors, which repeats
    config.model.lp_tokens.blocks = 4  # of the transformer
    config.model.lp_tokens.heads = 4
    config.model.lp_tokens.layout = "interleaved"  # interleaved | cross
    config.model.lp_tokens.mixer = "attention"  # attention | state_space
    config.model.lp_tokens.states = 8  # per channel of the state space
    config.model.lp_tokens.detail = True  # whether patches are given local differences as well
    config.model.decoder = "spectral"  # spectral | modulated | liif | pixel_shuffle
    config.model.spectral = ConfigDict()
    config.model.spectral.bands = (0.5, 1.0, 2.0)  # highest frequency, cycles per LR pixel
    config.model.spectral.frequencies = (4, 8, 20)  # waves per band
    config.model.spectral.width = 64  # of the field head's hidden layers
    config.model.spectral.depth = 1  # hidden layers of the field head
    config.model.spectral.gain_order = 4  # of the polynomials by which waves answer to the scale
    # Cells are never taken smaller than 1 / max_scale; it must be data.max_scale.
    config.model.spectral.max_scale = 4.0
    config.model.modulated = ConfigDict()
    # annulus | gaussian | geometric | power | inverse_sigma: what the frequencies start from.
    config.model.modulated.initialisation = "annulus"
    # Per band, coarse to fine, cycles per LR pixel: the highest frequency; of gaussian the standard
    # deviation; of inverse_sigma its sigma, which falls.
    config.model.modulated.bands = (0.5, 1.0, 2.0)
    config.model.modulated.alpha = 1.0  # of power: density |b|^-alpha, 1 as of photographs
    config.model.modulated.lr_size = 32  # of inverse_sigma: LR pixels of a picture's side
    config.model.modulated.features = 128  # Fourier features per band, half as many waves
    config.model.modulated.hidden = 256  # width of its layers
    config.model.modulated.layers = 1  # residual layers per band
    config.model.modulated.heads = 4
    config.model.modulated.nearest = 9  # tokens attended to: 1, 5, 9, 13, 21, 25 ...; 0: all
    config.model.modulated.frame = "cell"  # cell | picture: where positions of waves count from
    config.model.modulated.fades = True  # whether waves fade where output pixels are large
    config.model.modulated.max_scale = 4.0  # as of spectral
    config.model.modulated.control = "none"  # | end_points | raster_distance: wrong ones
    config.model.liif = ConfigDict({"width": 256, "layers": 4})  # of the MLP
    config.model.pixel_shuffle = ConfigDict({"scale": 4})  # it enlarges by no other

    config.data = ConfigDict()
    config.data.dataset = "embedded"  # embedded | tfds:NAME
    config.data.split = "train"  # of the embedded pictures or a TFDS data set
    config.data.folder = ""  # a folder of pictures; when given, it takes the place of `dataset`
    config.data.mode = "resident"  # resident: all pictures in device memory | streaming
    config.data.threads = 0  # streaming: threads that decode; 0 is one for each core
    config.data.cache_mib = 1024  # streaming: decoded pictures kept in memory
    config.data.patch = 32  # side of an LR patch, pixels
    config.data.other_patches = ()  # smaller sides; each step draws one of all
    config.data.candidates = 1  # crops drawn for each patch; the one with most edges is used
    config.data.min_scale = 1.0  # scales are drawn uniformly from min_scale .. max_scale
    config.data.max_scale = 4.0
    config.data.queries = 2304  # HR pixels asked per patch
    config.data.layout = "points"  # points: anywhere in the patch | square: neighbouring HR pixels
    # hr: the HR pixels | lr: the LR picture itself | pseudo_hr: the LR picture enlarged by bicubic,
    # from which nothing but bicubic can be learned: for comparison.
    config.data.targets = "hr"
    config.data.jitter = 0.0  # how far queries lie off pixel centres, output pixels
    config.data.jitter_shape = "uniform"  # uniform: over that width | normal: of that deviation
    config.data.raw_targets = False  # jittered queries keep the pixel's colour: for comparison

    config.loss = ConfigDict()  # weight of each term; 0 leaves it out
    config.loss.l1 = 1.0
    config.loss.charbonnier = 0.0  # sqrt(error^2 + 1e-6)
    config.loss.mse = 0.0
    config.loss.fourier = 0.0  # L1 of Fourier magnitudes; needs data.layout = square
    config.loss.gradient = 0.0  # L1 of differences of neighbours, at 3 scales; needs square, too
    config.loss.laplacian = 0.0  # L1 over a Laplacian pyramid; needs square, too
    config.loss.perceptual = 0.0  # L1 of VGG16's features; needs square and perceptual.weights

    config.perceptual = ConfigDict()  # used where loss.perceptual is above 0; see docs/losses.md
    config.perceptual.weights = ""  # file of torchvision's VGG16: .pth or .safetensors
    config.perceptual.layers = ("relu1_2", "relu2_2", "relu3_3")
    config.perceptual.layer_weights = (1.0, 1.0, 1.0)

    config.adversarial = ConfigDict()  # needs data.layout = square; docs/adversarial.md
    config.adversarial.weight = 0.0  # of the adversarial term; 0: no adversary, nothing below holds
    config.adversarial.discriminator = "unet"  # unet: a logit per pixel | patch: one per 8 x 8
    config.adversarial.width = 32  # channels of its first layer
    config.adversarial.loss = "hinge"  # hinge | non_saturating | relativistic
    config.adversarial.r1 = 0.0  # gamma of the gradient penalty at real pictures
    config.adversarial.r2 = 0.0  # and at fakes
    config.adversarial.feature_matching = 0.0  # weight of the L1 of the discriminator's features
    # Whether `weight` is a share of the reconstruction's gradient at the decoder's last layer.
    config.adversarial.adaptive = False
    config.adversarial.start = 0  # step from which there is an adversary, and from which it learns
    config.adversarial.learning_rate = 1e-4  # of the discriminator's Adam, constant
    config.adversarial.b1 = 0.0
    config.adversarial.b2 = 0.99

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 1e-3
    # Steps of linear warm-up, at most half of all; then cosine to 0.
    config.optimizer.warmup = 200
    config.optimizer.weight_decay = 0.0  # of kernels; of nothing else
    config.optimizer.b1 = 0.9  # Adam's decay of the mean gradient
    config.optimizer.b2 = 0.99  # and of its square
    config.optimizer.clip = 1.0  # global gradient norm
    config.optimizer.frequency_multiplier = 1.0  # frequencies' rate, times learning_rate
    config.optimizer.frequency_schedule = "cosine"  # cosine | constant (after the warm-up)
    config.optimizer.frequency_warmup = placeholder(int)  # steps; None: as warmup

    config.train = ConfigDict()
    config.train.steps = 1000
    config.train.batch_size = 16
    config.train.accumulate = 1  # slices a batch is cut into, one after the other, to save memory
    # Whether gradients compute the encoder's blocks anew: less memory, a third more time. On a CPU
    # it changes nothing.
    config.train.remat = False
    # Steps run on the device between looks from the host, which come every log_every at least.
    config.train.steps_per_dispatch = 10
    config.train.ema = 0.999  # decay of the averaged parameters that are evaluated and kept
    config.train.log_every = 10
    config.train.checkpoint_every = 500
    config.train.eval_every = 500

    config.eval = ConfigDict()
    config.eval.dataset = "embedded"  # embedded | tfds:NAME | a folder
    config.eval.split = "test"  # of the embedded pictures or a TFDS data set
    config.eval.scales = "2,2.7,3,4,8"  # of the report at the end
    config.eval.protocol = "y"  # see docs/evaluation.md
    config.eval.during = "2,4"  # scales of the evaluations while training
    config.eval.pictures = 4  # how many pictures those use
    return config.lock()


def stored_model(stored: ConfigDict) -> ConfigDict:
    """A `model` section as a weights file holds it; fields that came later have their defaults.

    Raises:
      AttributeError, KeyError, TypeError, ValueError: fields or types this version does not know.
    """
    model = default().model
    model.update(stored)
    return model
