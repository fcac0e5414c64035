package declare

import "maps"

// Label puts labels on a secret; other kinds have none. It returns a problem when the document says another value.
func Label(o *Object, labels map[string]string) *Problem {
	if o.Kind != Secret || len(labels) == 0 {
		return nil
	}
	has := maps.Clone(o.group("labels"))
	if has == nil {
		has = map[string]any{}
	}
	for key, value := range labels {
		if before, given := has[key]; given && before != value {
			return &Problem{o.Where("labels." + key), "the label " + key + " has another value than -l gives it"}
		}
		has[key] = value
	}
	o.Fields["labels"] = has
	return nil
}
