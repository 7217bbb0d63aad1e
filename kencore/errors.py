"""One exception per mistake a person can make.

Every message names the subject, what was got, what was wanted and what to do about it.
The app and the command line print ``str(error)`` and never a traceback for these classes.
"""

from __future__ import annotations


class KencoreError(Exception):
    """Base of every error a person can cause and mend."""

    def __init__(self, subject: str, *, got: str, wanted: str, remedy: str) -> None:
        self.subject, self.got, self.wanted, self.remedy = subject, got, wanted, remedy
        super().__init__(f"{subject}: {got}; wanted {wanted}. {remedy}")

    @property
    def reason(self) -> str:
        """The message without its subject."""
        return f"{self.got}; wanted {self.wanted}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments: say how to rebuild it when it crosses a process border
        return _rebuild, (type(self), self.subject, self.got, self.wanted, self.remedy)

    def to_json(self) -> dict[str, str]:
        """The error as plain fields, ``type`` being the class name."""
        return {
            "type": type(self).__name__,
            "message": str(self),
            "subject": self.subject,
            "got": self.got,
            "wanted": self.wanted,
            "remedy": self.remedy,
        }


def _rebuild(kind: type[KencoreError], subject: str, got: str, wanted: str, remedy: str) -> KencoreError:
    return kind(subject, got=got, wanted=wanted, remedy=remedy)


# --- what was asked -------------------------------------------------------------------------


class ThinRunError(KencoreError):
    """A run that ships without its masks is asked for what only they tell."""


class SpecError(KencoreError):
    """A setting is missing, contradictory or out of range."""


class ScopeError(KencoreError):
    """A scope, role or name pattern matches nothing, or is not one."""


class ShapeError(KencoreError):
    """A tensor handed to a public function has the wrong shape or dtype."""


class NonFiniteWeightError(KencoreError):
    """A weight is NaN or infinite, so that no rule can rank it."""


# --- recovery after pruning ---------------------------------------------------------------------


class AdapterError(SpecError):
    """A low-rank adapter is asked for: merged, it would undo the mask."""


class OverlapError(KencoreError):
    """Held-out or evaluation data are what the model learns from."""


class DivergedError(KencoreError):
    """The loss of a training step is NaN or infinite."""


class TuningBusyError(KencoreError):
    """Another process does the very same recovery at this moment."""


# --- checkpoints ----------------------------------------------------------------------------


class CheckpointError(KencoreError):
    """Base of what can be wrong with a checkpoint."""


class SourceNotFoundError(CheckpointError):
    """No such folder, hub repository or revision."""


class NoNetworkError(CheckpointError):
    """The hub cannot be reached and the files are not in the local cache."""


class NoSafetensorsError(CheckpointError):
    """The source holds no safetensors weights (only pickle files, or none)."""


class PackedWeightsError(CheckpointError):
    """Weights are packed (quantised) in a format whose numbers mean nothing without their scales."""


class GgufError(CheckpointError):
    """A GGUF file is damaged, one part of several, or of a kind that is not converted."""


class CorruptShardError(CheckpointError):
    """A safetensors file is truncated, or its header does not fit its content."""


class MissingShardError(CheckpointError):
    """The index names a shard that is not there."""


class UnsafeIndexError(CheckpointError):
    """The index points outside its own folder."""


class ConfigError(CheckpointError):
    """config.json is missing, unreadable or of a model type this transformers does not know."""


class OwnCodeError(ConfigError):
    """A model or tokenizer cannot be used without the code that it brings, which is never run."""


class AdapterFolderError(NoSafetensorsError):
    """A folder holds an adapter, alone or beside a full model: not clear which model is meant."""


class WeightShapeError(CheckpointError):
    """Weights are of other shapes than config.json says, so that the model cannot be run."""


class PairMismatchError(CheckpointError):
    """Base and tuned model are not of one architecture."""


class TokenizerError(ConfigError):
    """A tokenizer cannot be loaded, or fails on a text."""


class AccessError(CheckpointError):
    """The hub repository is gated, private or disabled, and this account may not read it."""


class CheckpointChangedError(CheckpointError):
    """A tensor is not the one that the run was made from."""


# --- runs and jobs --------------------------------------------------------------------------


class RunNotFoundError(KencoreError):
    """No run of that name in the store."""


class SchemaError(KencoreError):
    """A run, a sweep or the job store is of a newer version, or of one that is too old."""


class CorruptRunError(KencoreError):
    """A run folder is incomplete or its files contradict each other."""


class RunExistsError(KencoreError):
    """The run folder to be written is there already."""


class SweepNotFoundError(KencoreError):
    """No sweep of that name in the store."""


class SweepBusyError(KencoreError):
    """Another process works on the sweep at this moment."""


class IncomparableRunsError(KencoreError):
    """Runs that have no pruned matrix in common, or fewer than two of them."""


class MatrixNotFoundError(KencoreError):
    """The run has no matrix of that name, or no such row or column in it."""


class FigureError(KencoreError):
    """No figure of that name, or one that this run cannot show."""


class StoreNotWritableError(KencoreError):
    """The store cannot be written: no permission, or the disk is full."""


class StoreBusyError(StoreNotWritableError):
    """Another process has held the job store for longer than one waits."""


class CorruptSubnetworkError(KencoreError):
    """A subnetwork file is damaged, of another version, or no subnetwork file."""


class WrongBaseError(KencoreError):
    """A base model is not the one that a subnetwork file was made from."""


class MissingExtraError(KencoreError):
    """What was asked needs a library that is not installed."""


class NotAllowedError(KencoreError):
    """A person asks a server for what is not theirs to have: a place, a hub id, work without a name."""


class LimitError(NotAllowedError):
    """A person has asked a server for as much as one person may have."""


class ClusterError(KencoreError):
    """The cluster that jobs shall run on does not answer."""


class UploadError(KencoreError):
    """The hub did not take an upload: no login, no permission, no network."""


class DeviceNotFoundError(KencoreError):
    """The device asked for is not on this machine."""


class JobNotFoundError(KencoreError):
    """No job of that id in the job store."""


class JobKindError(KencoreError):
    """No job kind of that name is registered, or its parameters do not fit."""


class WorkerDiedError(KencoreError):
    """The process of a job was killed, or ended without telling why."""


class NotEnoughMemoryError(KencoreError):
    """The job needed more memory than the machine or the device has."""


class JobCancelled(Exception):  # noqa: N818 - a signal between layers, not a mistake
    """Raised inside a job at a progress call after somebody asked to cancel it."""


# --- evaluation -----------------------------------------------------------------------------


class DataFileError(KencoreError):
    """An evaluation file is missing, of an unknown kind, or its columns do not fit."""


class ZeroShotTaskError(DataFileError):
    """A zero-shot task is not known, its file cannot be read, or it would run code."""


class OtherStateError(KencoreError):
    """What was measured is not what would be exported: a fault of the program, found before it is told as a figure."""


class ModelRunError(KencoreError):
    """The model broke off while it ran: its own code, torch or the device raised something."""


class TaskMismatchError(KencoreError):
    """The model cannot be judged on this data: no classifier head, or labels it does not know."""


class AmbiguousLabelsError(TaskMismatchError):
    """Labels of a file that can be read as class numbers and as class names, and mean different classes."""


class TokenTableError(TaskMismatchError):
    """The tokenizer gives a token, or a token type, that the model's table of embeddings has no row for."""


# --- language models and their activations --------------------------------------------------


class NotALanguageModelError(TaskMismatchError):
    """The model is no causal language model: an encoder, a classifier, an encoder-decoder."""


class TextError(DataFileError):
    """A text for calibration or perplexity cannot be read: no such file, field or data set."""


class TextTooShortError(TextError):
    """The text has fewer tokens than one window."""


class WindowError(KencoreError):
    """A window is longer than the model has positions for, or too short to predict a token."""


class NonFiniteActivationError(KencoreError):
    """A block's output is NaN or infinite, so that nothing after it can be judged."""


class DeadLayerError(KencoreError):
    """A layer's input is zero on every calibration token, so that no alignment can be measured."""


class GettingReady(KencoreError):  # noqa: N818 - nothing is wrong
    """What was asked for is being prepared: ask again in a moment."""


class FactorizationError(KencoreError):
    """The Hessian of a layer's inputs cannot be factored, whatever the damping."""
