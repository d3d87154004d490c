from producer.sources.jira_cloud.mapping import CHANGE_FIELDS, ITEM_FIELDS, TEXT_FIELDS


def without_nulls(record):
    """Return a record without the null members that the schema names, which Jira treats as absent."""

    def item(value, names):
        if not isinstance(value, dict):
            return value
        return {name: one for name, one in value.items() if name not in names or one is not None}

    lists = {"changedValues": CHANGE_FIELDS, "associatedItems": ITEM_FIELDS}
    known = {*TEXT_FIELDS, "objectItem", *lists}
    kept = {name: value for name, value in record.items() if name not in known or value is not None}
    kept |= {name: item(kept[name], ITEM_FIELDS) for name in ("objectItem",) if name in kept}
    return kept | {
        name: [item(one, names) for one in kept[name]]
        for name, names in lists.items()
        if isinstance(kept.get(name), list)
    }
