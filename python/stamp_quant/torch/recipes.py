"""What of a recipe applies to one layer or tensor, and what PyTorch does not simulate."""

import copy

from .transforms import TRANSFORMS


def check_supported(recipe):
    """NotImplementedError naming the first setting that has no counterpart here."""
    parts = [recipe["activations"], recipe["k"], recipe["v"]]
    settings = [
        ("feature", [recipe["feature"]], ("none", "hadamard")),
        ("center", [recipe["center"]], ("none", "static", "auto")),
        ("weights.quantizer", [recipe["weights"]["quantizer"]], ("rtn",)),
        ("weights.rank", [recipe["weights"]["rank"]], (0,)),
        ("rotation_parts", [recipe["rotation_parts"]], (1,)),
        # of queries and probabilities that meet codes of K and V
        ("attention_bits", [recipe["attention_bits"] for part in parts[1:] if part["bits"] < 16], (16,)),
        ("sequence.transform", [part["sequence"]["transform"] for part in parts if part["bits"] < 16], TRANSFORMS),
    ]
    for key, values, known in settings:
        for value in values:
            if value not in known:
                raise NotImplementedError(
                    f"stamp_quant.torch: {key}: supported is {', '.join(map(str, known))}, got {value}"
                )


def check_statistics(recipe, statistics):
    """ValueError when the recipe needs calibration and there is none."""
    parts = [recipe["activations"], recipe["k"], recipe["v"]]
    centers = recipe["center"] != "none" and recipe["activations"]["bits"] < 16
    calibrated = centers or any(
        part["bits"] < 16 and (part["plan"]["kind"] == "waterfill" or part["sequence"]["skip_tokens"] < 0)
        for part in parts
    )
    if calibrated and not statistics:
        raise ValueError(
            f"stamp_quant.torch: recipe {recipe['name']} needs calibrated statistics; pass "
            "statistics=stamp_quant.load(DIR, recipe=...).statistics"
        )


def _covers(text, layer):
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(first) <= layer <= int(last or first):
            return True
    return False


def recipe_for_layer(recipe, layer):
    """`layers` applied; plans raise high_bits to wider rows."""
    own = copy.deepcopy(recipe)
    keys = {"activation_bits": "activations", "k_bits": "k", "v_bits": "v"}
    for spec in recipe["layers"]:
        if _covers(spec["range"], layer):
            for key, part in keys.items():
                if spec.get(key):
                    own[part]["bits"] = spec[key]
    for part in keys.values():
        if own[part]["bits"] <= 8:
            own[part]["plan"]["high_bits"] = max(own[part]["plan"]["high_bits"], own[part]["bits"])
    return own


def spec_of_site(recipe, site, part):
    """recipe[part] with what `sites` say about this tensor."""
    spec = copy.deepcopy(recipe[part])
    for own in recipe["sites"]:
        if own["site"] == site:
            if own.get("average_bits"):
                spec["plan"]["average_bits"] = own["average_bits"]
            if own.get("clip"):
                spec["quantizer"]["clip"] = own["clip"]
    return spec


def excludes(recipe, names):
    return any(pattern in name for pattern in recipe["exclude"] for name in names)
