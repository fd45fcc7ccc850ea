package compose

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// compareTexts compares pairs of texts, the first pair first.
func compareTexts(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if order := strings.Compare(pairs[i], pairs[i+1]); order != 0 {
			return order
		}
	}
	return 0
}

// uidOf returns the UID of an object that may not be there.
func uidOf(o *Observed) types.UID {
	if o == nil {
		return ""
	}
	return o.UID
}
