package compose

import "strings"

// compareTexts compares pairs of texts, the first pair first.
func compareTexts(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if order := strings.Compare(pairs[i], pairs[i+1]); order != 0 {
			return order
		}
	}
	return 0
}

func compareIDs(a, b ChildID) int {
	return compareTexts(a.Kind.Group, b.Kind.Group, a.Kind.Kind, b.Kind.Kind, a.Namespace, b.Namespace, a.Name, b.Name)
}
