"""The modulated decoder on a grid: computes once per token cell what its output pixels share."""

import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis, Integer, aligned, cell_centre, upright_footprint
from inr_sr.devices import on_cpu
from inr_sr.models.decoders.modulated.function import ModulatedFunction
from inr_sr.models.decoders.modulated.layers import Band, FourierLayer
from inr_sr.models.field import GridTables


@flax.struct.dataclass
class CellwiseModulatedFunction(ModulatedFunction):
    """A ModulatedFunction that renders grids of integer scale cell by cell.

    It does so where it attends to the nearest tokens.
    """

    def grid(self, rows: Axis, cols: Axis, tables: GridTables) -> jax.Array:
        """See `field.FieldFunction.grid`; in blocks of bounded memory."""
        queries_per_cell = self.spacing**2 * rows.slots * cols.slots
        if self.nearest and aligned(rows, cols) and queries_per_cell <= _queries_per_block():
            return _Grid(self, rows, cols).rendered()
        return super().grid(rows, cols, tables)


class _Grid:
    """A grid, at an integer scale, of a field that attends to the nearest tokens.

    Rendered in blocks: runs of cells in one row of tokens. All slots of a cell attend to the same
    tokens, so P V is computed once per cell. Waves in the frame "cell" are computed once for all
    cells.
    """

    def __init__(self, field: ModulatedFunction, rows: Axis, cols: Axis):
        self.field = field
        self.rows, self.cols = (
            _TokenCells(axis, field.origin[i], field.spacing) for i, axis in enumerate((rows, cols))
        )
        slots = self.rows.slots * self.cols.slots
        self.width = max(1, min(_queries_per_block() // slots, self.cols.count))
        footprint = upright_footprint(jnp.stack([rows.step, cols.step]))
        self.fades = [field.fade(w, footprint) for w in self._waves]

    def rendered(self) -> jax.Array:
        """[B, rows, cols, 3]."""
        field, blocks = self.field, -(-self.cols.count // self.width)
        shared = self._hidden(0, 0) if field.frame == "cell" else None
        keys, values = (self._padded(x, blocks) for x in (field.keys, field.values))

        def block(number: jax.Array) -> jax.Array:
            row, col = number // blocks, number % blocks * self.width
            hidden = shared or self._hidden(row, col)
            near = [self._taken(x, row, col) for x in (keys, values)]
            return self._block(hidden, *near)

        out: jax.Array = jax.lax.map(block, jnp.arange(self.rows.count * blocks, dtype=jnp.int32))
        # [rows * blocks, B, width, row slots, col slots, 3]
        batch, r, c = field.keys.shape[0], self.rows.slots, self.cols.slots
        out = out.reshape(self.rows.count, blocks, batch, self.width, r, c, 3)
        out = out.transpose(2, 0, 4, 1, 3, 5, 6)
        out = out.reshape(batch, self.rows.count * r, blocks * self.width * c, 3)
        return out[:, self.rows.select[:, None], self.cols.select[None, :]]

    @property
    def _waves(self) -> list[FourierLayer]:
        return [self.field.query, *(band.waves for band in self.field.bands)]

    def _hidden(self, row: Integer, col: Integer) -> list[jax.Array]:
        """Outputs [width or 1, row slots, col slots, d] of the query's layer and of each band's."""
        spacing, frame = self.field.spacing, self.field.frame
        rows = self._along(self.rows.positions(frame, spacing), row, 1)
        cols = self._along(self.cols.positions(frame, spacing), col, self.width)
        rows = jnp.broadcast_to(rows, (len(cols), rows.shape[1]))
        return [
            w.on_grid(rows, cols, fade) for w, fade in zip(self._waves, self.fades, strict=True)
        ]

    def _along(self, x: jax.Array, first: Integer, count: int) -> jax.Array:
        """`count` entries from `first` on of [cells, slots]; [1, slots] holds for all cells."""
        if len(x) == 1:
            return x
        at = jnp.minimum(first + jnp.arange(count, dtype=jnp.int32), len(x) - 1)
        return x[at]

    def _padded(self, tokens: jax.Array, blocks: int) -> jax.Array:
        """The tokens of the grid and `margin` around them, repeated at the end to whole blocks."""
        margin = 2 * self.field.margin
        size = (self.rows.count + margin, blocks * self.width + margin)
        pad = [(0, size[0]), (0, size[1])]  # for any first cell: dynamic_slice would clamp it
        tokens = jnp.pad(tokens, ((0, 0), *pad, (0, 0), (0, 0)), mode="edge")
        start = (0, self.rows.first, self.cols.first, 0, 0)
        return jax.lax.dynamic_slice(tokens, start, (len(tokens), *size, *tokens.shape[3:]))

    def _taken(self, tokens: jax.Array, row: Integer, col: Integer) -> jax.Array:
        """The tokens of one block and `margin` around them."""
        margin = 2 * self.field.margin
        size = (len(tokens), 1 + margin, self.width + margin, *tokens.shape[3:])
        return jax.lax.dynamic_slice(tokens, (0, row, col, 0, 0), size)

    def _block(self, hidden: list[jax.Array], keys: jax.Array, values: jax.Array) -> jax.Array:
        """[B, width, row slots, col slots, 3]."""
        field = self.field
        shape = (1, self.rows.slots, self.cols.slots)
        axes = (self.rows.offsets[None, :, None], self.cols.offsets[None, None])
        offset = jnp.stack([jnp.broadcast_to(x, shape) for x in axes], axis=-1)
        q = field.queries(hidden[0])
        near = self._around(keys)
        logits = jnp.einsum(
            "gijhe,bgkhe->bgijkh", jnp.broadcast_to(q, (self.width, *q.shape[1:])), near
        )
        weights = field.softmax(logits, field.squared_to_nearest(offset)[None])
        batch, width, i, j, k, heads = weights.shape
        weights = weights.reshape(batch, width, i * j, k * heads)

        def projected(band: Band) -> jax.Array:
            pv = self._around(jnp.einsum("brche,hed->brchd", values, band.projection))
            out = jnp.matmul(weights, pv.reshape(batch, width, k * heads, -1))
            return out.reshape(batch, width, i, j, -1)

        waves = [x[None] for x in hidden[1:]]
        return field.output_of(waves, [projected(band) for band in field.bands])

    def _around(self, tokens: jax.Array) -> jax.Array:
        """The nearest tokens [B, width, k, ...] of each cell of a block."""
        m = self.field.margin
        moves = self.field.nearest
        near = [tokens[:, m + r, m + c : m + c + self.width] for r, c in moves]
        return jnp.stack(near, axis=2)


class _TokenCells:
    """The token cells under an axis of LR cells, and where in each of them the slots lie.

    The slots of a token cell are those of its LR cells. An axis that begins or ends within a token
    cell has slots there that are no output pixels.

    Attributes:
      first: int32, the first token cell.
      count: how many there are, or one too many.
      offsets: [slots] from a cell's centre, the same in all cells, LR pixels.
      select: int32 [n], the slot of each output pixel.
    """

    def __init__(self, axis: Axis, origin: jax.Array, spacing: int):
        self.first = origin // spacing
        self.count = (axis.count + 2 * spacing - 2) // spacing
        self.select = jnp.asarray(axis.select) + (origin - self.first * spacing) * axis.slots
        within = jnp.arange(spacing, dtype=jnp.float32) + (0.5 - spacing / 2)
        step = jnp.arange(axis.slots, dtype=jnp.float32) * axis.step
        slots = jnp.asarray(axis.start)[0] + step
        self.offsets = (within[:, None] + slots[None]).reshape(-1)

    @property
    def slots(self) -> int:
        """Slots of a token cell along this axis."""
        return int(self.offsets.shape[0])

    def positions(self, frame: str, spacing: int) -> jax.Array:
        """Positions [count, slots] that waves see, LR pixels; [1, slots] if all cells agree."""
        if frame == "cell":
            return self.offsets[None]
        cell = (self.first + jnp.arange(self.count, dtype=jnp.int32)).astype(jnp.float32)
        return cell_centre(cell[:, None], spacing) + self.offsets[None]


def _queries_per_block() -> int:
    """Queries of a block, whose hidden layers stay in a processor's caches, or fill a GPU."""
    return 2**11 if on_cpu() else 2**17
