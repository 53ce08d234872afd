"""What claims have read, put together again from records when the run is over, in whichever process it was read."""

from collections.abc import Callable, Mapping

import xarray as xr

from fixtures.plugin.evidence import ENOUGH
from fixtures.plugin.options import Settings
from lib.definitions.words import ARMS, RESCALED
from lib.effects.before_after import AFTER, BEFORE
from lib.effects.counts import MassiveValues
from lib.effects.losses import Bands, Disruption
from lib.effects.trajectory import Trajectory
from lib.records.shapes import site_before

Records = Mapping[str, xr.Dataset]
Subject = MassiveValues | Disruption | Bands | Trajectory


def read_again(recorded: Callable[[str], Records], settings: Settings) -> dict[str, Subject]:
    """By the name of the fixture that gave it to claims, as far as its records are there.

    `recorded` gives the records of an experiment by arm, {} where none was read.
    """
    found: dict[str, Subject] = {}
    norms, losses, bands = (recorded(experiment) for experiment in ("norms", "disruption", "bands"))

    def at(site: str) -> Records:
        return recorded(settings.named("norms", site))

    def massive(records: Records) -> MassiveValues:
        return MassiveValues(records, settings.threshold, settings.scope)

    def values(**arms: str) -> MassiveValues:
        return massive({name: norms[arm] for name, arm in arms.items()})

    if _there(norms, *ARMS):
        found["massive_values"] = values(rope="rope", drope="drope")
    if _there(losses, *ARMS):
        found["disruption"] = _losses(losses, "drope")
    if _there(bands, "rope"):
        found["bands"] = Bands(bands)
    if _there(norms, "rope", "dropped"):
        found["with_dropped"] = values(rope="rope", dropped="dropped")
    projected, received = at("projection"), at(AFTER)
    rescaled = [arm for arm in RESCALED if arm in projected]
    if rescaled and _there(projected, "rope"):
        found["with_rescaled"] = massive({arm: projected[arm] for arm in ("rope", *rescaled)})
    if _there(received, "rope") and _there(before := at(site_before(received["rope"])), "rope"):
        found["both_sites"] = massive({BEFORE: before["rope"], AFTER: received["rope"]})
    if _there(norms, *ARMS, "continued"):
        found["with_continued"] = values(rope="rope", drope="drope", continued="continued")
    for name, records in (("trajectory", norms), ("reliance", losses)):
        usable = {arm: step for arm, step in settings.steps.items() if _there(records, "rope", arm)}
        if len(usable) >= ENOUGH:
            found[name] = Trajectory(
                tuple(usable.values()),
                tuple(values(rope="rope", drope=arm) for arm in usable),
                tuple(_losses(losses, arm) for arm in usable) if records is losses else (),
            )
    return found


def _losses(losses: Records, arm: str) -> Disruption:
    return Disruption({"rope": losses["rope"], "drope": losses[arm]})


def _there(records: Records, *arms: str) -> bool:
    return all(arm in records for arm in arms)
