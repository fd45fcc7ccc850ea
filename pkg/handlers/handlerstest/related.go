package handlerstest

import (
	"slices"

	"kooperd.dev/kooperd/pkg/handlers"
)

// related looks at what a Relater has asked for.
func (j *judge) related(asked []handlers.Related) {
	names := map[string]bool{}
	for _, related := range asked {
		if related.Name == "" || names[related.Name] {
			j.reportf("related %q: want names, each once", related.Name)
		}
		names[related.Name] = true
		if err := related.Validate(); err != nil && related.Name != "" {
			j.reportf("related %v", err)
		}
		byNamespace := func(declared handlers.Related) bool { return declared.NamespaceSelector != nil }
		if related.NamespaceSelector != nil && !slices.ContainsFunc(j.bound.Reads(), byNamespace) {
			j.reportf("related %s: it has a NamespaceSelector, and nothing in Reads has one", related.Name)
		}
		if !slices.ContainsFunc(j.bound.Reads(), func(declared handlers.Related) bool { return mayRead(declared, related) }) {
			j.reportf("related %s: Reads has no such %s %s", related.Name, related.APIVersion, related.Kind)
		}
	}
}

// mayRead reports whether some of what is asked for lies within what is declared.
func mayRead(declared, asked handlers.Related) bool {
	within := func(declared, asked string) bool { return declared == "" || asked == "" || declared == asked }
	names, askedNames := objectNames(declared), objectNames(asked)
	return declared.GroupVersionKind() == asked.GroupVersionKind() && within(declared.Namespace, asked.Namespace) &&
		(len(names) == 0 || len(askedNames) == 0 || slices.ContainsFunc(askedNames, func(name string) bool { return slices.Contains(names, name) }))
}

// objectNames are the names of what is related; none for any.
func objectNames(related handlers.Related) []string {
	if related.ObjectName != "" {
		return []string{related.ObjectName}
	}
	return related.ObjectNames
}
