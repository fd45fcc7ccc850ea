package statusz

// MaxRows is how many objects the lists of all definitions of a report have together at most.
const MaxRows = 2000

// listsOfObjects is how many lists Objects has.
const listsOfObjects = 5

// Items says how many objects the lists of a report have. The totals are always there.
type Items struct {
	// Whole is how many each list of the whole has at most.
	Whole int
	// Each is how many each list of a definition has at most, as far as MaxRows allows it.
	Each int
	// Definition is the only one whose lists have any, and whose config is told; empty for all, and
	// no config.
	Definition string
}

// Of is how many objects each list of a definition has at most, in a report of so many definitions.
func (i Items) Of(definition string, definitions int) int {
	switch i.Definition {
	case "":
		return min(i.Each, MaxRows/listsOfObjects/max(definitions, 1))
	case definition:
		return i.Each
	default:
		return 0
	}
}
