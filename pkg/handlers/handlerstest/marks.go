package handlerstest

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// marks looks at the labels or annotations that an answer gives the parent.
func (j *judge) marks(what string, given map[string]*string) {
	if len(given) > 0 && !j.bound.Marks() {
		j.reportf("it sets a %s of the parent, and Marks does not say so", what)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		host, _, qualified := strings.Cut(name, "/")
		if qualified && (host == "kooperd.dev" || strings.HasSuffix(host, ".kooperd.dev")) {
			j.reportf("%s %s of the parent is kooperd's own", what, name)
		}
		if problems := validation.IsQualifiedName(name); len(problems) > 0 {
			j.reportf("%s %q of the parent: %s", what, name, problems[0])
		}
		if value := given[name]; what == "label" && value != nil {
			for _, problem := range validation.IsValidLabelValue(*value) {
				j.reportf("label %s of the parent: %s", name, problem)
			}
		}
	}
}
